//! Who acts, asked once more at the commit: a request may have been held back since the guard let it in.

use authfort::secrecy::ExposeSecret;
use std::time::Duration;

use authfort::{Actor, AuthFort, Principal, UserId};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use chrono::TimeDelta;

use crate::raw::Raw;
use crate::support::{admin, service, user};
use crate::tools;

async fn signed_in(auth: &AuthFort, email: &str) -> std::sync::Arc<Principal> {
    let id = admin(auth, email).await.id;
    let tokens = auth.create_session(id).await.unwrap().tokens;
    auth.authenticate(tokens.access_token.expose_secret()).await.unwrap()
}

/// What every kind of write by this actor is answered.
async fn answers(auth: &AuthFort, principal: &Principal, email: &str) -> [String; 3] {
    let acting = auth.by(Actor::from(principal).require_role("admin"));
    let jane = auth.find_user_by_email("jane@example.com").await.unwrap().unwrap().id;
    let name = auth.now().timestamp_micros().to_string();
    let code =
        |outcome: Result<(), authfort::Error>| outcome.map_or_else(|e| e.code().to_owned(), |()| "ok".to_owned());
    [
        code(acting.create_user(email).await.map(drop)),
        code(acting.update_user(jane).name(format!("{email} {name}")).await.map(drop)),
        code(acting.set_password(jane, "another password").await),
    ]
}

