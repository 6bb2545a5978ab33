//! What the guard remembers: a known caller costs no statement, and a change is known in time, on every node.

use std::time::{Duration, Instant};

use authfort::AuthFort;
use authfort_testkit::{Engine, Relay, TestDatabase, both_engines, run};
use chrono::TimeDelta;
use futures_util::future::join_all;

use crate::callers::{names_arrive, signed_in, warm};
use crate::raw;
use crate::statements::counted;
use crate::support::{PASSWORD, builder, clock, service, user};
use crate::tools::{Raw, access, guard, lock_waiters, refresh};

/// Long enough that a slow machine is still sure of what it remembers.
const MINUTE: Duration = Duration::from_mins(1);
const BOUND: Duration = Duration::from_millis(300);

/// A service with one connection for the guard, so that none is opened meanwhile: SQLite's would send its settings as
/// statements.
async fn node(db: &TestDatabase, staleness: Duration) -> AuthFort {
    builder(&clock()).guard_connections(1).guard_staleness(staleness).connect(db.url()).await.unwrap()
}

/// Asks until the answer is the expected one. Another one may come only for as long as the bound allows.
async fn within_bound<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, mut ask: impl AsyncFnMut() -> T) {
    let acknowledged = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = ask().await;
        if answer == expected {
            return;
        }
        assert!(asked.duration_since(acknowledged) <= BOUND, "{what}: {answer:?} after the bound");
    }
}

