//! Passwords: how they are kept, one answer and one time for every failed login, the breach hook, and changing them.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use authfort::secrecy::{ExposeSecret, SecretString};
use authfort::{Actor, AuthFort, Builder, Clock, Error, Hashing, OnFailure};
use authfort_testkit::{Engine, TestDatabase, both_engines, run};
use serde_json::{Value, json};

use crate::support::{PASSWORD, builder, clock, service, user};
use crate::tools::{Raw, access, code, count, guard, lock_waiters, log};

const EMAIL: &str = "jane@example.com";
const NEW: &str = "a new password";
const STRONG: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

/// As in production.
fn real(clock: &Clock) -> Builder {
    builder(clock).hashing(Hashing::default())
}

async fn stored(raw: &mut Raw) -> String {
    raw.texts(format!("SELECT password_hash FROM authfort_users WHERE email = '{EMAIL}'")).await.remove(0)
}

/// Counts the changes of password hashes in a table of its own.
async fn count_changes(raw: &mut Raw) {
    raw.execute("CREATE TABLE changes (n bigint NOT NULL)").await;
    if matches!(raw, Raw::Sqlite(_)) {
        let trigger = "CREATE TRIGGER count_changes AFTER UPDATE OF password_hash ON authfort_users
             BEGIN INSERT INTO changes (n) VALUES (1); END";
        raw.execute(trigger).await;
    } else {
        let function = "CREATE FUNCTION count_changes() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO changes (n) VALUES (1); RETURN NEW; END'";
        raw.execute(function).await;
        let trigger = "CREATE TRIGGER count_changes AFTER UPDATE OF password_hash ON authfort_users
             FOR EACH ROW EXECUTE FUNCTION count_changes()";
        raw.execute(trigger).await;
    }
}

/// Why logins failed, as only the log knows it.
async fn details(auth: &AuthFort) -> Vec<Value> {
    let page = auth.list_events().r#type("login_failed").order(authfort::SortOrder::Asc).limit(200).await.unwrap();
    page.events.into_iter().map(|event| event.data["detail"].clone()).collect()
}

/// Users who cannot sign in, by the reason in the log, with the password to try.
async fn users_who_fail(auth: &AuthFort) -> Vec<(&'static str, &'static str, &'static str)> {
    user(auth, "wrong@example.com").await;
    auth.create_user("passwordless@example.com").await.unwrap();
    let banned = user(auth, "banned@example.com").await;
    auth.ban_user(banned.id).await.unwrap();
    let erased = user(auth, "erased@example.com").await;
    auth.delete_user(erased.id).anonymize().await.unwrap();
    vec![
        ("unknown_user", "nobody@example.com", PASSWORD),
        ("wrong_password", "wrong@example.com", "not the password"),
        ("no_password", "passwordless@example.com", PASSWORD),
        ("banned", "banned@example.com", PASSWORD),
        ("unknown_user", "erased@example.com", PASSWORD),
    ]
}

