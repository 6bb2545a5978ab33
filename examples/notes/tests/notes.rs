//! Tests the application over HTTP, on both engines.
#![cfg(test)]

use std::net::SocketAddr;
use std::time::Duration;

use authfort::AuthFort;
use authfort_axum::testing;
use authfort_testkit::{TestDatabase, both_engines};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::Request;
use example_notes::{Db, app};
use serde_json::{Value, json};
use tower::ServiceExt;

const PASSWORD: &str = "correct horse battery";

struct Notes {
    auth: AuthFort,
    app: Router,
}

impl Notes {
    async fn new(db: &TestDatabase) -> Self {
        let (db, auth) = Db::connect(db.url()).await.unwrap();
        Self { auth: auth.clone(), app: app(db, auth).await.unwrap() }
    }

    /// Sends a request and returns the status and the body, null if there is none.
    async fn ask(&self, method: &str, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        if !bearer.is_empty() {
            request = request.header("authorization", bearer);
        }
        let mut request = request.body(Body::from(body.to_string())).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new([192, 0, 2, 1].into(), 40_000)));
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 100_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Opens a page and returns its text.
    async fn page(&self, path: &str, bearer: &str) -> String {
        let request = Request::builder().uri(path).header("authorization", bearer).body(Body::empty()).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        String::from_utf8(to_bytes(response.into_body(), 100_000).await.unwrap().to_vec()).unwrap()
    }

    async fn get(&self, path: &str, bearer: &str) -> (u16, Value) {
        self.ask("GET", path, bearer, &Value::Null).await
    }

    /// Signs a user up over HTTP and returns the value of their `Authorization` header.
    async fn sign_up(&self, email: &str) -> String {
        let (status, body) = self.ask("POST", "/auth/signup", "", &json!({"email": email, "password": PASSWORD})).await;
        assert_eq!(status, 201, "{body}");
        format!("Bearer {}", body["tokens"]["access_token"].as_str().unwrap())
    }

    async fn write(&self, bearer: &str, text: &str, shared: bool) -> i64 {
        let (status, note) = self.ask("POST", "/notes", bearer, &json!({"text": text, "shared": shared})).await;
        assert_eq!((status, &note["text"], &note["shared"]), (201, &json!(text), &json!(shared)), "{note}");
        note["id"].as_i64().unwrap()
    }

    async fn shared(&self) -> Vec<Value> {
        let (status, notes) = self.get("/shared", "").await;
        assert_eq!(status, 200, "{notes}");
        notes.as_array().unwrap().iter().map(|note| note["text"].clone()).collect()
    }
}

async fn count(db: &TestDatabase) -> i64 {
    match Db::connect(db.url()).await.unwrap().0 {
        Db::Sqlite(pool) => authfort::sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&pool).await.unwrap(),
        Db::Postgres(pool) => {
            authfort::sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&pool).await.unwrap()
        }
    }
}