both_engines! {
    async fn a_known_caller_costs_no_statement(db: TestDatabase) {
        let auth = node(&db, MINUTE).await;
        let jane = signed_in(&auth, "jane@example.com").await;
        assert_eq!(warm(&auth, access(&jane)).await, "ok");
        let principal = auth.authenticate(access(&jane)).await.unwrap();
        assert_eq!((principal.user_id, principal.email.as_str()), (jane.user.id, "jane@example.com"));
        // Another token of hers is another caller.
        let other = auth.create_session(jane.user.id).await.unwrap();
        assert!(counted(guard(&auth, access(&other))).await.1 > 0);
        assert_eq!(warm(&auth, access(&other)).await, "ok");
    }

    async fn of_many_calls_with_one_token_one_asks(db: TestDatabase) {
        let auth = node(&db, MINUTE).await;
        let jane = signed_in(&auth, "jane@example.com").await;
        warm(&auth, access(&jane)).await;
        let cold = auth.create_session(jane.user.id).await.unwrap();
        let calls = join_all((0..100).map(|_| guard(&auth, access(&cold))));
        let (answers, statements) = counted(calls).await;
        assert!(answers.iter().all(|answer| *answer == "ok"));
        assert_eq!(statements, 1);
    }

    async fn many_tokens_at_once_on_a_cold_node_cost_one_statement_each(db: TestDatabase) {
        let there = node(&db, MINUTE).await;
        let jane = signed_in(&there, "jane@example.com").await;
        let mut tokens = Vec::new();
        for _ in 0..50 {
            tokens.push(there.create_session(jane.user.id).await.unwrap());
        }
        let cold = node(&db, MINUTE).await;
        warm(&cold, access(&jane)).await;
        let calls = join_all((0..500).map(|n| guard(&cold, access(&tokens[n % 50]))));
        let (answers, statements) = counted(calls).await;
        assert!(answers.iter().all(|answer| *answer == "ok"));
        assert_eq!(statements, 50);
    }

    async fn without_staleness_each_request_asks(db: TestDatabase) {
        let auth = node(&db, Duration::ZERO).await;
        let jane = signed_in(&auth, "jane@example.com").await;
        for _ in 0..3 {
            assert_eq!(counted(guard(&auth, access(&jane))).await, ("ok", 1));
        }
    }

    async fn a_change_of_this_node_is_known_at_once(db: TestDatabase) {
        let auth = node(&db, MINUTE).await;
        let jane = signed_in(&auth, "jane@example.com").await;
        let (id, token) = (jane.user.id, access(&jane));
        warm(&auth, token).await;
        auth.add_role(id, "editor").immediate(false).await.unwrap();
        assert!(auth.authenticate(token).await.unwrap().has_role("editor"));
        warm(&auth, token).await;
        auth.remove_role(id, "editor").immediate(false).await.unwrap();
        assert!(!auth.authenticate(token).await.unwrap().has_role("editor"));
        warm(&auth, token).await;
        auth.update_user(id).name("Jane").await.unwrap();
        assert_eq!(auth.authenticate(token).await.unwrap().name.as_deref(), Some("Jane"));
        warm(&auth, token).await;
        auth.logout(refresh(&jane)).await.unwrap();
        assert_eq!(guard(&auth, token).await, "session_revoked");

        let again = auth.create_session(id).await.unwrap();
        warm(&auth, access(&again)).await;
        auth.ban_user(id).await.unwrap();
        assert_eq!(guard(&auth, access(&again)).await, "user_banned");
        // A refusal is remembered as well, where a change of it is logged; her session has ended.
        auth.unban_user(id).await.unwrap();
        assert_eq!(guard(&auth, access(&again)).await, "session_revoked");

        let last = auth.create_session(id).await.unwrap();
        warm(&auth, access(&last)).await;
        auth.delete_user(id).await.unwrap();
        assert_eq!(guard(&auth, access(&last)).await, "user_not_found");
    }

    async fn a_change_of_another_node_is_known_within_the_bound(db: TestDatabase) {
        let (here, there) = (node(&db, BOUND).await, node(&db, BOUND).await);
        let mut number = 0;
        let mut next = async || {
            number += 1;
            let jane = signed_in(&there, &format!("jane{number}@example.com")).await;
            assert_eq!(warm(&here, access(&jane)).await, "ok");
            jane
        };

        let jane = next().await;
        there.ban_user(jane.user.id).await.unwrap();
        within_bound("ban", "user_banned", async || guard(&here, access(&jane)).await).await;

        let jane = next().await;
        there.delete_user(jane.user.id).await.unwrap();
        within_bound("delete", "user_not_found", async || guard(&here, access(&jane)).await).await;

        let jane = next().await;
        there.delete_user(jane.user.id).anonymize().await.unwrap();
        within_bound("anonymize", "user_not_found", async || guard(&here, access(&jane)).await).await;

        let jane = next().await;
        there.set_password(jane.user.id, "another horse battery").await.unwrap();
        within_bound("password", "session_revoked", async || guard(&here, access(&jane)).await).await;

        let jane = next().await;
        there.revoke_session(jane.user.id, jane.session_id).await.unwrap();
        within_bound("session", "session_revoked", async || guard(&here, access(&jane)).await).await;

        let jane = next().await;
        there.logout(refresh(&jane)).await.unwrap();
        within_bound("logout", "session_revoked", async || guard(&here, access(&jane)).await).await;

        let jane = next().await;
        let seen = async || {
            let jane = here.authenticate(access(&jane)).await.unwrap();
            (jane.email.clone(), jane.name.clone(), jane.roles.clone())
        };
        let expected = |email: &str, name: Option<&str>, roles: &[&str]| {
            (email.to_owned(), name.map(ToOwned::to_owned), roles.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>())
        };
        there.add_role(jane.user.id, "editor").immediate(false).await.unwrap();
        let email = jane.user.email.as_str();
        within_bound("role", expected(email, None, &["editor"]), seen).await;
        there.remove_role(jane.user.id, "editor").immediate(false).await.unwrap();
        within_bound("role taken", expected(email, None, &[]), seen).await;
        there.update_user(jane.user.id).name("Jane").await.unwrap();
        within_bound("name", expected(email, Some("Jane"), &[]), seen).await;
        there.update_user(jane.user.id).email("new@example.com").await.unwrap();
        within_bound("address", "session_revoked", async || guard(&here, access(&jane)).await).await;

        let jane = next().await;
        there.rotate_keys().revoke_old_tokens().await.unwrap();
        within_bound("keys", "token_invalid", async || guard(&here, access(&jane)).await).await;
    }

    async fn plain_sql_and_the_applications_transaction_are_known_within_the_bound(db: TestDatabase) {
        let auth = node(&db, BOUND).await;
        let mut raw = Raw::open(&db).await;
        let jane = signed_in(&auth, "jane@example.com").await;
        warm(&auth, access(&jane)).await;
        raw.execute("UPDATE authfort_users SET banned = TRUE").await;
        within_bound("ban", "user_banned", async || guard(&auth, access(&jane)).await).await;
        assert_eq!(warm(&auth, access(&jane)).await, "user_banned");
        raw.execute("UPDATE authfort_users SET banned = FALSE").await;
        within_bound("unban", "ok", async || guard(&auth, access(&jane)).await).await;
        warm(&auth, access(&jane)).await;
        raw.execute("INSERT INTO authfort_user_roles (user_id, role, created_at) SELECT id, 'editor', created_at FROM authfort_users").await;
        within_bound("role", true, async || auth.authenticate(access(&jane)).await.unwrap().has_role("editor")).await;
        warm(&auth, access(&jane)).await;
        raw.execute("DELETE FROM authfort_user_roles").await;
        within_bound("no role", false, async || auth.authenticate(access(&jane)).await.unwrap().has_role("editor")).await;
        warm(&auth, access(&jane)).await;
        raw.execute("DELETE FROM authfort_sessions").await;
        within_bound("session", "session_revoked", async || guard(&auth, access(&jane)).await).await;

        let again = auth.create_session(jane.user.id).await.unwrap();
        warm(&auth, access(&again)).await;
        let host = raw::Raw::open(&db, 1).await;
        let mut tx = host.begin().await;
        auth.ban_user(jane.user.id).in_tx(tx.conn()).await.unwrap();
        tx.commit().await.unwrap();
        within_bound("in_tx", "user_banned", async || guard(&auth, access(&again)).await).await;

        let other = signed_in(&auth, "john@example.com").await;
        warm(&auth, access(&other)).await;
        raw.execute("DELETE FROM authfort_users").await;
        within_bound("delete", "user_not_found", async || guard(&auth, access(&other)).await).await;
    }

    async fn signing_in_and_refreshing_are_no_changes(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let mut raw = Raw::open(&db).await;
        user(&auth, "jane@example.com").await;
        let logged = "SELECT count(*) FROM authfort_standing_changes";
        let before = raw.count(logged).await;
        let signed_in = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        auth.refresh(refresh(&signed_in)).await.unwrap();
        assert_eq!(raw.count(logged).await, before);
        auth.logout(refresh(&signed_in)).await.unwrap();
        assert!(raw.count(logged).await > before);
    }

    async fn what_ends_by_the_clock_needs_no_statement(db: TestDatabase) {
        let clock = clock();
        let auth = builder(&clock).guard_connections(1).guard_staleness(MINUTE).connect(db.url()).await.unwrap();
        let mut raw = Raw::open(&db).await;
        let jane = signed_in(&auth, "jane@example.com").await;
        let ban = "UPDATE authfort_users SET banned = TRUE, ban_expires_at = '2030-01-01T12:05:00+00:00'";
        raw.execute(ban).await;
        assert_eq!(warm(&auth, access(&jane)).await, "user_banned");
        clock.advance(TimeDelta::minutes(5));
        assert_eq!(counted(guard(&auth, access(&jane))).await, ("ok", 0));
        raw.execute("UPDATE authfort_sessions SET expires_at = '2030-01-01T12:10:00+00:00'").await;
        // Not sooner than this change is known: the next one shows it.
        auth.update_user(jane.user.id).name("Jane").await.unwrap();
        assert_eq!(warm(&auth, access(&jane)).await, "ok");
        clock.advance(TimeDelta::minutes(5));
        assert_eq!(counted(guard(&auth, access(&jane))).await, ("session_revoked", 1), "it may have been extended");
        raw.execute("UPDATE authfort_sessions SET expires_at = '2030-01-01T12:14:00+00:00'").await;
        assert_eq!(guard(&auth, access(&jane)).await, "ok");
        clock.advance(TimeDelta::minutes(5));
        assert_eq!(counted(guard(&auth, access(&jane))).await, ("token_expired", 0));
    }
}

