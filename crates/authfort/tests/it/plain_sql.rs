//! What an operator writes by plain SQL: kept right, or refused where it is written.

use authfort::{AuthFort, UserId};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use chrono::TimeDelta;

use crate::raw::Raw;
use crate::support::service;
use crate::totals::are_right;

/// Whom the list of a role has, read by pages.
async fn walk(auth: &AuthFort, role: &str, limit: u32) -> Vec<UserId> {
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let mut call = auth.list_users().role(role).limit(limit);
        if let Some(cursor) = cursor {
            call = call.cursor(cursor);
        }
        let page = call.await.unwrap();
        found.extend(page.users.iter().map(|user| user.id));
        match page.next_cursor {
            Some(next) if found.len() < 100 => cursor = Some(next),
            _ => return found,
        }
    }
}

async fn editors(auth: &AuthFort) -> Vec<UserId> {
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(auth.create_user(format!("user{n}@example.com")).role("editor").await.unwrap().id);
    }
    ids.reverse();
    ids
}

/// What makes the engine leave alone what refers to a row, for the statements after it.
fn without_foreign_keys(db: &TestDatabase) -> &'static str {
    match db.engine() {
        Engine::Sqlite => "PRAGMA foreign_keys = OFF",
        Engine::Postgres => "SET session_replication_role = replica",
    }
}

