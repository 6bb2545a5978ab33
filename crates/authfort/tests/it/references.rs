//! Tables of the application that refer to users: what holds one back, by which name, and what does not.

use authfort::{AuthFort, Error, UserId};
use authfort_testkit::{TestDatabase, both_engines};

use crate::raw::Raw;
use crate::support::{service, user};

/// Tables, and rows that refer to a user `{id}` or to a session `{session}` of theirs; with the table that holds the user
/// back, or none. `{key}` is the type of an id.
const HELD: &[(&str, &str, Option<&str>)] = &[
    (
        "CREATE TABLE app_t (customer {key} REFERENCES authfort_users (id))",
        "INSERT INTO app_t VALUES ({id})",
        Some("app_t"),
    ),
    (
        "CREATE TABLE app_t (customer {key} REFERENCES authfort_users (id) ON DELETE RESTRICT)",
        "INSERT INTO app_t VALUES ({id})",
        Some("app_t"),
    ),
    (
        "CREATE TABLE app_t (customer {key} REFERENCES authfort_users (id) DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO app_t VALUES ({id})",
        Some("app_t"),
    ),
    (
        "CREATE TABLE app_t (session {key} REFERENCES authfort_sessions (id))",
        "INSERT INTO app_t VALUES ({session})",
        Some("app_t"),
    ),
    // Through another table, which would go by itself.
    (
        "CREATE TABLE app_t (id integer PRIMARY KEY, owner {key} REFERENCES authfort_users (id) ON DELETE CASCADE);
         CREATE TABLE app_b (t integer REFERENCES app_t);
         CREATE TABLE app_a (t integer REFERENCES app_t ON DELETE SET NULL)",
        "INSERT INTO app_t VALUES (1, {id}); INSERT INTO app_a VALUES (1); INSERT INTO app_b VALUES (1)",
        Some("app_b"),
    ),
    (
        "CREATE TABLE app_t (a integer, b text, owner {key} REFERENCES authfort_users (id) ON DELETE CASCADE, PRIMARY KEY (a, b));
         CREATE TABLE app_b (a integer, b text, FOREIGN KEY (a, b) REFERENCES app_t ON DELETE RESTRICT)",
        "INSERT INTO app_t VALUES (1, 'x', {id}); INSERT INTO app_b VALUES (1, NULL), (1, 'x')",
        Some("app_b"),
    ),
    // What an action would make of the row is against a rule of its table.
    (
        "CREATE TABLE app_t (customer {key} NOT NULL REFERENCES authfort_users (id) ON DELETE SET NULL)",
        "INSERT INTO app_t VALUES ({id})",
        Some("app_t"),
    ),
    // A table whose rows are about others, or about nobody.
    (
        "CREATE TABLE app_a (customer {key} REFERENCES authfort_users (id)); CREATE TABLE app_t (n integer PRIMARY KEY);
         CREATE TABLE app_b (t integer REFERENCES app_t)",
        "INSERT INTO app_a SELECT id FROM authfort_users WHERE id <> {id}; INSERT INTO app_a VALUES (NULL);
         INSERT INTO app_t VALUES (1); INSERT INTO app_b VALUES (1)",
        None,
    ),
    (
        "CREATE TABLE app_t (customer {key} REFERENCES authfort_users (id) ON DELETE SET NULL)",
        "INSERT INTO app_t VALUES ({id})",
        None,
    ),
    // A row that refers by two keys, and goes by one of them.
    (
        "CREATE TABLE app_t (owner {key} REFERENCES authfort_users (id) ON DELETE CASCADE,
             author {key} REFERENCES authfort_users (id))",
        "INSERT INTO app_t VALUES ({id}, {id})",
        None,
    ),
    (
        "CREATE TABLE app_t (id integer PRIMARY KEY, owner {key} REFERENCES authfort_users (id) ON DELETE CASCADE);
         CREATE TABLE app_b (t integer REFERENCES app_t DEFERRABLE INITIALLY DEFERRED,
             owner {key} REFERENCES authfort_users (id) ON DELETE CASCADE)",
        "INSERT INTO app_t VALUES (1, {id}); INSERT INTO app_b VALUES (1, {id})",
        None,
    ),
    (
        "CREATE TABLE app_t (id integer PRIMARY KEY, parent integer REFERENCES app_t ON DELETE CASCADE,
             owner {key} REFERENCES authfort_users (id) ON DELETE CASCADE)",
        "INSERT INTO app_t VALUES (1, NULL, {id}); INSERT INTO app_t VALUES (2, 1, NULL), (3, 2, {id})",
        None,
    ),
];