#[test]
fn a_transaction_that_commits_late_is_not_missed() {
    run(Engine::Postgres, async |db| {
        let auth = node(&db, BOUND).await;
        let (late, early) = (signed_in(&auth, "late@example.com").await, signed_in(&auth, "early@example.com").await);
        let mut first = Raw::open(&db).await;
        first.execute("BEGIN").await;
        first.execute("UPDATE authfort_users SET banned = TRUE WHERE email = 'late@example.com'").await;
        warm(&auth, access(&late)).await;
        warm(&auth, access(&early)).await;
        let mut second = Raw::open(&db).await;
        second.execute("UPDATE authfort_users SET banned = TRUE WHERE email = 'early@example.com'").await;
        within_bound("early", "user_banned", async || guard(&auth, access(&early)).await).await;
        assert_eq!(warm(&auth, access(&late)).await, "ok");
        first.execute("COMMIT").await;
        within_bound("late", "user_banned", async || guard(&auth, access(&late)).await).await;
    });
}

/// The log is read every 15 seconds here. Without notifications, 20 changes one after the other would take minutes.
#[test]
fn a_notification_is_faster_than_the_next_reading() {
    run(Engine::Postgres, async |db| {
        let (here, there) = (node(&db, MINUTE).await, node(&db, MINUTE).await);
        let jane = signed_in(&there, "jane@example.com").await;
        let began = Instant::now();
        names_arrive(&there, &here, &jane, 0..10).await;
        // The connection that listens is replaced, and what was missed meanwhile is read.
        let ended = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        assert!(Raw::open(&db).await.count(ended).await > 0);
        names_arrive(&there, &here, &jane, 10..20).await;
        assert!(began.elapsed() < MINUTE, "{:?}", began.elapsed());
    });
}