both_engines! {
    async fn a_user_and_the_first_note_come_together(db: TestDatabase) {
        let notes = Notes::new(&db).await;
        let jane = notes.sign_up("jane@example.com").await;
        let (status, list) = notes.get("/notes", &jane).await;
        assert_eq!(status, 200);
        assert_eq!(list[0]["text"], "Welcome! This is your first note.");
        assert_eq!(list.as_array().unwrap().len(), 1);
        let credentials = json!({"email": "jane@example.com", "password": PASSWORD});
        assert_eq!(notes.ask("POST", "/auth/login", "", &credentials).await.0, 200);
    }

    async fn neither_comes_where_the_transaction_fails(db: TestDatabase) {
        let notes = Notes::new(&db).await;
        let statement = "ALTER TABLE notes RENAME TO notes_away";
        match Db::connect(db.url()).await.unwrap().0 {
            Db::Sqlite(pool) => authfort::sqlx::query(statement).execute(&pool).await.map(|_| ()),
            Db::Postgres(pool) => authfort::sqlx::query(statement).execute(&pool).await.map(|_| ()),
        }
        .unwrap();
        let form = json!({"email": "jane@example.com", "password": PASSWORD});
        let (status, body) = notes.ask("POST", "/auth/signup", "", &form).await;
        assert_eq!((status, body), (500, json!({"error": "internal", "message": "An internal error occurred."})));
        assert_eq!(notes.auth.get_user_count().await.unwrap(), 0);
        assert!(notes.auth.list_events().await.unwrap().events.iter().all(|event| event.r#type != "user_created"));
    }

    async fn sign_up_is_limited_as_the_librarys_is(db: TestDatabase) {
        let notes = Notes::new(&db).await;
        let taken = json!({"email": "jane@example.com", "password": PASSWORD});
        let mut answers = Vec::new();
        for _ in 0..7 {
            answers.push(notes.ask("POST", "/auth/signup", "", &taken).await.0);
        }
        assert_eq!(answers, [201, 409, 409, 409, 409, 429, 429]);
        // An invalid request takes nothing from the rate limits, and all its errors are reported.
        let wrong = json!({"email": "joan", "password": "short"});
        for _ in 0..30 {
            let (status, body) = notes.ask("POST", "/auth/signup", "", &wrong).await;
            assert_eq!((status, body["fields"].as_array().unwrap().len()), (422, 2), "{body}");
        }
    }

    async fn notes_are_their_owners_alone(db: TestDatabase) {
        let notes = Notes::new(&db).await;
        let (jane, joan) = (notes.sign_up("jane@example.com").await, notes.sign_up("joan@example.com").await);
        let id = notes.write(&jane, "a secret", false).await;
        assert_eq!(notes.get("/notes", &joan).await.1.as_array().unwrap().len(), 1);
        let path = format!("/notes/{id}");
        assert_eq!(notes.ask("DELETE", &path, &joan, &Value::Null).await.0, 404);
        assert_eq!(notes.ask("DELETE", &path, "", &Value::Null).await.0, 401);
        assert_eq!(notes.ask("DELETE", &path, &jane, &Value::Null).await.0, 204);
        assert_eq!(notes.ask("DELETE", &path, &jane, &Value::Null).await.0, 404);
        assert_eq!(notes.get("/notes", "").await.0, 401);
    }

    async fn an_editor_takes_back_what_is_shared(db: TestDatabase) {
        let notes = Notes::new(&db).await;
        let jane = notes.sign_up("jane@example.com").await;
        let path = format!("/editorial/{}", notes.write(&jane, "spam", true).await);
        assert_eq!(notes.shared().await, ["spam"]);
        let editor = testing::bearer(&testing::signed_in(&notes.auth, ["editor"]).await.unwrap());
        assert_eq!(notes.ask("DELETE", &path, &jane, &Value::Null).await.0, 403);
        assert_eq!(notes.ask("DELETE", &path, &editor, &Value::Null).await.0, 204);
        assert!(notes.shared().await.is_empty());
    }

    async fn a_ban_takes_back_what_the_user_shared_and_anonymising_takes_all(db: TestDatabase) {
        let notes = Notes::new(&db).await;
        let jane = notes.sign_up("jane@example.com").await;
        notes.write(&jane, "hello", true).await;
        let id = notes.auth.find_user_by_email("jane@example.com").await.unwrap().unwrap().id;
        notes.auth.ban_user(id).await.unwrap();
        // The hook runs asynchronously after the commit.
        for _ in 0..2_000 {
            if notes.shared().await.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(notes.shared().await.is_empty());
        assert_eq!(notes.get("/notes", &jane).await.0, 403);

        // A note of a banned user is not shown, even if it was written after the ban.
        let late = match Db::connect(db.url()).await.unwrap().0 {
            Db::Sqlite(pool) => authfort::sqlx::query("UPDATE notes SET shared = TRUE").execute(&pool).await.map(|_| ()),
            Db::Postgres(pool) => authfort::sqlx::query("UPDATE notes SET shared = TRUE").execute(&pool).await.map(|_| ()),
        };
        late.unwrap();
        assert!(notes.shared().await.is_empty());

        notes.auth.delete_user(id).anonymize().await.unwrap();
        for _ in 0..2_000 {
            if count(&db).await == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(count(&db).await, 0);
    }

    async fn an_administrator_sees_how_many_notes_there_are(db: TestDatabase) {
        let notes = Notes::new(&db).await;
        let jane = notes.sign_up("jane@example.com").await;
        notes.write(&jane, "hello", true).await;
        let id = notes.auth.find_user_by_email("jane@example.com").await.unwrap().unwrap().id;
        let admin = testing::bearer(&testing::signed_in(&notes.auth, ["admin"]).await.unwrap());
        let page = notes.page(&format!("/admin/ui/users/{id}"), &admin).await;
        for fact in ["<dt>Written</dt><dd class=\"said\"><bdi>2</bdi>", "<dt>Shared</dt><dd class=\"said\"><bdi>1</bdi>"] {
            assert!(page.contains(fact), "{page}");
        }
    }

    async fn notes_go_with_the_row_of_their_owner(db: TestDatabase) {
        let notes = Notes::new(&db).await;
        notes.sign_up("jane@example.com").await;
        assert_eq!(count(&db).await, 1);
        let id = notes.auth.find_user_by_email("jane@example.com").await.unwrap().unwrap().id;
        notes.auth.delete_user(id).await.unwrap();
        assert_eq!(count(&db).await, 0);
    }

    async fn what_cannot_be_read_is_refused_in_the_shape_of_the_library(db: TestDatabase) {
        let notes = Notes::new(&db).await;
        let jane = notes.sign_up("jane@example.com").await;
        let field = |body: &Value| (body["error"].clone(), body["fields"][0]["field"].clone());
        let (status, body) = notes.ask("POST", "/notes", &jane, &json!({"text": 5})).await;
        assert_eq!((status, field(&body)), (422, (json!("validation_failed"), json!("text"))));
        let (status, body) = notes.ask("POST", "/notes", &jane, &json!({"text": " "})).await;
        assert_eq!((status, field(&body)), (422, (json!("invalid_note"), Value::Null)));
        assert_eq!(notes.ask("POST", "/notes", &jane, &json!({"text": "a\0"})).await.0, 422);
        let (status, body) = notes.get("/notes?after=x", &jane).await;
        assert_eq!((status, field(&body)), (400, (json!("invalid_request"), Value::Null)));
        let (status, body) = notes.ask("DELETE", "/notes/x", &jane, &Value::Null).await;
        assert_eq!((status, field(&body)), (400, (json!("invalid_request"), Value::Null)));
        assert_eq!(notes.get("/nothing", &jane).await.1["error"], "not_found");
    }
}