fn held_by(error: &Error) -> Option<&str> {
    match error {
        Error::BlockedByReference { table } => table.as_deref(),
        other => panic!("not blocked: {other:?}"),
    }
}

async fn fill(auth: &AuthFort, raw: &Raw, tables: &str, rows: &str) -> UserId {
    raw.execute("DROP TABLE IF EXISTS app_a; DROP TABLE IF EXISTS app_b; DROP TABLE IF EXISTS app_t").await.unwrap();
    raw.execute(tables.replace("{key}", raw.id_type())).await.unwrap();
    let jane = user(auth, "jane@example.com").await.id;
    let session = UserId(auth.create_session(jane).await.unwrap().session_id.0);
    let rows = rows.replace("{id}", &raw.literal(jane)).replace("{session}", &raw.literal(session));
    raw.execute(rows).await.unwrap();
    jane
}

both_engines! {
    async fn a_user_is_held_back_by_what_the_engine_itself_would_not_clear(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        user(&auth, "john@example.com").await;
        for (tables, rows, holder) in HELD {
            let jane = fill(&auth, &raw, tables, rows).await;
            let before = raw.columns_that_hold(jane).await;
            let outcome = auth.delete_user(jane).await;
            if let Some(holder) = holder {
                assert_eq!(held_by(&outcome.unwrap_err()), Some(*holder), "{tables}");
                assert_eq!(raw.columns_that_hold(jane).await, before, "{tables}");
                // Out of the way, so that the next can have the address.
                auth.update_user(jane).email(format!("{jane}@example.com")).await.unwrap();
            } else {
                assert_eq!(outcome.unwrap().users, 1, "{tables}");
                assert_eq!(raw.columns_that_hold(jane).await, ["authfort_events.user_id"], "{tables}");
            }
        }
    }

    async fn inside_the_transaction_of_the_application_it_is_the_same(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        user(&auth, "john@example.com").await;
        for (tables, rows, holder) in HELD.iter().filter(|(tables, ..)| !tables.contains("DEFERRABLE")) {
            let jane = fill(&auth, &raw, tables, rows).await;
            let mut tx = raw.begin().await;
            let outcome = auth.delete_user(jane).in_tx(tx.conn()).await;
            if let Some(holder) = holder {
                assert_eq!(held_by(&outcome.unwrap_err()), Some(*holder), "{tables}");
                // The transaction is still good.
                auth.update_user(jane).email(format!("{jane}@example.com")).in_tx(tx.conn()).await.unwrap();
            } else {
                assert_eq!(outcome.unwrap().users, 1, "{tables}");
            }
            tx.commit().await.unwrap();
        }
    }

    async fn a_deferred_key_may_be_cleared_by_the_application_until_its_commit(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        let (tables, rows, _) = HELD[2];
        let jane = fill(&auth, &raw, tables, rows).await;
        let mut tx = raw.begin().await;
        auth.delete_user(jane).in_tx(tx.conn()).await.unwrap();
        assert!(tx.commit().await.is_err(), "the key is not cleared");
        assert_eq!(auth.get_user(jane).await.unwrap().id, jane);
        let mut tx = raw.begin().await;
        auth.delete_user(jane).in_tx(tx.conn()).await.unwrap();
        tx.execute("DELETE FROM app_t").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(auth.find_user(jane).await.unwrap(), None);
    }
}