#[test]
fn without_notifications_the_log_is_read_within_the_bound() {
    run(Engine::Postgres, async |db| {
        let there = node(&db, BOUND).await;
        let here = builder(&clock()).guard_staleness(BOUND).notifications(false).connect(db.url()).await.unwrap();
        let jane = signed_in(&there, "jane@example.com").await;
        for banned in [true, false, true] {
            warm(&here, access(&jane)).await;
            Raw::open(&db).await.execute(format!("UPDATE authfort_users SET banned = {banned}")).await;
            let expected = if banned { "user_banned" } else { "ok" };
            within_bound("ban", expected, async || guard(&here, access(&jane)).await).await;
        }
        let listening =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        assert_eq!(Raw::open(&db).await.count(listening).await, 1, "only the other node");
    });
}

#[test]
fn a_node_that_hears_nothing_lets_nobody_through() {
    run(Engine::Postgres, async |db| {
        let there = node(&db, BOUND).await;
        let jane = signed_in(&there, "jane@example.com").await;
        let john = signed_in(&there, "john@example.com").await;
        let relay = Relay::to(db.url()).await;
        let options = builder(&clock()).guard_staleness(BOUND).acquire_timeout(Duration::from_millis(200));
        let here = options.connect(relay.url()).await.unwrap();
        warm(&here, access(&jane)).await;
        warm(&here, access(&john)).await;
        relay.fall_silent();
        there.ban_user(john.user.id).await.unwrap();
        within_bound("john", "database_unavailable", async || guard(&here, access(&john)).await).await;
        within_bound("jane", "database_unavailable", async || guard(&here, access(&jane)).await).await;
        relay.go_on();
        while guard(&here, access(&jane)).await != "ok" {}
        assert_eq!(guard(&here, access(&john)).await, "user_banned");
        assert_eq!(warm(&here, access(&jane)).await, "ok");
    });
}

#[test]
fn callers_with_one_token_do_not_wait_for_one_timeout_after_another() {
    run(Engine::Postgres, async |db| {
        let there = node(&db, MINUTE).await;
        let jane = signed_in(&there, "jane@example.com").await;
        let cold = there.create_session(jane.user.id).await.unwrap();
        let relay = Relay::to(db.url()).await;
        let options =
            builder(&clock()).guard_connections(1).guard_staleness(MINUTE).acquire_timeout(Duration::from_secs(3));
        let here = options.connect(relay.url()).await.unwrap();
        assert_eq!(warm(&here, access(&jane)).await, "ok");
        relay.fall_silent();
        let began = Instant::now();
        let answers = join_all((0..30).map(|_| guard(&here, access(&cold)))).await;
        assert!(answers.iter().all(|answer| *answer == "database_unavailable"), "{answers:?}");
        // One after the other would take a minute and a half.
        assert!(began.elapsed() < MINUTE / 2, "{:?}", began.elapsed());
        assert_eq!(guard(&here, access(&jane)).await, "ok", "what is known needs no database yet");
    });
}

#[test]
fn a_token_that_expires_while_its_call_waits_is_refused() {
    run(Engine::Postgres, async |db| {
        let clock = clock();
        let options = builder(&clock).guard_connections(1).guard_staleness(MINUTE);
        let auth = options.connect(db.url()).await.unwrap();
        let jane = signed_in(&auth, "jane@example.com").await;
        assert_eq!(warm(&auth, access(&jane)).await, "ok");
        let cold = auth.create_session(jane.user.id).await.unwrap();
        let mut raw = Raw::open(&db).await;
        raw.hold_up_readers("authfort_users").await;
        let expire = async {
            lock_waiters(&db, 1).await;
            clock.advance(TimeDelta::hours(1));
            raw.execute("COMMIT").await;
        };
        let (first, second, ()) = tokio::join!(guard(&auth, access(&cold)), guard(&auth, access(&cold)), expire);
        // The time of the answer counts, not that of the call.
        assert_eq!((first, second), ("token_expired", "token_expired"));
    });
}