both_engines! {
    async fn a_write_that_was_held_back_does_not_outlive_the_standing_of_who_sent_it(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let root = admin(&auth, "root@example.com").await.id;
        user(&auth, "jane@example.com").await;

        let well = signed_in(&auth, "well@example.com").await;
        assert_eq!(answers(&auth, &well, "a@example.com").await, ["ok", "ok", "ok"]);

        let banned = signed_in(&auth, "banned@example.com").await;
        auth.by(root).ban_user(banned.user_id).await.unwrap();
        assert_eq!(answers(&auth, &banned, "b@example.com").await, ["user_banned"; 3]);

        let demoted = signed_in(&auth, "demoted@example.com").await;
        auth.by(root).remove_role(demoted.user_id, "admin").await.unwrap();
        assert_eq!(answers(&auth, &demoted, "c@example.com").await, ["token_version_mismatch"; 3]);

        // Its live token goes on reading, and writes no more.
        let later = signed_in(&auth, "later@example.com").await;
        auth.by(root).remove_role(later.user_id, "admin").immediate(false).await.unwrap();
        assert_eq!(answers(&auth, &later, "d@example.com").await, ["insufficient_role"; 3]);

        let ended = signed_in(&auth, "ended@example.com").await;
        auth.revoke_sessions(ended.user_id).await.unwrap();
        assert_eq!(answers(&auth, &ended, "e@example.com").await, ["session_revoked"; 3]);

        let deleted = signed_in(&auth, "deleted@example.com").await;
        auth.delete_user(deleted.user_id).await.unwrap();
        assert_eq!(answers(&auth, &deleted, "f@example.com").await, ["user_not_found"; 3]);

        clock.advance(TimeDelta::hours(1));
        assert_eq!(answers(&auth, &well, "g@example.com").await, ["token_expired"; 3]);
    }

    async fn a_lock_that_somebody_else_holds_is_waited_for_a_bounded_time(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await.id;
        let raw = Raw::open(&db, 1).await;
        let mut tx = raw.begin().await;
        let id = raw.literal(jane);
        tx.execute(format!("UPDATE authfort_users SET phone = phone WHERE id = {id}")).await.unwrap();
        let call = tokio::time::timeout(std::time::Duration::from_mins(1), async { auth.ban_user(jane).await });
        let outcome = call.await.expect("it hangs");
        assert_eq!(outcome.unwrap_err().code(), "database_unavailable");
        tx.rollback().await;
        assert!(auth.ban_user(jane).await.unwrap().banned);
    }

    async fn addresses_and_searches_know_one_sigma(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        auth.create_user("νικος@example.com").name("Σας Ὀδυσσεύς").await.unwrap();
        assert_eq!(auth.create_user("ΝΙΚΟΣ@EXAMPLE.COM").await.unwrap_err().code(), "user_exists");
        assert_eq!(auth.get_user_count().query("ὈΔΥΣΣΕΎΣ").await.unwrap(), 1);
        assert_eq!(auth.get_user_count().query("ὀδυσσεύς").await.unwrap(), 1);
    }

    async fn times_at_the_edges_mean_the_same_on_both_engines(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await.id;
        let last = "9999-12-31T23:59:59.9999999Z".parse().unwrap();
        let error = auth.get_user_count().created_before(last).await.unwrap_err();
        assert_eq!(error.code(), "validation_failed");
        for far in [chrono::DateTime::<chrono::Utc>::MAX_UTC, last] {
            assert_eq!(auth.get_user_count().created_after(far).await.unwrap_err().code(), "validation_failed");
        }
        let never = chrono::DateTime::<chrono::Utc>::MAX_UTC;
        assert_eq!(auth.ban_user(jane).expires_at(never).await.unwrap_err().code(), "validation_failed");
        let leap = "2031-06-30T23:59:60Z".parse().unwrap();
        let banned = auth.ban_user(jane).expires_at(leap).await.unwrap();
        assert_eq!(banned.ban_expires_at.unwrap().to_rfc3339(), "2031-07-01T00:00:00+00:00");
        assert_eq!(auth.ban_user(jane).expires_at(leap).await.unwrap(), banned);
    }

    /// A change waits for a lock that somebody else holds; its times are those of when it has the lock.
    async fn a_change_that_waited_for_a_lock_happens_when_it_has_it(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await.id;
        let held = hold(&db, jane).await;
        let waiting = tokio::spawn(auth.update_user(jane).name("Jane").into_future());
        held.until_one_waits(&db).await;
        clock.advance(TimeDelta::seconds(10));
        held.release().await;
        let updated = waiting.await.unwrap().unwrap();
        assert_eq!(updated.updated_at, clock.now());
        let event = auth.list_events().user_id(jane).await.unwrap().events.remove(0);
        assert_eq!((event.r#type.as_str(), event.timestamp), ("user_updated", clock.now()));
    }

    /// The caller is banned while their change waits for the row that it changes. Whichever comes first is committed
    /// first: a ban that was answered stops the change.
    async fn who_is_banned_while_their_change_waits_does_not_make_it(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        admin(&auth, "root@example.com").await;
        let older = signed_in(&auth, "older@example.com").await;
        let target = admin(&auth, "target@example.com").await.id;
        let younger = signed_in(&auth, "younger@example.com").await;
        for caller in [older, younger] {
            let held = hold(&db, target).await;
            let acting = auth.by(Actor::from(&caller).require_role("admin"));
            let change = tokio::spawn(acting.set_password(target, "another password").into_future());
            held.until_one_waits(&db).await;
            let ban = tokio::spawn(auth.ban_user(caller.user_id).into_future());
            // It is answered at once, or it waits for the change.
            held.until_done_or_two_wait(&db, &ban).await;
            let banned_first = ban.is_finished();
            held.release().await;
            let outcome = change.await.unwrap();
            ban.await.unwrap().unwrap();
            if banned_first {
                assert_eq!(outcome.unwrap_err().code(), "user_banned");
            }
            assert!(auth.get_user(caller.user_id).await.unwrap().banned);
        }
    }

    async fn an_actor_who_must_hold_a_role_is_asked_by_every_change(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        admin(&auth, "root@example.com").await;
        let jane = user(&auth, "jane@example.com").await.id;
        let editor = auth.create_user("editor@example.com").role("editor").await.unwrap().id;
        let acting = auth.by(Actor::user(editor).require_role("support"));
        let code = |outcome: Result<(), authfort::Error>| outcome.unwrap_err().code();
        assert_eq!(code(acting.update_user(jane).name("Jane").await.map(drop)), "insufficient_role");
        assert_eq!(code(acting.create_user("john@example.com").await.map(drop)), "insufficient_role");
        assert_eq!(code(acting.ban_user(jane).await.map(drop)), "insufficient_role");
        assert_eq!(code(acting.delete_user(jane).await.map(drop)), "insufficient_role");
        assert_eq!(code(acting.rotate_keys().await.map(drop)), "insufficient_role");
        assert_eq!(code(acting.add_role(jane, "editor").await.map(drop)), "insufficient_role");
        auth.add_role(editor, "support").await.unwrap();
        acting.update_user(jane).name("Jane").await.unwrap();
        acting.create_user("john@example.com").await.unwrap();
    }
}

/// Somebody else's transaction that holds a user's row, or on SQLite the file.
struct Held(tools::Raw);

async fn hold(db: &TestDatabase, id: UserId) -> Held {
    let mut raw = tools::Raw::open(db).await;
    match db.engine() {
        Engine::Sqlite => drop(raw.execute("BEGIN IMMEDIATE").await),
        Engine::Postgres => {
            raw.execute("BEGIN").await;
            raw.execute(format!("SELECT 1 FROM authfort_users WHERE id = '{id}' FOR UPDATE")).await;
        }
    }
    Held(raw)
}

impl Held {
    async fn until_one_waits(&self, db: &TestDatabase) {
        match db.engine() {
            // It cannot tell who waits; whoever has not come yet comes later.
            Engine::Sqlite => tokio::time::sleep(Duration::from_millis(50)).await,
            Engine::Postgres => tools::lock_waiters(db, 1).await,
        }
    }

    async fn until_done_or_two_wait<T>(&self, db: &TestDatabase, other: &tokio::task::JoinHandle<T>) {
        match db.engine() {
            Engine::Sqlite => {}
            Engine::Postgres => {
                let two = std::pin::pin!(tools::lock_waiters(db, 2));
                let done = std::pin::pin!(async {
                    while !other.is_finished() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                });
                futures_util::future::select(two, done).await;
            }
        }
    }

    async fn release(mut self) {
        self.0.execute("COMMIT").await;
    }
}
