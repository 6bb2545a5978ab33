//! Faults: callers who hang up, a pool that is used up, deadlocks, locked files.

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use authfort::{AuthFort, UserId};
use authfort_testkit::{Engine, TestDatabase, both_engines, run};
use futures_util::future::Either;
use serde_json::json;

use crate::support::{PASSWORD, builder, clock, service, user};
use crate::tools::{Raw, access, code, guard, log, refresh};

const EMAIL: &str = "jane@example.com";

type Call = Pin<Box<dyn Future<Output = &'static str> + Send>>;

/// Every kind of call in turn, on one user.
fn call(auth: &AuthFort, id: UserId, token: &str, n: usize) -> Call {
    let (auth, token) = (auth.clone(), token.to_owned());
    Box::pin(async move {
        match n % 16 {
            0 => code(&auth.list_users().query("jan").await),
            1 => code(&auth.get_user_count().role("editor").await),
            2 => code(&auth.create_user(format!("user-{n}@example.com")).role("editor").await),
            3 => code(&auth.add_role(id, "editor").await),
            4 => code(&auth.remove_role(id, "editor").await),
            5 => code(&auth.update_user(id).name(format!("Jane {n}")).await),
            6 => code(&auth.login(EMAIL, PASSWORD).await),
            7 => code(&auth.refresh(&token).await),
            8 => code(&auth.ban_user(id).reason(format!("{n}")).await),
            9 => code(&auth.unban_user(id).await),
            10 => code(&auth.set_password(id, PASSWORD).await),
            11 => code(&auth.revoke_sessions(id).await),
            12 => code(&auth.link_account(id, "github", format!("{n}")).await),
            13 => code(&auth.unblock_email(format!("user-{n}@example.com")).await),
            14 => code(&auth.list_events().await),
            _ => code(&auth.rotate_keys().await),
        }
    })
}

/// Makes every writing transaction fail with this state, the first `times` times. Needs PostgreSQL's sequences, which no
/// rollback takes back.
async fn fail_with(raw: &mut Raw, state: &str, times: i64) {
    let trigger = "CREATE TRIGGER fail BEFORE INSERT ON authfort_events FOR EACH ROW EXECUTE FUNCTION fail()";
    fail_by(raw, state, times, trigger).await;
}

/// The same at the COMMIT, where engines that spread a transaction over machines find most conflicts.
async fn fail_at_commit(raw: &mut Raw, state: &str, times: i64) {
    let trigger = "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON authfort_events DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION fail()";
    fail_by(raw, state, times, trigger).await;
}

async fn fail_by(raw: &mut Raw, state: &str, times: i64, trigger: &'static str) {
    raw.execute("CREATE SEQUENCE failures").await;
    raw.execute(format!(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN IF nextval(''failures'') <= {times} THEN RAISE EXCEPTION USING ERRCODE = ''{state}''; END IF; RETURN NEW; END'"
    ))
    .await;
    raw.execute(trigger).await;
}

/// The service's own connections, as PostgreSQL lists them.
const OURS: &str = "pg_stat_activity WHERE datname = current_database() AND application_name = 'authfort'";

/// Lets go of a call after this time; says whether it was under way. Timers know milliseconds only.
async fn hang_up(call: Call, patience: Duration) -> bool {
    let pass = pin!(async {
        let started = Instant::now();
        while started.elapsed() < patience {
            tokio::task::yield_now().await;
        }
    });
    matches!(futures_util::future::select(call, pass).await, Either::Right(_))
}

/// Waits until what goes on without its caller is done. A transaction that nobody ends would be there for ever.
async fn quiet(raw: &mut Raw) {
    let busy = format!("SELECT count(*) FROM {OURS} AND state <> 'idle'");
    let done = async {
        while raw.count(&busy).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), done).await.expect("a transaction was left open");
}

