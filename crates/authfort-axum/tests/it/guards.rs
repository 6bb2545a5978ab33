//! Who is let in, and what it costs to ask.

use std::time::{Duration, Instant};

use authfort::AuthFort;
use authfort_axum::{
    AllOf, AnyOf, Auth, AuthLayer, CurrentUser, RateLimits, Rejection, RequireRole, admin_router, auth_router,
    require_all_roles, require_any_role, require_role, testing,
};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Admin, App, Caller, Editor, UNKNOWN_ID, call};
use crate::trace::{Capture, statements};

const NO_ROLES: [&str; 0] = [];

async fn greeting(user: Option<CurrentUser>) -> String {
    user.map_or_else(|| "nobody".into(), |user| user.email.clone())
}

/// A pool with one connection, which serves everything.
async fn one_connection(db: &TestDatabase) -> AuthFort {
    let builder = AuthFort::builder().algorithm(authfort::Algorithm::EdDsa);
    let timeout = Duration::from_secs(20);
    match db.engine() {
        Engine::Sqlite => {
            let options: SqliteConnectOptions = db.url().parse().unwrap();
            let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(timeout);
            builder.from_pool(pool.connect_with(options.foreign_keys(true)).await.unwrap()).await.unwrap()
        }
        Engine::Postgres => {
            let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(timeout);
            builder.from_pool(pool.connect(db.url()).await.unwrap()).await.unwrap()
        }
    }
}