#[test]
fn an_id_that_goes_to_another_row_is_another_user() {
    run(Engine::Postgres, async |db| {
        let auth = node(&db, BOUND).await;
        let jane = signed_in(&auth, "jane@example.com").await;
        let ghost = auth.create_user("ghost@example.com").await.unwrap().id;
        auth.ban_user(ghost).await.unwrap();
        assert_eq!(warm(&auth, access(&jane)).await, "ok");
        let (jane_id, other) = (jane.user.id, ghost.to_string().replace('0', "1"));
        let exchange = format!(
            "WITH away AS (UPDATE authfort_users SET id = '{other}' WHERE id = '{jane_id}' RETURNING 1)
             UPDATE authfort_users SET id = '{jane_id}' WHERE id = '{ghost}' AND EXISTS (SELECT 1 FROM away)"
        );
        Raw::open(&db).await.execute(exchange).await;
        within_bound("jane", "user_banned", async || guard(&auth, access(&jane)).await).await;
    });
}

#[test]
fn whoever_empties_the_log_tells_everybody() {
    run(Engine::Postgres, async |db| {
        let auth = node(&db, BOUND).await;
        let jane = signed_in(&auth, "jane@example.com").await;
        assert_eq!(warm(&auth, access(&jane)).await, "ok");
        let mut raw = Raw::open(&db).await;
        raw.execute("BEGIN").await;
        raw.execute("UPDATE authfort_users SET banned = TRUE").await;
        raw.execute("TRUNCATE authfort_standing_changes").await;
        raw.execute("COMMIT").await;
        within_bound("jane", "user_banned", async || guard(&auth, access(&jane)).await).await;
    });
}

#[test]
fn nobody_else_runs_the_functions_that_have_their_owners_rights() {
    run(Engine::Postgres, async |db| {
        let _auth = node(&db, BOUND).await;
        let mut raw = Raw::open(&db).await;
        let functions = "SELECT count(*) FROM pg_proc WHERE prosecdef AND proname LIKE 'authfort%'";
        assert!(raw.count(functions).await > 3);
        let open = format!("{functions} AND has_function_privilege('public', oid, 'EXECUTE')");
        assert_eq!(raw.count(open).await, 0);
    });
}

/// What waits for a lock is left by its caller after a while, and must not stay.
#[test]
fn readings_that_wait_for_a_lock_do_not_pile_up() {
    run(Engine::Postgres, async |db| {
        let options = builder(&clock()).guard_connections(1).guard_staleness(BOUND);
        let auth = options.acquire_timeout(Duration::from_millis(200)).connect(db.url()).await.unwrap();
        let jane = signed_in(&auth, "jane@example.com").await;
        assert_eq!(warm(&auth, access(&jane)).await, "ok");
        let mut raw = Raw::open(&db).await;
        raw.hold_up_readers("authfort_standing_changes").await;
        let mut other = Raw::open(&db).await;
        for _ in 0..50 {
            guard(&auth, access(&jane)).await;
            let waiting = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
            assert!(other.count(waiting).await <= 3);
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        raw.execute("COMMIT").await;
        while warm(&auth, access(&jane)).await != "ok" {}
    });
}

#[test]
fn a_session_that_ends_sooner_is_told_whatever_the_offset_of_its_time() {
    run(Engine::Sqlite, async |db| {
        let auth = node(&db, BOUND).await;
        let jane = signed_in(&auth, "jane@example.com").await;
        let mut raw = Raw::open(&db).await;
        raw.execute("UPDATE authfort_sessions SET expires_at = '2030-01-01T12:30:00+00:00'").await;
        assert_eq!(warm(&auth, access(&jane)).await, "ok");
        raw.execute("UPDATE authfort_sessions SET expires_at = '2030-01-01T13:00:00+05:00'").await;
        within_bound("jane", "session_revoked", async || guard(&auth, access(&jane)).await).await;
    });
}