/// What another node, or an administrator's script, writes while a login is under way: a hash of `password` that takes a
/// while to check.
fn slow_hash(password: &str) -> String {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
    let params = Params::new(128 * 1024, 4, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_with_salt(password.as_bytes(), b"sixteen bytes ok").unwrap().to_string()
}

both_engines! {
    async fn a_hash_that_changed_meanwhile_is_checked_while_others_write(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let john = user(&auth, "john@example.com").await;
        for (password, expected) in [(PASSWORD, "ok"), ("some other password", "invalid_credentials")] {
            let slow = slow_hash(password);
            for change in [false, true] {
                auth.set_password(jane.id, PASSWORD).await.unwrap();
                let mut raw = Raw::open(&db).await;
                raw.execute(if db.engine() == Engine::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" }).await;
                raw.execute(format!("UPDATE authfort_users SET password_hash = '{slow}' WHERE email = '{EMAIL}'")).await;
                let (auth, id) = (auth.clone(), jane.id);
                let waiting = {
                    let auth = auth.clone();
                    tokio::spawn(async move {
                        if change {
                            code(&auth.change_password(id, PASSWORD, NEW).await)
                        } else {
                            code(&auth.login(EMAIL, PASSWORD).await)
                        }
                    })
                };
                match db.engine() {
                    Engine::Postgres => lock_waiters(&db, 1).await,
                    // SQLite cannot tell who waits: this long it takes to come to the transaction.
                    Engine::Sqlite => tokio::time::sleep(Duration::from_millis(300)).await,
                }
                raw.execute("COMMIT").await;
                // The transaction that found another hash is over before that hash is computed.
                let mut writes = 0;
                while !waiting.is_finished() {
                    auth.update_user(john.id).name(format!("John {writes}")).await.unwrap();
                    writes += 1;
                }
                assert_eq!(waiting.await.unwrap(), expected);
                assert!(writes >= 3, "{writes}");
            }
        }
    }

    async fn who_hangs_up_while_a_password_waits_gives_up_the_place(db: TestDatabase) {
        let hashing = Hashing::default().permits(1).queue(3);
        let auth = builder(&clock()).hashing(hashing).connect(db.url()).await.unwrap();
        user(&auth, EMAIL).await;
        let login = || tokio::spawn(auth.login(EMAIL, PASSWORD).into_future());
        for _ in 0..3 {
            // As many as run and wait, and then some: the first to be told so shows that all places are taken.
            let mut callers: futures_util::stream::FuturesUnordered<_> = (0..200).map(|_| login()).collect();
            while code(&futures_util::StreamExt::next(&mut callers).await.unwrap().unwrap()) != "overloaded" {}
            for caller in &callers {
                caller.abort();
            }
            futures_util::StreamExt::for_each(callers, async |_| ()).await;
            // One may run still. Without the places that were given up, the next three could not all wait.
            let next = [login(), login(), login()];
            for caller in next {
                assert_eq!(code(&caller.await.unwrap()), "ok");
            }
        }
    }

    async fn a_password_is_kept_as_argon2id_and_a_weaker_hash_is_replaced_once(db: TestDatabase) {
        let (weak, clock) = service(&db).await;
        user(&weak, EMAIL).await;
        let auth = real(&clock).connect(db.url()).await.unwrap();
        let mut raw = Raw::open(&db).await;
        let old = stored(&mut raw).await;
        assert!(old.starts_with("$argon2id$v=19$m=32,t=1,p=1$"), "{old}");
        count_changes(&mut raw).await;

        // A wrong password replaces nothing.
        assert_eq!(code(&auth.login(EMAIL, NEW).await), "invalid_credentials");
        assert_eq!(stored(&mut raw).await, old);
        let calls: Vec<_> = (0..4).map(|_| tokio::spawn(auth.login(EMAIL, PASSWORD).into_future())).collect();
        for call in calls {
            let signed_in = call.await.unwrap().unwrap().signed_in().unwrap();
            assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        }
        assert_eq!(raw.count("SELECT count(*) FROM changes").await, 1);
        let new = stored(&mut raw).await;
        assert!(new.starts_with(STRONG), "{new}");
        assert_eq!(code(&auth.login(EMAIL, PASSWORD).await), "ok");
        assert_eq!(stored(&mut raw).await, new);
        // A stronger hash is left alone by who is configured for less.
        assert_eq!(code(&weak.login(EMAIL, PASSWORD).await), "ok");
        assert_eq!(stored(&mut raw).await, new);
    }

    async fn a_login_under_way_does_not_outlive_its_password(db: TestDatabase) {
        let (weak, clock) = service(&db).await;
        user(&weak, EMAIL).await;
        weak.create_user("john@example.com").password(NEW).await.unwrap();
        // For this one the hash is weak, so a login brings a stronger one along.
        let auth = builder(&clock).hashing(Hashing::insecure_fast_for_tests().iterations(2)).connect(db.url()).await.unwrap();
        let mut raw = Raw::open(&db).await;
        raw.execute(if db.engine() == Engine::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" }).await;
        raw.execute(format!(
            "UPDATE authfort_users SET password_hash = (SELECT o.password_hash FROM authfort_users o
                 WHERE o.email = 'john@example.com') WHERE email = '{EMAIL}'"
        ))
        .await;
        let login = tokio::spawn(auth.login(EMAIL, PASSWORD).into_future());
        match db.engine() {
            Engine::Postgres => lock_waiters(&db, 1).await,
            // Nobody can see who waits for SQLite's lock. Too short, this tests less; it cannot fail for that.
            Engine::Sqlite => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        raw.execute("COMMIT").await;
        assert_eq!(code(&login.await.unwrap()), "invalid_credentials");
        assert_eq!(details(&auth).await, ["wrong_password"]);
        assert_eq!(code(&auth.login(EMAIL, NEW).await), "ok");
    }

    async fn long_passwords_are_taken_whole_and_endless_ones_refused_without_hashing(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let emoji = "🦀".repeat(256);
        for (n, password) in ["a".repeat(64), "a".repeat(256), emoji, "  two  spaces  ".to_owned()].iter().enumerate() {
            let email = format!("user-{n}@example.com");
            auth.create_user(&email).password(password.as_str()).await.unwrap();
            assert_eq!(code(&auth.login(&email, password.as_str()).await), "ok");
            let mut other = password.clone();
            other.pop();
            assert_eq!(code(&auth.login(&email, format!("{other}b")).await), "invalid_credentials");
            assert_eq!(code(&auth.login(&email, other).await), "invalid_credentials");
        }
        let users = auth.get_user_count().await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let megabyte = "a".repeat(1 << 20);
        let refused = |outcome: Result<(), Error>, field: &str| {
            let Err(Error::Validation(faults)) = outcome else { panic!("{outcome:?}") };
            assert_eq!(faults.iter().map(|f| (f.field.as_str(), f.code)).collect::<Vec<_>>(), [(field, "too_long")]);
        };
        refused(auth.create_user("new@example.com").password(megabyte.as_str()).await.map(drop), "password");
        refused(auth.sign_up("new@example.com", megabyte.as_str()).await.map(drop), "password");
        refused(auth.set_password(jane.id, megabyte.as_str()).await, "password");
        refused(auth.change_password(jane.id, PASSWORD, megabyte.as_str()).await, "new_password");
        assert_eq!(code(&auth.login(EMAIL, megabyte.as_str()).await), "invalid_credentials");
        assert_eq!(code(&auth.login(EMAIL, PASSWORD).await), "ok");
        assert_eq!(auth.get_user_count().await.unwrap(), users + 1);
    }

    async fn composed_and_decomposed_spellings_are_one_password(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (composed, decomposed) = ("caf\u{e9} au lait", "cafe\u{301} au lait");
        for (email, set) in [(EMAIL, composed), ("john@example.com", decomposed)] {
            let id = auth.create_user(email).password(set).await.unwrap().id;
            assert_eq!(code(&auth.login(email, composed).await), "ok");
            assert_eq!(code(&auth.login(email, decomposed).await), "ok");
            assert_eq!(code(&auth.login(email, "cafe au lait").await), "invalid_credentials");
            auth.change_password(id, if set == composed { decomposed } else { composed }, NEW).await.unwrap();
        }
    }

    async fn defect_15_every_failed_login_is_answered_alike(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let cases = users_who_fail(&auth).await;
        for (detail, email, password) in &cases {
            let error = auth.login(email, *password).await.unwrap_err();
            // A ban is told to whom it concerns: after the right password, and not after a wrong one.
            let expected = if *detail == "banned" {
                assert_eq!(code(&auth.login(email, "not the password").await), "invalid_credentials");
                "UserBanned This user is banned."
            } else {
                "InvalidCredentials Email or password is wrong."
            };
            assert_eq!(format!("{error:?} {error}"), expected, "{email}");
        }
        let expected = ["unknown_user", "wrong_password", "no_password", "banned", "wrong_password", "unknown_user"];
        assert_eq!(details(&auth).await, expected);
        let long = "a".repeat(1 << 20);
        for email in ["", "no address", "nobody@example.com\0", "wrong@example.com'--", &long] {
            assert_eq!(code(&auth.login(email, PASSWORD).await), "invalid_credentials");
        }
        assert_eq!(auth.get_user_count().banned(false).await.unwrap(), 2);
    }

    async fn defect_05_a_failed_login_is_in_the_log(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let client = Actor::system().ip_address("2001:db8::1".parse().unwrap()).user_agent("curl").request_id("req-7");
        assert_eq!(code(&auth.by(client).login(" JANE@example.com", NEW).await), "invalid_credentials");
        let event = auth.list_events().r#type("login_failed").await.unwrap().events.remove(0);
        assert_eq!((event.user_id, event.actor_id, event.request_id.as_deref()), (Some(jane.id), None, Some("req-7")));
        let facts = json!({
            "email": EMAIL, "reason": "invalid_credentials", "detail": "wrong_password", "ip_address": "2001:db8::1", "user_agent": "curl",
        });
        assert_eq!(Value::from(event.data), facts);
    }

    async fn what_cannot_wait_to_be_hashed_is_told_so_and_the_rest_goes_on(db: TestDatabase) {
        let clock = clock();
        let hashing = Hashing::default().permits(1).queue(3);
        let auth = builder(&clock).hashing(hashing).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let calls: Vec<_> = (0..30).map(|_| tokio::spawn(auth.login(EMAIL, PASSWORD).into_future())).collect();
        let mut pings = 0;
        while calls.iter().any(|call| !call.is_finished()) {
            auth.ping().await.unwrap();
            pings += 1;
        }
        let (mut ok, mut overloaded) = (0, 0);
        for call in calls {
            match code(&call.await.unwrap()) {
                "ok" => ok += 1,
                "overloaded" => overloaded += 1,
                other => panic!("{other}"),
            }
        }
        assert_eq!(ok + overloaded, 30);
        assert!(ok >= 4 && overloaded >= 1, "{ok} logins, {overloaded} turned away");
        assert!(pings >= 4, "only {pings} pings while passwords were hashed");
        // Who was turned away has tried no password.
        assert_eq!(count(&auth, jane.id, "login_failed").await, 0);
        assert_eq!(code(&auth.login(EMAIL, PASSWORD).await), "ok");
    }

    async fn a_breached_password_is_refused_wherever_one_is_set(db: TestDatabase) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let hook = move |password: SecretString| {
            let password = password.expose_secret().to_owned();
            seen.lock().unwrap().push(password.clone());
            async move { Ok::<_, io::Error>(password == "breached password") }
        };
        let auth = builder(&clock()).breach_check(hook).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let reset = auth.request_password_reset(EMAIL).await.unwrap().unwrap().token;
        // In the spelling that is hashed.
        let breached = "ｂreached password";
        let refused = |outcome: Result<(), Error>, field: &str| {
            let Err(Error::Validation(faults)) = outcome else { panic!("{outcome:?}") };
            let list: Vec<_> = faults.iter().map(|f| (f.field.as_str(), f.code)).collect();
            assert_eq!(list, [(field, "password_breached")]);
        };
        refused(auth.create_user("new@example.com").password(breached).await.map(drop), "password");
        refused(auth.sign_up("new@example.com", breached).await.map(drop), "password");
        refused(auth.set_password(jane.id, breached).await, "password");
        refused(auth.change_password(jane.id, PASSWORD, breached).await, "new_password");
        refused(auth.reset_password(reset.clone(), breached).await.map(drop), "new_password");
        assert_eq!(asked.lock().unwrap().iter().filter(|p| *p == "breached password").count(), 5);
        // Nothing changed, and signing in asks nobody.
        let before = asked.lock().unwrap().len();
        assert_eq!(code(&auth.login(EMAIL, PASSWORD).await), "ok");
        assert_eq!(code(&auth.login(EMAIL, breached).await), "invalid_credentials");
        assert_eq!(asked.lock().unwrap().len(), before);
        assert_eq!(auth.get_user_count().await.unwrap(), 1);
        assert_eq!(code(&auth.reset_password(reset, NEW).await), "ok");
    }

    async fn a_breach_hook_that_fails_does_as_configured(db: TestDatabase) {
        let hang = |_: SecretString| std::future::pending::<io::Result<bool>>();
        let fail = |_: SecretString| async { Err::<bool, _>(io::Error::other("the list is down")) };
        let options = || builder(&clock()).breach_timeout(Duration::from_millis(20));
        let open = [options().breach_check(hang), options().breach_check(fail)];
        let closed = [options().breach_check(hang), options().breach_check(fail)]
            .map(|builder| builder.breach_failure(OnFailure::FailClosed));
        for (n, builder) in open.into_iter().enumerate() {
            let auth = builder.connect(db.url()).await.unwrap();
            assert_eq!(code(&auth.create_user(format!("open-{n}@example.com")).password(PASSWORD).await), "ok");
        }
        for builder in closed {
            let auth = builder.connect(db.url()).await.unwrap();
            let error = auth.create_user("closed@example.com").password(PASSWORD).await.unwrap_err();
            assert!(matches!(&error, Error::Validation(f) if f[0].code == "password_check_unavailable"), "{error:?}");
            assert_eq!(auth.get_user_count().await.unwrap(), 2);
        }
    }

    async fn defect_19_a_row_without_a_usable_hash_is_a_wrong_password(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let mut raw = Raw::open(&db).await;
        let good = stored(&mut raw).await;
        for bad in [
            "",
            "$",
            "plain text",
            "$2b$12$GhvMmNVjRW29ulnudl.LbuAnUtN/LRfe1JsBm1Xu6LE3059z5Tr8m",
            "$argon2id$v=19$m=4294967295,t=4294967295,p=1$c2l4dGVlbiBieXRlcyBvaw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=99$m=32,t=1,p=1$c2l4dGVlbiBieXRlcyBvaw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            &good[..good.len() - 10],
            &good.replace("argon2id", "argon2xx"),
        ] {
            raw.execute(format!("UPDATE authfort_users SET password_hash = '{bad}'")).await;
            assert_eq!(code(&auth.login(EMAIL, PASSWORD).await), "invalid_credentials", "{bad}");
            assert_eq!(code(&auth.change_password(jane.id, PASSWORD, NEW).await), "invalid_credentials", "{bad}");
        }
        // And it is no dead end.
        auth.set_password(jane.id, NEW).await.unwrap();
        assert_eq!(code(&auth.login(EMAIL, NEW).await), "ok");
    }

    async fn defect_19_a_hash_of_another_library_verifies_and_is_replaced(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, EMAIL).await;
        let mut raw = Raw::open(&db).await;
        // Argon2i, version 16, of "password": from the test vectors of the reference implementation.
        let foreign = "$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY";
        raw.execute(format!("UPDATE authfort_users SET password_hash = '{foreign}'")).await;
        assert_eq!(code(&auth.login(EMAIL, "passwort").await), "invalid_credentials");
        assert_eq!(stored(&mut raw).await, foreign);
        assert_eq!(code(&auth.login(EMAIL, "password").await), "ok");
        assert!(stored(&mut raw).await.starts_with("$argon2id$v=19$"));
        assert_eq!(code(&auth.login(EMAIL, "password").await), "ok");
    }

    async fn a_first_password_is_set_and_a_second_is_a_change(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let id = auth.create_user(EMAIL).await.unwrap().id;
        auth.set_password(id, PASSWORD).await.unwrap();
        auth.set_password(id, NEW).await.unwrap();
        auth.by(id).change_password(id, NEW, PASSWORD).await.unwrap();
        let events: Vec<_> = log(&auth, id).await.into_iter().skip(1).map(|(t, d)| (t, Value::from(d))).collect();
        let expected = ["password_set", "password_changed", "password_changed"].map(|t| (t.to_owned(), json!({})));
        assert_eq!(events, expected);
        assert_eq!(auth.list_events().await.unwrap().events[0].actor_id, Some(id));
        assert_eq!(code(&auth.login(EMAIL, PASSWORD).await), "ok");
    }

    async fn a_password_is_not_changed_without_the_current_one(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let passwordless = auth.create_user("passwordless@example.com").await.unwrap();
        let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let before = auth.get_user(jane.id).await.unwrap();
        assert_eq!(code(&auth.change_password(jane.id, NEW, NEW).await), "invalid_credentials");
        assert_eq!(code(&auth.change_password(jane.id, "", NEW).await), "invalid_credentials");
        assert_eq!(code(&auth.change_password(jane.id, PASSWORD, "short").await), "validation_failed");
        assert_eq!(code(&auth.change_password(passwordless.id, "", NEW).await), "invalid_credentials");
        let nobody = authfort::UserId::from(signed_in.session_id.0);
        assert_eq!(code(&auth.change_password(nobody, PASSWORD, NEW).await), "invalid_credentials");
        assert_eq!(code(&auth.set_password(nobody, NEW).await), "user_not_found");
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        assert_eq!(auth.get_user(jane.id).await.unwrap(), before);
        assert_eq!(count(&auth, jane.id, "password_changed").await, 0);
    }

    async fn of_two_who_change_a_password_at_once_one_does(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for n in 0..10 {
            let email = format!("user-{n}@example.com");
            let id = user(&auth, &email).await.id;
            let calls = ["first password", "second password"]
                .map(|new| (new, tokio::spawn(auth.change_password(id, PASSWORD, new).into_future())));
            let mut winners = Vec::new();
            for (new, call) in calls {
                match code(&call.await.unwrap()) {
                    "ok" => winners.push(new),
                    other => assert_eq!(other, "invalid_credentials"),
                }
            }
            assert_eq!(winners.len(), 1, "round {n}");
            assert_eq!(code(&auth.login(&email, winners[0]).await), "ok");
        }
    }
}

/// On one engine: what takes the time is the hash.
#[test]
fn defect_15_every_failed_login_takes_the_same_time() {
    const TRIES: usize = 25;
    run(Engine::Sqlite, async |db| {
        let auth = real(&clock()).connect(db.url()).await.unwrap();
        let cases = users_who_fail(&auth).await;
        let mut times = vec![Vec::new(); cases.len()];
        let mut quartiles = Vec::new();
        // What else runs on the machine disturbs a round now and then, and all rounds alike hardly ever.
        for _ in 0..16 {
            // Interleaved, so that a slower moment meets all of them.
            for _ in 0..TRIES {
                for ((_, email, password), times) in cases.iter().zip(&mut times) {
                    let started = Instant::now();
                    assert!(auth.login(email, *password).await.is_err());
                    times.push(started.elapsed());
                }
            }
            // The lower quartile: what disturbs a try makes it longer, never shorter.
            quartiles = times
                .iter_mut()
                .map(|times: &mut Vec<Duration>| {
                    times.sort_unstable();
                    times[times.len() / 4].as_secs_f64()
                })
                .collect();
            let (low, high) = quartiles.iter().fold((f64::MAX, 0.0_f64), |(low, high), m| (low.min(*m), high.max(*m)));
            if high / low < 1.1 {
                return;
            }
        }
        panic!("the times differ: {quartiles:?}");
    });
}