both_engines! {
    async fn a_value_that_no_list_could_show_is_refused_where_it_is_written(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = auth.create_user("jane@example.com").await.unwrap();
        let raw = Raw::open(&db, 1).await;
        let times = ["created_at", "updated_at", "last_login_at", "banned_at", "ban_expires_at", "deleted_at"];
        let mut odd: Vec<String> = ["", "[]", "x", "null", r#"{"a":"#]
            .map(|metadata| format!("metadata = '{metadata}'"))
            .into();
        let (values, columns) = match db.engine() {
            Engine::Sqlite => (
                "'tomorrow', '2030-02-31T10:00:00+00:00', '2030-02-31', '2030-01-01T25:00:00Z', 'infinity', 'now', '', 5, \
                 2460000.5, '0000-01-01', '-2030-01-01', '12:00'",
                "banned = 'true'; banned = 2; email_verified = 'no'; email_verified = -1; metadata = x'7b7d'; id = 'x'; \
                 id = x'00'; version = 'x'; token_version = 1.5; name = x'ff'; email = x'ff'; banned_by = 'x'",
            ),
            Engine::Postgres => ("'infinity', '-infinity', '294276-01-01', '10000-01-01', '0001-12-31 BC'", ""),
        };
        odd.extend(values.split(", ").flat_map(|value| times.map(|column| format!("{column} = {value}"))));
        odd.extend(columns.split("; ").filter(|one| !one.is_empty()).map(str::to_owned));
        for one in odd {
            let error = raw.execute(format!("UPDATE authfort_users SET {one}")).await.unwrap_err().to_string();
            assert!(error.contains("authfort_users") || error.contains("json"), "{one}: {error}");
        }
        let insert = "INSERT INTO authfort_users (id, email, email_key, search_key, created_at, updated_at, metadata)
             SELECT NEW, 'x', 'x', '', created_at, updated_at, '[]' FROM authfort_users";
        let new = raw.literal(UserId(uuid::Uuid::from_u128(1)));
        assert!(raw.execute(insert.replace("NEW", &new)).await.is_err());
        assert!(raw.execute(insert.replace("NEW", &new).replace("[]", r#"{"a": [1]}"#)).await.is_ok());
        assert_eq!(auth.get_user(jane.id).await.unwrap(), jane, "nothing was written");
    }

    async fn a_time_counts_in_whichever_form_it_is_written(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = auth.create_user("jane@example.com").role("editor").await.unwrap().id;
        auth.create_user("john@example.com").role("editor").await.unwrap();
        let raw = Raw::open(&db, 1).await;
        let forms = match db.engine() {
            Engine::Sqlite => [
                "datetime('NOW', '+1 hour')",
                "strftime('%Y-%m-%dT%H:%M:%fZ', 'NOW', '+1 hour')",
                "strftime('%Y-%m-%d %H:%M', 'NOW', '+3 hours') || '+02:00'",
                "strftime('%Y-%m-%dT%H:%M:%S', 'NOW', '+1 hour') || '.000000+00:00'",
                "strftime('%Y-%m-%dTTT%H:%M', 'NOW', '+1 hour') || '+00:00'",
            ]
            .as_slice(),
            Engine::Postgres => &["timestamptz 'NOW+00' + interval '1 hour'"],
        };
        for form in forms {
            let in_an_hour = form.replace("NOW", &clock.now().format("%Y-%m-%d %H:%M:%S").to_string());
            let ban = format!("UPDATE authfort_users SET banned = TRUE, ban_expires_at = {in_an_hour} WHERE email = 'jane@example.com'");
            raw.execute(ban).await.unwrap();
            assert!(auth.get_user(jane).await.unwrap().banned, "{form}");
            are_right(&auth, form).await;
            clock.advance(TimeDelta::hours(1));
            assert!(!auth.get_user(jane).await.unwrap().banned, "{form}");
            are_right(&auth, form).await;
            raw.execute(format!("UPDATE authfort_users SET created_at = {in_an_hour}, updated_at = {in_an_hour}")).await.unwrap();
            assert_eq!(walk(&auth, "editor", 1).await.len(), 2, "{form}");
            let raised = auth.get_user(jane).await.unwrap();
            assert_eq!((raised.created_at, raised.updated_at), (clock.now(), clock.now()), "{form}");
        }
        let created = match db.engine() {
            Engine::Sqlite => "'2028-12-31 24:00'",
            Engine::Postgres => "'2028-12-31 24:00+00'",
        };
        let new = raw.literal(UserId(uuid::Uuid::from_u128(1)));
        raw.execute(format!(
            "INSERT INTO authfort_users (id, email, email_key, search_key, created_at, updated_at)
             VALUES ({new}, 'new@example.com', 'new@example.com', '', {created}, {created})"
        ))
        .await
        .unwrap();
        let new = auth.get_user(UserId(uuid::Uuid::from_u128(1))).await.unwrap();
        assert_eq!(new.created_at.to_rfc3339(), "2029-01-01T00:00:00+00:00");
        let later = auth.list_users().created_after(new.created_at).created_before(new.created_at + TimeDelta::seconds(1));
        assert_eq!(later.await.unwrap().users, [new]);
    }

    async fn a_row_that_a_user_left_behind_does_not_end_a_list_for_good(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let mut ids = editors(&auth).await;
        let raw = Raw::open(&db, 1).await;
        let gone = ids.remove(2);
        raw.execute(without_foreign_keys(&db)).await.unwrap();
        raw.execute(format!("DELETE FROM authfort_users WHERE id = {}", raw.literal(gone))).await.unwrap();
        if db.engine() == Engine::Postgres {
            // Its triggers were switched off with its foreign keys.
            let found = auth.repair_totals().await.unwrap();
            assert_eq!((found.stale_roles, found.differences.len()), (1, 2), "{found:?}");
        }
        assert_eq!(walk(&auth, "editor", 2).await, ids);
        are_right(&auth, "deleted").await;
        assert_eq!(raw.number("SELECT count(*) FROM authfort_user_roles").await, 6);
    }
}

/// As a database may have it from before its values were checked.
#[test]
fn an_odd_value_that_was_there_before_stays_and_holds_up_no_other() {
    authfort_testkit::run(Engine::Sqlite, async |db| {
        let (auth, _) = service(&db).await;
        let jane = auth.sign_up("jane@example.com", "correct horse battery").await.unwrap().user.id;
        let raw = Raw::open(&db, 1).await;
        let trigger = "SELECT sql FROM sqlite_schema WHERE name = 'authfort_users_values_update'";
        let trigger = raw.texts(trigger).await.remove(0);
        raw.execute("DROP TRIGGER authfort_users_values_update").await.unwrap();
        raw.execute("UPDATE authfort_users SET banned_at = '0000-01-01 00:00:00', deleted_at = NULL").await.unwrap();
        raw.execute(trigger).await.unwrap();
        auth.login("jane@example.com", "correct horse battery").await.unwrap();
        assert_eq!(raw.texts("SELECT banned_at FROM authfort_users").await, ["0000-01-01 00:00:00"]);
        auth.ban_user(jane).await.unwrap();
        assert!(auth.get_user(jane).await.unwrap().banned);
    });
}

#[test]
fn what_hangs_on_a_user_goes_with_it_without_foreign_keys_too() {
    authfort_testkit::run(Engine::Sqlite, async |db| {
        let (auth, _) = service(&db).await;
        let signed_in = auth.sign_up("jane@example.com", "correct horse battery").await.unwrap();
        let jane = signed_in.user.id;
        auth.add_role(jane, "editor").await.unwrap();
        auth.link_account(jane, "github", "1").await.unwrap();
        auth.request_password_reset("jane@example.com").await.unwrap();
        let raw = Raw::open(&db, 1).await;
        raw.execute(without_foreign_keys(&db)).await.unwrap();
        let rows = async |table: &str| raw.number(format!("SELECT count(*) FROM authfort_{table}")).await;
        let tables = ["user_roles", "sessions", "refresh_tokens", "oauth_accounts", "verification_tokens"];
        for table in tables {
            assert_eq!(rows(table).await, 1, "{table}");
        }
        auth.create_user("john@example.com").await.unwrap();
        raw.execute("DELETE FROM authfort_sessions").await.unwrap();
        assert_eq!(rows("refresh_tokens").await, 0);
        raw.execute(format!("DELETE FROM authfort_users WHERE id = {}", raw.literal(jane))).await.unwrap();
        for table in tables {
            assert_eq!(rows(table).await, 0, "{table}");
        }
        are_right(&auth, "deleted").await;
    });
}

/// An update of all columns, as some programs make it, has to get along with a ban, which locks the user first.
#[test]
fn a_role_that_is_set_to_what_it_was_locks_no_user() {
    authfort_testkit::run(Engine::Postgres, async |db| {
        let (auth, _) = service(&db).await;
        auth.create_user("jane@example.com").role("editor").await.unwrap();
        let raw = Raw::open(&db, 2).await;
        let mut locked = raw.begin().await;
        locked.execute("SELECT 1 FROM authfort_users FOR UPDATE").await.unwrap();
        let update =
            "SET lock_timeout = '1s'; UPDATE authfort_user_roles SET user_id = user_id, created_at = created_at";
        raw.execute(update).await.unwrap();
        locked.rollback().await;
    });
}