#[test]
fn a_guard_by_a_name_that_is_no_roles_or_comes_twice_panics_where_the_router_is_built() {
    let message = |build: fn()| {
        let panic = std::panic::catch_unwind(build).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    let shape = "and a role matches ^[a-z][a-z0-9_-]{0,49}$";
    let one = message(|| drop(require_role("Admin")));
    assert_eq!(one, format!("a guard asks for the role `Admin`, {shape}"));
    assert_eq!(message(|| drop(require_role(""))), format!("a guard asks for the role ``, {shape}"));
    let any = message(|| drop(require_any_role(["admin", "ed\nitor"])));
    assert_eq!(any, format!("a guard asks for the role `ed\\nitor`, {shape}"));
    let all = message(|| drop(require_all_roles(["admin", "editor", "admin"])));
    assert_eq!(all, "a guard asks for the role `admin` twice");
}

both_engines! {
    async fn absent_invalid_and_unanswerable_are_three_answers(db: TestDatabase) {
        let app = App::new(&db).await;
        let caller = app.nobody().await;
        let router = Router::new().route("/", get(greeting)).layer(app.layer.clone());
        assert_eq!(call(&router, "GET", "/").send().await.text, "nobody");
        assert_eq!(call(&router, "GET", "/").by(&caller).send().await.text, caller.email);
        call(&router, "GET", "/").bearer("garbage").send().await.refused(401, "token_invalid");
        call(&router, "GET", "/").bearer("").send().await.refused(401, "token_invalid");

        let expired = caller.token.clone();
        app.clock.advance(chrono::TimeDelta::seconds(900));
        let answer = call(&router, "GET", "/").bearer(&expired).send().await;
        answer.refused(401, "token_expired");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));

        let live = app.nobody().await;
        app.auth.close().await;
        for path in ["/", "/?"] {
            let answer = call(&router, "GET", path).by(&live).send().await;
            answer.refused(503, "database_unavailable");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        assert_eq!(call(&router, "GET", "/").send().await.text, "nobody", "who brings no token is not looked up");
        app.get("/profile").by(&live).send().await.refused(503, "database_unavailable");
        app.get("/admin/users").by(&live).send().await.refused(503, "database_unavailable");
    }

    async fn roles_let_in_whom_they_name_as_arguments_and_as_layers(db: TestDatabase) {
        let app = App::new(&db).await;
        let ok = async || "ok";
        let router = Router::new()
            .route("/one", get(async |_: RequireRole<Admin>| "ok"))
            .route("/any", get(async |_: RequireRole<AnyOf<(Admin, Editor)>>| "ok"))
            .route("/all", get(async |_: RequireRole<AllOf<(Admin, Editor)>>| "ok"))
            .route("/layer/one", get(ok).route_layer(require_role("admin")))
            .route("/layer/any", get(ok).route_layer(require_any_role(["admin", "editor"])))
            .route("/layer/all", get(ok).route_layer(require_all_roles(["admin", "editor"])))
            .route("/layer/any/none", get(ok).route_layer(require_any_role(NO_ROLES)))
            .route("/layer/all/none", get(ok).route_layer(require_all_roles(NO_ROLES)))
            .layer(app.layer.clone());
        let callers = [vec![], vec!["admin"], vec!["editor"], vec!["admin", "editor"], vec!["administrator", "writer"]];
        let mut signed_in = Vec::new();
        for roles in callers {
            signed_in.push(Caller::from(testing::signed_in(&app.auth, roles).await.unwrap()));
        }
        for (path, allowed, wanted) in [
            ("/one", [false, true, false, true, false], "admin"),
            ("/any", [false, true, true, true, false], "admin or editor"),
            ("/all", [false, false, false, true, false], "admin and editor"),
            ("/none", [false; 5], ""),
        ] {
            let paths = match path {
                "/none" => vec!["/layer/any/none".to_owned(), "/layer/all/none".to_owned()],
                path => vec![path.to_owned(), format!("/layer{path}")],
            };
            for path in paths {
                call(&router, "GET", &path).send().await.refused(401, "token_missing");
                call(&router, "GET", &path).bearer("x").send().await.refused(401, "token_invalid");
                for (caller, allowed) in signed_in.iter().zip(allowed) {
                    let answer = call(&router, "GET", &path).by(caller).send().await;
                    if allowed {
                        assert_eq!((answer.status, answer.text.as_str()), (200, "ok"), "{path}");
                    } else {
                        answer.refused(403, "insufficient_role");
                        assert_eq!(answer.json()["message"], format!("This needs the role {wanted}."), "{path}");
                    }
                }
            }
        }
    }

    async fn a_guard_without_the_layer_lets_nobody_in_and_says_so_in_the_log(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let router: Router = Router::new()
            .route("/user", get(async |_: CurrentUser| ()))
            .route("/option", get(greeting))
            .route("/role", get(async |_: RequireRole<Admin>| ()))
            .route("/auth", get(async |_: Auth| ()))
            .route("/layer", get(async || ()).route_layer(require_role("admin")));
        for path in ["/user", "/option", "/role", "/auth", "/layer"] {
            let capture = Capture::start();
            call(&router, "GET", path).by(&admin).send().await.refused(500, "internal");
            let log = capture.text();
            assert!(log.contains("ERROR") && log.contains("needs an AuthLayer around it") && log.contains(path), "{path}: {log}");
        }
    }

    async fn a_guard_that_names_an_undeclared_role_answers_500_and_says_so_in_the_log(db: TestDatabase) {
        let app = App::with(&db, |options| options.roles(["editor"]), |layer| layer).await;
        let admin = app.admin().await;
        authfort_axum::roles! { Auditor = "auditor"; }
        let ok = async || "ok";
        let router: Router = Router::new()
            .route("/declared", get(async |_: RequireRole<AnyOf<(Admin, Editor)>>| ()))
            .route("/declared/layer", get(ok).route_layer(require_any_role(["admin", "editor"])))
            .route("/one", get(async |_: RequireRole<Auditor>| ()))
            .route("/any", get(async |_: RequireRole<AnyOf<(Admin, Auditor)>>| ()))
            .route("/all", get(async |_: RequireRole<AllOf<(Admin, Auditor)>>| ()))
            .route("/layer/one", get(ok).route_layer(require_role("auditor")))
            .route("/layer/any", get(ok).route_layer(require_any_role(["admin", "auditor"])))
            .route("/layer/all", get(ok).route_layer(require_all_roles(["admin", "auditor"])))
            .layer(app.layer.clone());
        for path in ["/declared", "/declared/layer"] {
            assert_eq!(call(&router, "GET", path).by(&admin).send().await.status, 200);
        }
        for path in ["/one", "/any", "/all", "/layer/one", "/layer/any", "/layer/all"] {
            for call in [call(&router, "GET", path), call(&router, "GET", path).by(&admin)] {
                let capture = Capture::start();
                call.send().await.refused(500, "internal");
                let log = capture.text();
                assert!(log.contains("ERROR") && log.contains("role=\"auditor\""), "{path}: {log}");
            }
        }
    }

    async fn defect_33_a_request_is_authenticated_once_however_many_ask(db: TestDatabase) {
        // It remembers nothing between requests, so that each one has to ask.
        let app = App::with(&db, |builder| builder.guard_staleness(std::time::Duration::ZERO), |layer| layer).await;
        let admin = app.admin().await;
        let many = async |a: CurrentUser, b: Option<CurrentUser>, c: RequireRole<Admin>, _: Auth, d: CurrentUser| {
            assert!([&b.unwrap().email, &c.email, &d.email].iter().all(|email| **email == a.email));
            "ok"
        };
        let inner = Router::new().route("/", get(many).post(many)).layer(require_role("admin"));
        let router = Router::new()
            .nest("/deep", inner.layer(require_any_role(["admin", "editor"])).layer(app.layer.clone()))
            .layer(require_all_roles(["admin"]))
            .layer(app.layer.clone())
            .layer(app.layer.clone());
        let one = async || call(&router, "POST", "/deep").by(&admin).send().await;
        assert_eq!(one().await.text, "ok", "connections are open from here on");
        let (answer, sent) = statements(one()).await;
        assert_eq!((answer.text.as_str(), sent.len()), ("ok", 1), "{sent:?}");

        let (answer, sent) = statements(call(&router, "POST", "/deep").bearer("x").send()).await;
        assert_eq!((answer.status, sent.len()), (401, 0), "a forged token is no question for the database: {sent:?}");
        let (answer, sent) = statements(call(&router, "POST", "/deep").send()).await;
        assert_eq!((answer.status, sent.len()), (401, 0), "{sent:?}");

        let refused = Caller::from(testing::signed_in(&app.auth, ["editor"]).await.unwrap());
        let (answer, sent) = statements(call(&router, "POST", "/deep").by(&refused).send()).await;
        assert_eq!((answer.status, sent.len()), (403, 1), "{sent:?}");
        app.auth.ban_user(refused.id).await.unwrap();
        let (answer, sent) = statements(call(&router, "POST", "/deep").by(&refused).send()).await;
        assert_eq!((answer.status, sent.len()), (403, 1), "a refusal is kept as well: {sent:?}");
    }

    async fn defect_20_a_page_over_http_takes_two_statements_and_a_count_too(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        for n in 0..50 {
            app.auth.create_user(format!("u{n}@example.com")).role("editor").await.unwrap();
        }
        app.get("/admin/users").by(&admin).send().await;
        // The guard's one is among them.
        let (answer, sent) = statements(app.get("/admin/users").by(&admin).send()).await;
        assert_eq!(answer.json()["users"].as_array().unwrap().len(), 50);
        assert!(sent.len() <= 1 + 2, "{sent:?}");
        let (_, sent) = statements(app.get("/admin/users/count?role=editor").by(&admin).send()).await;
        assert!(sent.len() <= 1 + 1, "{sent:?}");
    }

    async fn a_token_counts_in_one_place_only(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let token = &admin.token;
        for path in ["/profile", "/guarded", "/auth/me", "/admin/users"] {
            for name in ["access_token", "token", "authorization", "bearer"] {
                app.get(&format!("{path}?{name}={token}")).send().await.refused(401, "token_missing");
            }
            for (name, value) in [
                ("x-forwarded-user", admin.email.clone()),
                ("x-access-token", token.clone()),
                ("x-authorization", format!("Bearer {token}")),
                ("proxy-authorization", format!("Bearer {token}")),
                ("authorization", format!("Basic {token}")),
                ("authorization", format!("Token {token}")),
                ("authorization", format!("Bearer{token}")),
                ("authorization", token.clone()),
                ("cookie", format!("__Host-access_token={token}; access_token={token}")),
            ] {
                let answer = app.get(path).header(name, &value).send().await;
                assert_eq!(answer.refusal(), (401, "token_missing".into()), "{path} {name}");
            }
            for (first, second) in [(token.as_str(), token.as_str()), ("x", token), (token, "x")] {
                app.get(path).bearer(first).bearer(second).send().await.refused(401, "token_invalid");
            }
            let mixed = app.get(path).header("authorization", "Basic eDp5").bearer(token).send().await;
            mixed.refused(401, "token_invalid");
            for value in [format!("Bearer {token} x"), format!("Bearer {token},Bearer {token}")] {
                app.get(path).header("authorization", value).send().await.refused(401, "token_invalid");
            }
            app.get(path).header("authorization", b"Bearer \xff\xfe").send().await.refused(401, "token_invalid");
        }
        assert_eq!(app.get("/profile").header("authorization", format!("bEARER {token}")).send().await.status, 200);
    }

    async fn a_token_that_names_its_own_key_opens_no_connection(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let lure = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", lure.local_addr().unwrap());
        let parts: Vec<&str> = admin.token.split('.').collect();
        let header: Value = serde_json::from_slice(&decode(parts[0])).unwrap();
        for (name, value) in [
            ("jku", json!(url)),
            ("x5u", json!(url)),
            ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"})),
            ("x5c", json!(["AAAA"])),
            ("kid", json!(url)),
            ("kid", json!("../../etc/passwd")),
            ("kid", json!("' OR 1=1 --")),
            ("kid", json!("x".repeat(4096))),
            ("kid", json!("\u{0}")),
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("crit", json!(["b64"])),
        ] {
            let mut forged = header.clone();
            forged[name] = value;
            for signature in [parts[2], ""] {
                let token = format!("{}.{}.{signature}", encode(forged.to_string().as_bytes()), parts[1]);
                app.get("/profile").bearer(&token).send().await.refused(401, "token_invalid");
            }
        }
        let nobody = tokio::time::timeout(Duration::from_millis(50), lure.accept()).await;
        assert!(nobody.is_err(), "somebody came to ask");
    }

    async fn a_token_of_any_size_is_refused_at_once(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let deep = encode(format!("{}1{}", "[".repeat(3_000), "]".repeat(3_000)).as_bytes());
        for token in [
            "x".repeat(8 * 1024 + 1),
            format!("{}{}", admin.token, "A".repeat(9_000)),
            format!("{deep}.{deep}.AAAA"),
            "a.b.c.d.e".into(),
            format!("{}.b.c.d.e", encode(br#"{"alg":"PBES2-HS256+A128KW","p2c":2147483648,"enc":"A128GCM"}"#)),
            ".".repeat(5_000),
        ] {
            // The machine may be busy with something else, but not every time.
            let mut quickest = Duration::MAX;
            for _ in 0..3 {
                let start = Instant::now();
                app.get("/profile").bearer(&token).send().await.refused(401, "token_invalid");
                quickest = quickest.min(start.elapsed());
            }
            assert!(quickest < Duration::from_millis(50), "{quickest:?}");
        }
        let mut socket = TcpStream::connect(app.serve().await).await.unwrap();
        let head = format!("GET /profile HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", "x".repeat(1 << 20));
        // The server may hang up before it has read all of it.
        let _ = socket.write_all(head.as_bytes()).await;
        let mut status = [0; 12];
        socket.read_exact(&mut status).await.unwrap();
        assert!([&b"HTTP/1.1 431"[..], b"HTTP/1.1 401"].contains(&&status[..]), "{}", String::from_utf8_lossy(&status));
    }

    async fn a_live_token_of_who_is_no_administrator_any_more_is_refused(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let cases = [
            ("POST", "/ban", 403, "user_banned"),
            ("DELETE", "", 401, "user_not_found"),
            ("DELETE", "?mode=anonymize", 401, "user_not_found"),
            ("DELETE", "/roles/admin", 401, "token_version_mismatch"),
            ("DELETE", "/sessions", 401, "session_revoked"),
        ];
        for (method, path, status, code) in cases {
            let other = app.admin().await;
            assert_eq!(app.get("/admin/users").by(&other).send().await.status, 200);
            let path = format!("/admin/users/{}{path}", other.id);
            assert_eq!(app.call(method, &path).by(&admin).send().await.status, 200, "{method} {path}");
            for path in ["/admin/users", "/guarded", "/profile", "/auth/me"] {
                app.get(path).by(&other).send().await.refused(status, code);
            }
        }
        let late = app.admin().await;
        app.auth.remove_role(late.id, "admin").immediate(false).await.unwrap();
        // The token is good still, as was asked for; the role is gone all the same.
        assert_eq!(app.get("/auth/me").by(&late).send().await.status, 200);
        for path in ["/admin/users", "/guarded"] {
            app.get(path).by(&late).send().await.refused(403, "insufficient_role");
        }
        let demote = format!("/admin/users/{}/roles/admin", admin.id);
        app.call("DELETE", &demote).by(&late).send().await.refused(403, "insufficient_role");
        app.call("DELETE", &format!("/admin/users/{}", admin.id))
            .by(&late)
            .send()
            .await
            .refused(403, "insufficient_role");
        assert!(app.auth.has_role(admin.id, "admin").await.unwrap());
    }

    async fn defect_34_one_connection_serves_a_hundred_guarded_lists_at_once(db: TestDatabase) {
        let auth = one_connection(&db).await;
        let layer = AuthLayer::new(auth.clone()).rate_limits(RateLimits::off());
        let admin = Caller::from(testing::signed_in(&auth, ["admin"]).await.unwrap());
        let list = async |_: RequireRole<Admin>, Auth(auth): Auth| -> Result<String, Rejection> {
            Ok(auth.list_users().await?.users.len().to_string())
        };
        let nested = Router::new()
            .nest("/admin", admin_router::<()>(&layer))
            .route("/list", get(list))
            .layer(require_role("admin"))
            .layer(AuthLayer::new(auth.clone()))
            .layer(require_role("admin"))
            .layer(layer.clone());
        let plain = Router::new().nest("/admin", admin_router::<()>(&layer));
        for (router, path) in [(plain, "/admin/users"), (nested.clone(), "/admin/users"), (nested, "/list")] {
            let answers = join_all((0..100).map(|_| {
                let request = call(&router, "GET", path).by(&admin).send();
                tokio::spawn(request)
            }));
            for answer in answers.await {
                assert_eq!(answer.unwrap().status, 200, "{path}");
            }
        }
    }

    async fn the_routers_nest_into_an_application_of_any_state_and_under_any_path(db: TestDatabase) {
        #[derive(Clone)]
        struct Mine(&'static str);
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        // No layer of ours around it: the routers carry their own.
        let router = Router::new()
            .nest("/tenants/{tenant}/admin", admin_router(&app.layer))
            .nest("/deep/er/auth", auth_router(&app.layer))
            .merge(authfort_axum::jwks_router(&app.layer))
            .route("/mine", get(async |State(Mine(text)): State<Mine>| text))
            .with_state(Mine("mine"));
        assert_eq!(call(&router, "GET", "/mine").send().await.text, "mine");
        assert_eq!(call(&router, "GET", "/deep/er/auth/me").by(&admin).send().await.json()["email"], admin.email);
        let user = call(&router, "GET", &format!("/tenants/acme/admin/users/{}", jane.id)).by(&admin).send().await;
        assert_eq!(user.json()["email"], "jane@example.com");
        let role = call(&router, "PUT", &format!("/tenants/acme/admin/users/{}/roles/editor", jane.id));
        role.by(&admin).send().await.is(200, &json!({"roles": ["editor"]}));
        let created = call(&router, "POST", "/tenants/acme/admin/users").by(&admin);
        let created = created.json(&json!({"email": "joe@example.com"})).send().await;
        let location = created.header("location").unwrap();
        assert!(location.starts_with("/tenants/acme/admin/users/"), "{location}");
        assert_eq!(call(&router, "GET", location).by(&admin).send().await.json()["email"], "joe@example.com");
        let document = call(&router, "GET", "/tenants/acme/admin/openapi.json").by(&admin).send().await.json();
        assert_eq!(document["servers"], json!([{"url": "/tenants/acme/admin"}]));
        call(&router, "GET", "/tenants/acme/admin/nowhere").send().await.refused(404, "not_found");
        call(&router, "GET", &format!("/tenants/acme/admin/users/{UNKNOWN_ID}"))
            .send()
            .await
            .refused(401, "token_missing");
        assert_eq!(call(&router, "GET", "/.well-known/jwks.json").send().await.status, 200);
        assert_eq!(call(&router, "GET", "/nowhere").send().await.status, 404);
    }

    async fn a_router_asks_its_own_service_inside_an_application_of_another(db: TestDatabase) {
        let app = App::new(&db).await;
        let other_db = TestDatabase::create(db.engine()).await;
        let other = App::new(&other_db).await;
        let (admin, stranger) = (app.admin().await, other.admin().await);
        let router = Router::new()
            .nest("/admin", admin_router::<()>(&app.layer))
            .route("/profile", get(async |user: CurrentUser| user.email.clone()))
            .layer(other.layer.clone());
        assert_eq!(call(&router, "GET", "/admin/users").by(&admin).send().await.status, 200);
        call(&router, "GET", "/admin/users").by(&stranger).send().await.refused(401, "token_invalid");
        assert_eq!(call(&router, "GET", "/profile").by(&stranger).send().await.text, stranger.email);
        call(&router, "GET", "/profile").by(&admin).send().await.refused(401, "token_invalid");
    }

    async fn what_a_handler_does_is_done_in_the_name_of_the_caller(db: TestDatabase) {
        let app = App::new(&db).await;
        let caller = app.nobody().await;
        let close = async |user: CurrentUser, Auth(auth): Auth| -> Result<(), Rejection> {
            auth.delete_user(user.user_id).anonymize().await?;
            Ok(())
        };
        let router = Router::new().route("/close", post(close)).layer(app.layer.clone());
        let before = app.event_count().await;
        assert_eq!(call(&router, "POST", "/close").by(&caller).send().await.status, 200);
        let data = json!({"email": caller.email, "mode": "anonymize"});
        assert_eq!(app.events(before).await, [json!(["user_deleted", caller.id, caller.id, data])]);
        call(&router, "POST", "/close").by(&caller).send().await.refused(401, "user_not_found");
    }

    async fn a_helper_signs_test_users_in_without_a_password(db: TestDatabase) {
        let app = App::new(&db).await;
        let first = testing::signed_in(&app.auth, ["admin", "editor"]).await.unwrap();
        let second = testing::signed_in(&app.auth, NO_ROLES).await.unwrap();
        assert_ne!(first.user.email, second.user.email);
        assert_eq!(first.user.roles, ["admin", "editor"]);
        let bearer = testing::bearer(&first);
        assert_eq!(app.get("/guarded").header("authorization", &bearer).send().await.text, "guarded");
        let bearer = testing::bearer(&second);
        app.get("/guarded").header("authorization", &bearer).send().await.refused(403, "insufficient_role");
        assert!(testing::signed_in(&app.auth, ["No Role"]).await.is_err());
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// base64url without padding.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * index) & 63) as usize]));
        }
    }
    text
}

fn decode(text: &str) -> Vec<u8> {
    let value = |byte| u32::try_from(ALPHABET.iter().position(|known| *known == byte).unwrap()).unwrap();
    let values: Vec<u32> = text.bytes().map(value).collect();
    let mut bytes = Vec::new();
    for chunk in values.chunks(4) {
        let bits = chunk.iter().fold(0, |bits, value| bits << 6 | value) << (6 * (4 - chunk.len()));
        bytes.extend(bits.to_be_bytes().iter().skip(1).take(chunk.len() - 1));
    }
    bytes
}
