//! Deleting and anonymizing users.

use authfort::secrecy::ExposeSecret;
use authfort::{Actor, DeletedFilter, Error, UserId};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use crate::raw::Raw;
use crate::support::{PASSWORD, service, user};
use crate::users::*;

both_engines! {
    async fn defect_38_a_deletion_leaves_nothing_and_says_what_went(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let root = with_admin(&auth).await;
        let jane = auth.create_user("jane@example.com").password(PASSWORD).role("editor").role("author").await.unwrap();
        let signed_in = auth.by(Actor::user(jane.id)).login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        auth.refresh(signed_in.tokens.refresh_token.expose_secret()).await.unwrap();
        auth.create_session(jane.id).await.unwrap();
        auth.link_account(jane.id, "github", "583231").await.unwrap();
        auth.request_email_verification("jane@example.com").await.unwrap().unwrap();
        auth.request_password_reset("jane@example.com").await.unwrap().unwrap();
        // Somebody whom the user banned.
        let john = user(&auth, "john@example.com").await;
        let john = auth.by(jane.id).ban_user(john.id).await.unwrap();
        assert_eq!(john.banned_by, Some(jane.id));
        let raw = Raw::open(&db, 1).await;
        assert_eq!(raw.columns_that_hold(jane.id).await, [
            "authfort_events.user_id", "authfort_events.actor_id", "authfort_oauth_accounts.user_id",
            "authfort_refresh_tokens.user_id", "authfort_sessions.user_id", "authfort_user_roles.user_id",
            "authfort_users.id", "authfort_users.banned_by", "authfort_verification_tokens.user_id",
        ].map(ToOwned::to_owned));

        let preview = auth.preview_delete(jane.id).await.unwrap();
        let receipt = auth.by(root).delete_user(jane.id).await.unwrap();
        assert_eq!((preview.receipt, preview.is_last_admin, preview.blocked_by, preview.is_complete), (receipt, false, None, true));
        assert_eq!(auth.preview_delete(jane.id).await.unwrap_err().code(), "user_not_found");
        assert_eq!(serde_json::to_value(receipt).unwrap(), json!({
            "roles": 2, "refresh_tokens": 3, "sessions": 2, "oauth_accounts": 1, "verification_tokens": 2, "users": 1,
        }));
        let left = raw.columns_that_hold(jane.id).await;
        assert_eq!(left, ["authfort_events.user_id", "authfort_events.actor_id"].map(ToOwned::to_owned));
        assert_eq!(last_event(&auth).await, ("user_deleted".into(), json!({"email": "jane@example.com", "mode": "delete"})));
        assert_eq!(auth.find_user(jane.id).deleted(true).await.unwrap(), None);
        assert!(auth.get_user(john.id).await.unwrap().banned);
        assert_eq!(is_cut(&auth, signed_in.tokens.access_token.expose_secret()).await, "user_not_found");
        assert_eq!(auth.login("jane@example.com", PASSWORD).await.unwrap_err().code(), "invalid_credentials");
    }

    async fn an_anonymised_user_keeps_row_and_id_and_nothing_of_the_person(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = auth
            .create_user("jane@example.com")
            .password(PASSWORD)
            .name("Jane Doe")
            .avatar_url("https://example.com/jane.png")
            .phone("+41 44 668 18 00")
            .email_verified(true)
            .role("editor")
            .metadata(object(json!({"ssn": "123"})))
            .await
            .unwrap();
        auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        auth.link_account(jane.id, "github", "583231").await.unwrap();
        auth.request_password_reset("jane@example.com").await.unwrap().unwrap();
        auth.ban_user(jane.id).reason("spam").await.unwrap();
        clock.advance(TimeDelta::minutes(1));
        let receipt = auth.delete_user(jane.id).anonymize().await.unwrap();
        // The ban took the reset token with it.
        assert_eq!(serde_json::to_value(receipt).unwrap(), json!({
            "roles": 1, "refresh_tokens": 1, "sessions": 1, "oauth_accounts": 1, "verification_tokens": 0, "users": 0,
        }));
        let data = json!({"email": "jane@example.com", "mode": "anonymize"});
        assert_eq!(last_event(&auth).await, ("user_deleted".into(), data));

        assert_eq!(auth.find_user(jane.id).await.unwrap(), None);
        let row = auth.get_user(jane.id).deleted(true).await.unwrap();
        assert_eq!(serde_json::to_value(&row).unwrap(), json!({
            "id": jane.id, "email": format!("deleted+{}@deleted.invalid", jane.id), "email_verified": false,
            "name": "Deleted user", "avatar_url": null, "phone": null, "banned": false, "ban_reason": null,
            "ban_expires_at": null, "roles": [], "metadata": {}, "created_at": jane.created_at,
            "updated_at": clock.now(), "last_login_at": null, "is_deleted": true, "deleted_at": clock.now(),
        }));
        let raw = Raw::open(&db, 1).await;
        assert_eq!(raw.columns_that_hold(jane.id).await, ["authfort_events.user_id", "authfort_users.id"].map(ToOwned::to_owned));
        for term in ["jane", "example", "doe"] {
            assert_eq!(auth.get_user_count().deleted(DeletedFilter::With).query(term).await.unwrap(), 0, "{term}");
        }
        // What is shown of such a user finds them, for whoever asks for them.
        for term in [&row.email, "deleted+", "Deleted.INVALID", "DELETED USER", &jane.id.to_string()] {
            assert_eq!(auth.get_user_count().query(term).await.unwrap(), 0, "{term}");
            for asked in [DeletedFilter::With, DeletedFilter::Only] {
                let found = auth.list_users().deleted(asked).query(term).await.unwrap().users;
                assert_eq!(found, vec![row.clone()], "{term}");
            }
        }
        // The address can register again, and that is somebody else.
        let again = user(&auth, "jane@example.com").await;
        assert_ne!(again.id, jane.id);
        // What was anonymized can still be deleted.
        let receipt = auth.delete_user(jane.id).await.unwrap();
        assert_eq!(receipt.users, 1);
        assert_eq!(raw.columns_that_hold(jane.id).await, ["authfort_events.user_id"].map(ToOwned::to_owned));
    }

    async fn defect_09_an_erased_user_is_not_found_by_anything(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let root = with_admin(&auth).await;
        let jane = user(&auth, "jane@example.com").await;
        let signed_in = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        let verification = auth.request_email_verification("jane@example.com").await.unwrap().unwrap();
        let reset = auth.request_password_reset("jane@example.com").await.unwrap().unwrap();
        auth.delete_user(jane.id).anonymize().await.unwrap();
        let row = auth.get_user(jane.id).deleted(true).await.unwrap();
        let before = mark(&auth).await;
        for (call, code) in each_call(&auth.by(root), jane.id, signed_in.session_id).await {
            assert_eq!(code, "user_not_found", "{call}");
        }
        let receipt = auth.delete_user(jane.id).anonymize().block_email(true).await.unwrap();
        assert_eq!(serde_json::to_value(receipt).unwrap(), json!({
            "roles": 0, "refresh_tokens": 0, "sessions": 0, "oauth_accounts": 0, "verification_tokens": 0, "users": 0,
        }));
        assert_eq!(types_after(&auth, before).await, Vec::<String>::new());

        // Row 39: every way in fails as it does for somebody unknown.
        for email in ["jane@example.com", &row.email] {
            assert_eq!(auth.login(email, PASSWORD).await.unwrap_err().code(), "invalid_credentials");
            assert!(auth.request_email_verification(email).await.unwrap().is_none());
            assert!(auth.request_password_reset(email).await.unwrap().is_none());
            assert!(auth.find_user_by_email(email).await.unwrap().is_none());
        }
        assert!(auth.verify_email(verification.token).await.is_err());
        assert!(auth.reset_password(reset.token, "another password").await.is_err());
        let refresh = signed_in.tokens.refresh_token.expose_secret();
        assert_eq!(auth.refresh(refresh).await.unwrap_err().code(), "refresh_token_invalid");
        assert!(!auth.logout(refresh).await.unwrap());
        assert_eq!(is_cut(&auth, signed_in.tokens.access_token.expose_secret()).await, "user_not_found");
        assert_eq!(auth.get_user(jane.id).deleted(true).await.unwrap(), row);
    }

    async fn who_registers_while_the_address_is_deleted_and_blocked_does_not_get_it(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        let john = user(&auth, "john@example.com").await;
        let raw = Raw::open(&db, 1).await;
        let mut tx = raw.begin().await;
        auth.delete_user(jane.id).block_email(true).in_tx(tx.conn()).await.unwrap();
        let creating = tokio::spawn(auth.create_user("Jane@example.com").into_future());
        let changing = tokio::spawn(auth.update_user(john.id).email("jane@example.com").into_future());
        match db.engine() {
            Engine::Postgres => crate::tools::lock_waiters(&db, 2).await,
            // It cannot tell who waits; whoever comes later finds the address blocked as well.
            Engine::Sqlite => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
        tx.commit().await.unwrap();
        assert_eq!(faults(&creating.await.unwrap().unwrap_err()), ["email email_blocked"]);
        assert_eq!(faults(&changing.await.unwrap().unwrap_err()), ["email email_blocked"]);
        assert_eq!(auth.get_user(john.id).await.unwrap().email, "john@example.com");
    }

    async fn defect_10_whether_a_deleted_address_may_return_is_said_explicitly(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        // Unless it is said, the address is free: of a banned user too, as documented.
        let jane = user(&auth, "jane@example.com").await;
        auth.ban_user(jane.id).await.unwrap();
        auth.delete_user(jane.id).await.unwrap();
        let jane = user(&auth, "jane@example.com").await;
        auth.ban_user(jane.id).await.unwrap();
        auth.delete_user(jane.id).block_email(true).await.unwrap();

        let john = user(&auth, "john@example.com").await;
        let before = mark(&auth).await;
        for error in [
            auth.create_user(" JANE@Example.com").await.unwrap_err(),
            auth.sign_up("jane@example.com", PASSWORD).await.unwrap_err(),
            auth.update_user(john.id).email("jane@example.com").await.unwrap_err(),
        ] {
            assert_eq!(faults(&error), ["email email_blocked"]);
        }
        assert_eq!(types_after(&auth, before).await, Vec::<String>::new());
        // Only a hash of it is kept.
        let raw = Raw::open(&db, 1).await;
        assert_eq!(raw.number("SELECT count(*) FROM authfort_blocked_emails").await, 1);
        assert_eq!(raw.number("SELECT length(email_hash)::bigint FROM authfort_blocked_emails".replace("::bigint", match raw {
            Raw::Sqlite(_) => "",
            Raw::Postgres(_) => "::bigint",
        })).await, 32);

        assert!(auth.unblock_email("Jane@example.com ").await.unwrap());
        assert!(!auth.unblock_email("jane@example.com").await.unwrap());
        // Anonymizing blocks as well, where it is asked for.
        let jane = user(&auth, "jane@example.com").await;
        auth.delete_user(jane.id).anonymize().block_email(true).await.unwrap();
        assert_eq!(faults(&auth.create_user("jane@example.com").await.unwrap_err()), ["email email_blocked"]);
    }

    async fn a_table_of_the_application_can_hold_a_user_back(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        raw.execute(format!(
            "CREATE TABLE app_orders (id integer PRIMARY KEY, customer {0} NOT NULL REFERENCES authfort_users (id));
             CREATE TABLE app_notes (id integer PRIMARY KEY, author {0} REFERENCES authfort_users (id) ON DELETE CASCADE);
             CREATE TABLE app_likes (id integer PRIMARY KEY, fan {0} REFERENCES authfort_users (id) ON DELETE SET NULL)",
            raw.id_type()
        )).await.unwrap();
        let jane = auth.create_user("jane@example.com").password(PASSWORD).role("editor").await.unwrap();
        let signed_in = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        auth.link_account(jane.id, "github", "583231").await.unwrap();
        let id = raw.literal(jane.id);
        raw.execute(format!(
            "INSERT INTO app_orders VALUES (1, {id}); INSERT INTO app_notes VALUES (1, {id});
             INSERT INTO app_likes VALUES (1, {id})"
        )).await.unwrap();
        let before = (mark(&auth).await, auth.get_user(jane.id).await.unwrap(), raw.columns_that_hold(jane.id).await);

        let preview = auth.preview_delete(jane.id).await.unwrap();
        assert_eq!((preview.receipt.sessions, preview.blocked_by.as_deref()), (1, Some("app_orders")));
        let error = auth.delete_user(jane.id).block_email(true).await.unwrap_err();
        assert_eq!(error.code(), "blocked_by_reference");
        assert!(matches!(&error, Error::BlockedByReference { table: Some(table) } if table == "app_orders"), "{error:?}");
        let after = (mark(&auth).await, auth.get_user(jane.id).await.unwrap(), raw.columns_that_hold(jane.id).await);
        assert_eq!(after, before);
        assert_eq!(is_cut(&auth, signed_in.tokens.access_token.expose_secret()).await, "alive");
        assert_eq!(raw.number("SELECT count(*) FROM authfort_blocked_emails").await, 0);

        // Erasing the person is always possible: the row stays.
        auth.delete_user(jane.id).anonymize().await.unwrap();
        raw.execute("DELETE FROM app_orders").await.unwrap();
        assert_eq!(auth.preview_delete(jane.id).await.unwrap().blocked_by, None);
        assert_eq!(auth.delete_user(jane.id).await.unwrap().users, 1);
        assert_eq!(raw.number("SELECT count(*) FROM app_notes").await, 0);
        assert_eq!(raw.number("SELECT count(*) FROM app_likes WHERE fan IS NULL").await, 1);
    }

    /// A reference that is checked at the commit, and one to a session instead of a user.
    async fn a_reference_that_is_not_seen_beforehand_holds_a_user_back_too(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        raw.execute(format!(
            "CREATE TABLE app_late (customer {0} REFERENCES authfort_users (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TABLE app_carts (session {0} REFERENCES authfort_sessions (id))",
            raw.id_type()
        )).await.unwrap();
        let jane = user(&auth, "jane@example.com").await;
        let session = UserId(auth.create_session(jane.id).await.unwrap().session_id.0);
        for insert in [
            format!("INSERT INTO app_carts VALUES ({})", raw.literal(session)),
            format!("INSERT INTO app_late VALUES ({})", raw.literal(jane.id)),
        ] {
            raw.execute("DELETE FROM app_carts; DELETE FROM app_late").await.unwrap();
            raw.execute(insert.clone()).await.unwrap();
            let before = raw.columns_that_hold(jane.id).await;
            let preview = auth.preview_delete(jane.id).await.unwrap();
            assert!(insert.contains(&preview.blocked_by.unwrap()), "{insert}");
            let error = auth.delete_user(jane.id).await.unwrap_err();
            assert_eq!(error.code(), "blocked_by_reference", "{insert}: {error:?}");
            assert_eq!(raw.columns_that_hold(jane.id).await, before, "{insert}");
        }
    }

    /// Names that need quotes, keys of two columns, and rows that go with the user by way of another table.
    async fn a_preview_reads_keys_of_every_form(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        raw.execute(format!(
            "CREATE TABLE \"App Shops\" (owner {0} REFERENCES authfort_users (id) ON DELETE CASCADE, \"No\" integer,
                 PRIMARY KEY (owner, \"No\"));
             CREATE TABLE \"Or\"\"ders\" (shop {0}, \"shop No\" integer, by_staff {0} REFERENCES authfort_users (id),
                 FOREIGN KEY (shop, \"shop No\") REFERENCES \"App Shops\");
             CREATE TABLE app_self (id {0} PRIMARY KEY REFERENCES authfort_users (id) ON DELETE CASCADE,
                 boss {0} REFERENCES app_self (id))",
            raw.id_type()
        )).await.unwrap();
        let (jane, john) = (user(&auth, "jane@example.com").await, user(&auth, "john@example.com").await);
        let (jane_id, john_id) = (raw.literal(jane.id), raw.literal(john.id));
        raw.execute(format!(
            "INSERT INTO \"App Shops\" VALUES ({jane_id}, 1), ({jane_id}, 2), ({john_id}, 1);
             INSERT INTO app_self VALUES ({jane_id}, {jane_id}), ({john_id}, NULL)"
        )).await.unwrap();
        let blocked = async |id| auth.preview_delete(id).await.unwrap().blocked_by;
        assert_eq!((blocked(jane.id).await, blocked(john.id).await), (None, None), "rows that refer to themselves go");
        raw.execute(format!("INSERT INTO \"Or\"\"ders\" VALUES ({john_id}, 1, NULL), ({jane_id}, NULL, NULL)")).await.unwrap();
        assert_eq!((blocked(jane.id).await, blocked(john.id).await), (None, Some("Or\"ders".to_owned())));
        raw.execute(format!("UPDATE app_self SET boss = {jane_id}")).await.unwrap();
        assert_eq!(blocked(jane.id).await.as_deref(), Some("app_self"));
        for id in [jane.id, john.id] {
            assert_eq!(auth.delete_user(id).await.unwrap_err().code(), "blocked_by_reference");
        }
        raw.execute("UPDATE app_self SET boss = NULL; DELETE FROM \"Or\"\"ders\"").await.unwrap();
        for id in [jane.id, john.id] {
            assert_eq!(auth.delete_user(id).await.unwrap().users, 1);
        }
    }

    async fn a_preview_says_who_is_the_last_administrator(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let is_last = async |id| auth.preview_delete(id).await.unwrap().is_last_admin;
        let one = auth.create_user("one@example.com").role("admin").await.unwrap().id;
        assert!(is_last(one).await);
        let other = auth.create_user("other@example.com").role("admin").await.unwrap().id;
        assert!(!is_last(one).await && !is_last(other).await);
        auth.ban_user(other).await.unwrap();
        assert!(is_last(one).await && !is_last(other).await, "who is banned is none that counts");
        assert_eq!(auth.delete_user(one).await.unwrap_err().code(), "last_admin");
        assert_eq!(auth.delete_user(other).await.unwrap().users, 1);
    }

    async fn of_parallel_deletions_one_has_an_effect(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for anonymize in [false, true] {
            let jane = user(&auth, "jane@example.com").await;
            let before = mark(&auth).await;
            let calls = (0..8).map(|_| {
                let call = auth.delete_user(jane.id);
                let call = if anonymize { call.anonymize() } else { call };
                tokio::spawn(async move { call.await.map(|_| ()).map_err(|error| error.code()) })
            });
            let mut outcomes: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
            outcomes.sort();
            let mut expected = vec![Ok(())];
            // What is anonymized already is no error, and what is gone is not found.
            expected.resize(8, if anonymize { Ok(()) } else { Err("user_not_found") });
            assert_eq!(outcomes, expected);
            assert_eq!(types_after(&auth, before).await, ["user_deleted"]);
        }
    }
}

/// The application's tables are its own affair: one that is locked holds nobody else up. (Readers of SQLite do not wait.)
#[tokio::test]
async fn a_preview_waits_for_no_locked_table() {
    let db = TestDatabase::create(Engine::Postgres).await;
    let (auth, _) = service(&db).await;
    let raw = Raw::open(&db, 1).await;
    raw.execute("CREATE TABLE app_orders (customer uuid REFERENCES authfort_users (id))").await.unwrap();
    let jane = user(&auth, "jane@example.com").await;
    let mut other = PgConnection::connect(db.url()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE app_orders IN ACCESS EXCLUSIVE MODE").execute(&mut other).await.unwrap();
    let preview = auth.preview_delete(jane.id).await.unwrap();
    assert!(!preview.is_complete && preview.blocked_by.is_none() && preview.receipt.users == 1);
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert!(auth.preview_delete(jane.id).await.unwrap().is_complete);
}