both_engines! {
    async fn a_thousand_callers_who_hang_up_leave_nothing_behind(db: TestDatabase) {
        const CONNECTIONS: u32 = 3;
        let auth = builder(&clock()).max_connections(CONNECTIONS).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let token = refresh(&signed_in).to_owned();
        let mut raw = Raw::open(&db).await;
        let mut dropped = 0;
        // One after the other, at every moment of a transaction's beginning. The only connection comes back, and a call
        // that begins nothing finds it as it was left.
        let narrow = builder(&clock()).max_connections(1).connect(db.url()).await.unwrap();
        for step in 0..400 {
            dropped += usize::from(hang_up(call(&narrow, jane.id, &token, 9), Duration::from_micros(step * 3)).await);
            assert_eq!(code(&narrow.get_user(jane.id).await), "ok");
            if db.engine() == Engine::Postgres {
                quiet(&mut raw).await;
            }
        }
        narrow.close().await;
        // Eight at a time, and all kinds of calls, from "before the first poll" to "after the answer".
        for batch in 0..75 {
            let hanging_up: Vec<_> = (0..8)
                .map(|k| {
                    let n = batch * 8 + k;
                    let patience = Duration::from_micros((n * 7919 % 5003) as u64);
                    tokio::spawn(hang_up(call(&auth, jane.id, &token, n), patience))
                })
                .collect();
            for caller in hanging_up {
                dropped += usize::from(caller.await.unwrap());
            }
        }
        assert!(dropped >= 300, "only {dropped} were dropped under way");

        // The pool is whole: more callers than connections are all served, and none waits for one that is lost.
        let calls: Vec<_> = (0..30).map(|n| tokio::spawn(call(&auth, jane.id, &token, 16 * n + [0, 2, 5][n % 3]))).collect();
        for call in calls {
            let code = call.await.unwrap();
            assert!(code == "ok" || code == "user_exists", "{code}");
        }
        let name = auth.update_user(jane.id).name("Afterwards").await.unwrap().name;
        assert_eq!(name.as_deref(), Some("Afterwards"));
        assert_eq!(raw.texts("SELECT name FROM authfort_users WHERE email = 'jane@example.com'").await, ["Afterwards"]);
        match db.engine() {
            Engine::Postgres => {
                quiet(&mut raw).await;
                let open = format!("SELECT count(*) FROM {OURS}");
                // Two of the guard, and one that listens.
                assert!(raw.count(open).await <= i64::from(CONNECTIONS) + 3);
            }
            // Nobody holds the lock of the writer, or not for long.
            Engine::Sqlite => drop(raw.execute("BEGIN IMMEDIATE").await),
        }
    }

    async fn a_used_up_pool_is_an_error_in_time_and_the_guard_goes_on(db: TestDatabase) {
        const LISTS: usize = 4;
        let timeout = Duration::from_millis(700);
        let options = builder(&clock()).max_connections(1).acquire_timeout(timeout);
        let auth = options.connect(db.url()).await.unwrap();
        let jane = auth.create_user(EMAIL).role("editor").await.unwrap();
        let signed_in = auth.create_session(jane.id).await.unwrap();
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");

        // The log is read slowly, and so its readers hang; the guard does not read it.
        let mut raw = Raw::open(&db).await;
        raw.hold_up_readers("authfort_events").await;
        let started = Instant::now();
        // One has the connection and hangs, the others wait for it.
        let lists: Vec<_> = (0..LISTS).map(|_| tokio::spawn(auth.list_events().into_future())).collect();
        let mut asked = 0;
        while lists.iter().filter(|list| list.is_finished()).count() < LISTS - 1 {
            assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
            asked += 1;
        }
        assert!(started.elapsed() < timeout * 5, "{:?}", started.elapsed());
        assert!(asked >= 3, "the guard answered {asked} times");
        let (mut failed, mut hanging) = (0, Vec::new());
        for list in lists {
            if list.is_finished() {
                assert_eq!(code(&list.await.unwrap()), "database_unavailable");
                failed += 1;
            } else {
                hanging.push(list);
            }
        }
        assert_eq!((failed, hanging.len()), (LISTS - 1, 1));

        if let Engine::Postgres = db.engine() {
            raw.execute("COMMIT").await;
            let events = hanging.remove(0).await.unwrap().unwrap().events;
            assert!(events.iter().any(|event| event.r#type == "role_added"));
            assert_eq!(auth.list_users().await.unwrap().total, Some(1));
        }
    }

    async fn a_closed_service_says_that_the_database_is_unavailable(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        auth.close().await;
        assert_eq!(code(&auth.get_user(jane.id).await), "database_unavailable");
        assert_eq!(code(&auth.ban_user(jane.id).await), "database_unavailable");
        assert_eq!(code(&auth.ping().await), "database_unavailable");
        // Nobody is let through who cannot be asked about.
        assert_eq!(guard(&auth, access(&signed_in)).await, "database_unavailable");
        assert_eq!(code(&auth.introspect(access(&signed_in)).await), "database_unavailable");
    }

    async fn calls_that_cross_each_other_take_their_locks_in_one_order(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let elsewhere = builder(&clock).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let token = refresh(&auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap()).to_owned();
        for _ in 0..5 {
            let calls: Vec<_> = (0..32)
                .filter(|n| n % 16 != 2)
                .map(|n| tokio::spawn(call(if n < 16 { &auth } else { &elsewhere }, jane.id, &token, n)))
                .collect();
            for call in calls {
                let code = call.await.unwrap();
                let expected =
                    ["ok", "refresh_token_invalid", "refresh_token_reused", "invalid_credentials", "user_banned"];
                assert!(expected.contains(&code), "{code}");
            }
        }
        if let Engine::Postgres = db.engine() {
            // The numbers of a connection are complete once it is closed.
            auth.close().await;
            elsewhere.close().await;
            let mut raw = Raw::open(&db).await;
            let open = format!("SELECT count(*) FROM {OURS}");
            while raw.count(&open).await > 0 {
                tokio::task::yield_now().await;
            }
            let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
            assert_eq!(raw.count(deadlocks).await, 0);
        }
    }
}

#[test]
fn a_deadlock_or_a_failed_serialization_is_run_again() {
    for state in ["40P01", "40001", "55P03"] {
        run(Engine::Postgres, async |db| {
            let (auth, _) = service(&db).await;
            let jane = user(&auth, EMAIL).await;
            fail_with(&mut Raw::open(&db).await, state, 3).await;
            let banned = auth.ban_user(jane.id).reason("spam").await.unwrap();
            assert!(banned.banned);
            assert_eq!(banned, auth.get_user(jane.id).await.unwrap());
            // Once, however often it was tried.
            let (name, data) = log(&auth, jane.id).await.pop().unwrap();
            assert_eq!((name.as_str(), json!(data)), ("user_banned", json!({"reason": "spam", "expires_at": null})));
            assert_eq!(log(&auth, jane.id).await.len(), 2);
            assert_eq!(Raw::open(&db).await.count("SELECT last_value FROM failures").await, 4);
        });
    }
}

#[test]
fn a_serialization_that_fails_at_the_commit_is_run_again_as_a_whole() {
    for state in ["40P01", "40001"] {
        run(Engine::Postgres, async |db| {
            let (auth, _) = service(&db).await;
            let jane = user(&auth, EMAIL).await;
            fail_at_commit(&mut Raw::open(&db).await, state, 3).await;
            let banned = auth.ban_user(jane.id).await.unwrap();
            assert_eq!(banned, auth.get_user(jane.id).await.unwrap());
            assert_eq!(banned.version, jane.version + 1);
            assert_eq!(log(&auth, jane.id).await.len(), 2);
            assert_eq!(Raw::open(&db).await.count("SELECT last_value FROM failures").await, 4);
        });
    }
}

#[test]
fn what_fails_again_and_again_is_an_unavailable_database() {
    for state in ["40P01", "40001"] {
        run(Engine::Postgres, async |db| {
            let (auth, _) = service(&db).await;
            let jane = user(&auth, EMAIL).await;
            let mut raw = Raw::open(&db).await;
            fail_with(&mut raw, state, 1_000_000).await;
            let started = Instant::now();
            assert_eq!(code(&auth.ban_user(jane.id).await), "database_unavailable");
            assert!(started.elapsed() < Duration::from_secs(5));
            let attempts = raw.count("SELECT last_value FROM failures").await;
            assert!((2..=10).contains(&attempts), "{attempts} attempts");
            assert!(!auth.get_user(jane.id).await.unwrap().banned);
            raw.execute("DROP TRIGGER fail ON authfort_events").await;
            assert_eq!(code(&auth.ban_user(jane.id).await), "ok");
        });
    }
}

#[test]
fn what_an_administrators_timeout_cuts_off_is_an_unavailable_database() {
    run(Engine::Postgres, async |db| {
        let mut raw = Raw::open(&db).await;
        let name = raw.texts("SELECT current_database()::text").await.remove(0);
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        raw.execute(format!("ALTER DATABASE \"{name}\" SET statement_timeout = '100ms'")).await;
        let limited = builder(&clock()).connect(db.url()).await.unwrap();
        raw.execute("BEGIN").await;
        raw.execute("LOCK TABLE authfort_user_roles IN ACCESS EXCLUSIVE MODE").await;
        assert_eq!(code(&limited.get_user(jane.id).await), "database_unavailable");
        assert_eq!(code(&limited.ban_user(jane.id).await), "database_unavailable");
    });
}

#[test]
fn a_locked_file_is_waited_for_and_then_given_up() {
    run(Engine::Sqlite, async |db| {
        let timeout = Duration::from_millis(100);
        let auth = builder(&clock()).acquire_timeout(timeout).connect(db.url()).await.unwrap();
        let patient = builder(&clock()).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        // Another process that writes.
        let mut raw = Raw::open(&db).await;
        raw.execute("BEGIN IMMEDIATE").await;
        let waiting = tokio::spawn(patient.add_role(jane.id, "editor").into_future());
        let started = Instant::now();
        assert_eq!(code(&auth.ban_user(jane.id).await), "database_unavailable");
        assert!(started.elapsed() >= timeout && started.elapsed() < timeout * 30, "{:?}", started.elapsed());
        // Readers are not in anybody's way.
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        assert!(!auth.get_user(jane.id).await.unwrap().banned);
        assert!(!waiting.is_finished());
        raw.execute("COMMIT").await;
        assert_eq!(waiting.await.unwrap().unwrap(), ["editor"]);
        assert_eq!(code(&auth.ban_user(jane.id).await), "ok");
    });
}
