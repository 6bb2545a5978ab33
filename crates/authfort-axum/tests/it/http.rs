//! The routers as servers of HTTP: what no handler answers, what breaks, and who hangs up.

use std::time::Duration;

use authfort_axum::{AuthLayer, CurrentUser, RateLimits, admin_router, harden, jwks_router};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use axum::Router;
use axum::routing::get;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{App, PASSWORD, Raw, call, serve};
use crate::trace::Capture;

both_engines! {
    async fn an_unknown_path_is_404_and_an_unknown_method_405_as_json(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        for path in [
            "/admin",
            "/admin/nowhere",
            "/admin/users/",
            "/admin//users",
            "/auth/LOGIN",
            "/auth/login/x",
            "/admin/%FF",
            "/admin/users/x/y/z",
            "/auth/%00",
            "/admin/../admin/users",
        ] {
            for method in ["GET", "POST", "DELETE", "OPTIONS"] {
                let answer = app.call(method, path).send().await;
                assert_eq!(answer.refusal(), (404, "not_found".into()), "{method} {path}");
                assert_eq!(app.call(method, path).by(&admin).send().await.refusal().0, 404);
            }
        }
        // A mount with a slash behind it is the application's own path, as are all the others that it does not know.
        let hardened = harden(app.router.clone());
        for path in ["/admin/", "/auth/", "/", "/nowhere", "/.well-known/"] {
            call(&hardened, "GET", path).send().await.refused(404, "not_found");
        }
        call(&hardened, "POST", "/profile").send().await.refused(405, "method_not_allowed");
        let post = app.post("/auth/me").send().await;
        post.refused(405, "method_not_allowed");
        assert_eq!(post.header("allow"), Some("GET,HEAD"));
        let keys = app.post("/.well-known/jwks.json").send().await;
        keys.refused(405, "method_not_allowed");
        assert_eq!(keys.header("allow"), Some("GET,HEAD"));
    }

    async fn head_has_the_headers_of_get_and_no_body(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        let user = format!("/admin/users/{}", jane.id);
        for path in ["/admin/users", &user, "/auth/me", "/.well-known/jwks.json"] {
            let (get, head) = (app.get(path).by(&admin).send().await, app.call("HEAD", path).by(&admin).send().await);
            assert_eq!((head.status, head.text.as_str()), (200, ""));
            for name in ["content-type", "content-length", "cache-control", "etag"] {
                assert_eq!(get.header(name), head.header(name), "{path} {name}");
            }
        }
        assert_eq!(app.call("HEAD", "/admin/users").send().await.status, 401);
    }

    async fn the_public_keys_may_be_kept_and_hold_no_secret(db: TestDatabase) {
        let app = App::new(&db).await;
        let kid = app.auth.list_keys().await.unwrap()[0].kid.clone();
        let answer = app.get("/.well-known/jwks.json").send().await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("public, max-age=300")));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let x = answer.json()["keys"][0]["x"].clone();
        assert_eq!(
            answer.json(),
            json!({"keys": [
                {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": "EdDSA", "use": "sig"},
            ]})
        );
        app.auth.rotate_keys().await.unwrap();
        let both = app.get("/.well-known/jwks.json").send().await.json();
        assert_eq!(both["keys"].as_array().unwrap().len(), 2);
        app.clock.advance(chrono::TimeDelta::hours(1));
        let one = app.get("/.well-known/jwks.json").send().await.json();
        assert_eq!(one["keys"].as_array().unwrap().len(), 1, "a retired key goes when its tokens have");
        assert_ne!(one["keys"][0]["kid"], json!(kid));
    }

    async fn a_fault_is_500_with_a_request_id_and_says_nothing_else(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let raw = Raw::open(&db).await;
        let ban = format!("/admin/users/{}/ban", app.user("jane@example.com").await.id);
        raw.execute("ALTER TABLE authfort_events RENAME TO hidden_events").await;
        let body = json!({"email": "new@example.com"});
        let before = raw.number("SELECT count(*) FROM authfort_users").await;
        for (n, (route, call)) in [
            ("GET /admin/events", app.get("/admin/events")),
            ("POST /admin/users", app.post("/admin/users").json(&body)),
            ("POST /admin/users/{id}/ban", app.post(&ban)),
            ("POST /auth/signup", app.post("/auth/signup").json(&json!({"email": "x@example.com", "password": PASSWORD}))),
        ]
        .into_iter()
        .enumerate()
        {
            let id = format!("fault-{n}");
            let capture = Capture::start();
            let answer = call.by(&admin).header("x-request-id", &id).send().await;
            answer.refused(500, "internal");
            assert_eq!(answer.json(), json!({"error": "internal", "message": "An internal error occurred."}));
            assert_eq!(answer.header("x-request-id"), Some(id.as_str()));
            let log = capture.text();
            let name = format!("request{{otel.name={route} otel.kind=\"server\"");
            let told = |line: &str| {
                ["ERROR", &id, "authfort_events", &name].into_iter().all(|said| line.contains(said))
            };
            assert!(log.lines().any(told), "the log knows what it was, and of which request: {log}");
        }
        assert_eq!(raw.number("SELECT count(*) FROM authfort_users").await, before);
        raw.execute("ALTER TABLE hidden_events RENAME TO authfort_events").await;
        assert_eq!(app.post(&ban).by(&admin).send().await.status, 200, "and nothing is broken for good");
    }

    async fn the_span_of_a_request_has_nothing_of_the_clients_own(db: TestDatabase) {
        let app = App::new(&db).await;
        let capture = Capture::start();
        let call = app.call("FOO", "/auth/nowhere/planted@example.com?token=planted");
        assert_eq!(call.header("x-request-id", "span-1").send().await.status, 404);
        let log = capture.text();
        let span = log.lines().find(|line| line.contains("span-1")).unwrap();
        assert!(span.contains("request{otel.name=HTTP otel.kind=\"server\" http.request.method=\"_OTHER\""), "{span}");
        assert!(!log.lines().any(|line| line.contains("span-1") && line.contains("planted")), "{log}");
    }

    async fn each_use_of_a_connection_is_a_span_in_that_of_the_request(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let capture = Capture::start();
        let call = app.get("/admin/users").by(&admin).header("x-request-id", "span-2");
        assert_eq!(call.send().await.status, 200);
        let log = capture.text();
        let (system, pool) = match db.engine() {
            Engine::Sqlite => ("sqlite", "read"),
            Engine::Postgres => ("postgresql", "main"),
        };
        let attributes = format!(r#"db.system.name="{system}" db.client.connection.pool.name="{pool}""#);
        let span = format!(r#"{system}{{otel.kind="client" {attributes}}}: "#);
        let told = log.lines().filter(|line| line.contains("span-2") && line.contains(&span) && line.ends_with("new"));
        assert_eq!(told.count(), 1, "{log}");
    }

    async fn without_its_database_everything_is_503(db: TestDatabase) {
        let app = App::with(&db, |options| options.acquire_timeout(Duration::from_secs(2)), |layer| layer).await;
        let admin = app.admin().await;
        // A SQLite file that was opened outlives its name, so there the pools are closed.
        match db.engine() {
            Engine::Sqlite => app.auth.close().await,
            Engine::Postgres => db.drop_now().await,
        }
        let login = json!({"email": "jane@example.com", "password": PASSWORD});
        for call in [
            app.get("/admin/users").by(&admin),
            app.get("/profile").by(&admin),
            app.post("/auth/login").json(&login),
            app.post("/auth/signup").json(&login),
            app.post("/auth/refresh").json(&json!({"refresh_token": admin.refresh})),
            app.post("/auth/logout").json(&json!({"refresh_token": admin.refresh})),
        ] {
            let answer = call.send().await;
            answer.refused(503, "database_unavailable");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        // All but what is known already.
        app.clock.advance(chrono::TimeDelta::minutes(1));
        let keys = app.get("/.well-known/jwks.json").send().await;
        assert_eq!((keys.status, keys.json()["keys"].as_array().unwrap().len()), (200, 1));
    }

    async fn a_pool_that_others_hold_is_503_within_its_timeout(db: TestDatabase) {
        let timeout = Duration::from_millis(300);
        let app = App::with(&db, |options| options.max_connections(1).acquire_timeout(timeout), |layer| layer).await;
        let admin = app.admin().await;
        let raw = Raw::open(&db).await;
        // Somebody else's transaction holds what a ban needs; the ban holds the only connection that writes, but for
        // SQLite's pauses between two tries for the file's lock.
        let jane = app.user("jane@example.com").await;
        let ban = format!("/admin/users/{}/ban", jane.id);
        let blocker = raw.block().await;
        let stuck = tokio::spawn(app.post(&ban).by(&admin).send());
        tokio::time::sleep(Duration::from_millis(50)).await;
        let start = std::time::Instant::now();
        let create = app.post("/admin/users").by(&admin).json(&json!({"email": "new@example.com"})).send().await;
        create.refused(503, "database_unavailable");
        let waited = start.elapsed();
        let bound = if db.engine() == Engine::Sqlite { 8 } else { 2 };
        assert!(waited < Duration::from_secs(bound), "{waited:?}");
        assert_eq!(app.get("/profile").by(&admin).send().await.status, 200, "the guard has connections of its own");
        blocker.release().await;
        let stuck = stuck.await.unwrap();
        assert!(stuck.status == 200 || (stuck.status == 503 && db.engine() == Engine::Sqlite), "{}", stuck.text);
        assert_eq!(app.post(&ban).by(&admin).send().await.json()["banned"], true);
        assert_eq!(
            app.post("/admin/users").by(&admin).json(&json!({"email": "new@example.com"})).send().await.status,
            201
        );
    }

    async fn a_panic_in_a_handler_is_500_and_the_server_lives_on(db: TestDatabase) {
        let app = App::new(&db).await;
        let caller = app.nobody().await;
        let boom = async |_: CurrentUser| -> String { panic!("the secret of the panic") };
        let inner = harden(Router::new().route("/boom", get(boom)).route("/fine", get(async || "fine")));
        let address = serve(Router::new().nest("/x", inner).layer(app.layer.clone())).await;
        let client = reqwest::Client::new();
        for _ in 0..3 {
            let request = client.get(format!("http://{address}/x/boom")).bearer_auth(&caller.token);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 500);
            assert!(answer.headers().contains_key("x-request-id"));
            let body: serde_json::Value = answer.json().await.unwrap();
            assert_eq!(body, json!({"error": "internal", "message": "An internal error occurred."}));
        }
        let fine = client.get(format!("http://{address}/x/fine")).send().await.unwrap();
        assert_eq!(fine.text().await.unwrap(), "fine");
    }

    async fn every_answer_forbids_keeping_and_sniffing(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        for call in [
            app.get("/admin/users").by(&admin),
            app.get("/admin/users"),
            app.get("/admin/nowhere"),
            app.call("PUT", "/admin/users"),
            app.get("/auth/me").by(&admin),
            app.post("/auth/login").json(&json!({"email": "x", "password": "y"})),
            app.post("/auth/logout"),
            app.get("/auth/openapi.json"),
        ] {
            let answer = call.send().await;
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{}", answer.text);
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            assert!(answer.header("x-request-id").is_some());
        }
    }

    async fn a_request_id_is_taken_over_if_it_is_a_plain_word_and_stands_in_the_event(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let create = async |n: usize, id: &str| {
            let body = json!({"email": format!("u{n}@example.com")});
            app.post("/admin/users").by(&admin).header("x-request-id", id).json(&body).send().await
        };
        let long = "x".repeat(129);
        for (n, (id, kept)) in [("req-1.a/b:c=", true), ("two words", false), ("\"quoted\"", false), (&long, false)]
            .into_iter()
            .enumerate()
        {
            let answer = create(n, id).await;
            let shown = answer.header("x-request-id").unwrap().to_owned();
            assert_eq!(shown == id, kept, "{id}");
            let last = app.auth.list_events().limit(1).await.unwrap().events.remove(0);
            assert_eq!(last.request_id, Some(shown));
        }
    }

    async fn the_whole_thing_works_over_a_socket(db: TestDatabase) {
        let app = App::new(&db).await;
        let address = app.serve().await;
        let client = reqwest::Client::new();
        let url = |path: &str| format!("http://{address}{path}");
        let body = json!({"email": "jane@example.com", "password": PASSWORD});
        let answer = client.post(url("/auth/signup")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        let body: serde_json::Value = answer.json().await.unwrap();
        let token = body["tokens"]["access_token"].as_str().unwrap();
        let me = client.get(url("/auth/me")).bearer_auth(token).send().await.unwrap();
        assert_eq!(me.json::<serde_json::Value>().await.unwrap()["email"], "jane@example.com");
        let list = client.get(url("/admin/users")).bearer_auth(token).send().await.unwrap();
        assert_eq!(list.status(), 403);
        let login = app.events(0).await.into_iter().find(|event| event[0] == "login").unwrap();
        assert_eq!(login[3]["ip_address"], "127.0.0.1");
    }

    async fn a_thousand_clients_that_hang_up_leave_nothing_behind(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let address = app.serve().await;
        let hang_up = |n: usize, token: String| async move {
            let body = json!({"email": format!("gone{n}@example.com"), "name": "Gone"}).to_string();
            let head = format!(
                "POST /admin/users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len(),
            );
            let mut socket = TcpStream::connect(address).await.unwrap();
            // Some before the request is whole, some at once, some while it is worked on.
            let cut = if n.is_multiple_of(5) { head.len() - 3 } else { head.len() };
            socket.write_all(&head.as_bytes()[..cut]).await.unwrap();
            tokio::time::sleep(Duration::from_millis((n % 11) as u64 * 10)).await;
        };
        for batch in 0..20 {
            let clients = (0..50).map(|n| tokio::spawn(hang_up(batch * 50 + n, admin.token.clone())));
            for client in clients.collect::<Vec<_>>() {
                client.await.unwrap();
            }
        }
        // What was begun is finished, apart from the client.
        let mut count = 0;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = app.auth.get_user_count().await.unwrap();
            if now == count {
                break;
            }
            count = now;
        }
        let raw = Raw::open(&db).await;
        if db.engine() == Engine::Postgres {
            let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
            assert_eq!(raw.number(open).await, 0);
        }
        let created = raw.number("SELECT count(*) FROM authfort_users WHERE email LIKE 'gone%'").await;
        assert!(created > 20, "the requests were meant to reach the database: {created}");
        assert_eq!(raw.number("SELECT count(*) FROM authfort_events WHERE type = 'user_created'").await, created + 1);
        for n in 0..20 {
            let body = json!({"email": format!("after{n}@example.com")});
            assert_eq!(app.post("/admin/users").by(&admin).json(&body).send().await.status, 201);
        }
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET /profile HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }

    async fn routers_without_an_outer_layer_work_over_a_socket_too(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let layer = AuthLayer::new(app.auth.clone()).rate_limits(RateLimits::off());
        let router = Router::new().nest("/manage", admin_router::<()>(&layer)).merge(jwks_router(&layer));
        let answer = call(&router, "GET", "/manage/users/count").by(&admin).send().await;
        answer.is(200, &json!({"count": 1}));
    }
}
