//! Handlers of an application that do what the routers' do, or stand in their place.

use std::panic::{AssertUnwindSafe, catch_unwind};

use authfort_axum::{
    Action, AuthLayer, CookieOptions, Rate, RateLimits, Rejection, Visitor, admin_router, admin_router_without,
    auth_router, auth_router_without, require_role, testing,
};
use authfort_testkit::{TestDatabase, both_engines};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tower::ServiceBuilder;

use crate::support::{App, NOW, PASSWORD, over, user_json};
use crate::trace::Capture;

#[derive(Deserialize)]
struct Form {
    email: String,
    password: String,
}

async fn sign_up(visitor: Visitor, Json(form): Json<Form>) -> Result<Response, Rejection> {
    visitor.check(Action::SignUp, &form.email)?;
    let auth = visitor.auth().clone();
    let signed_in = tokio::spawn(async move {
        assert_ne!(form.email, "panic@example.com", "hunter2");
        let user = auth.create_user(form.email).password(form.password).await?;
        auth.create_session(user.id).await
    })
    .await??;
    visitor.signed_in(StatusCode::CREATED, signed_in)
}

async fn app(db: &TestDatabase, http: impl FnOnce(AuthLayer) -> AuthLayer) -> App {
    let mut app = App::with(db, |builder| builder, http).await;
    app.router = Router::new()
        .nest("/auth", auth_router_without(&app.layer, ["/signup", "/sessions/{id}"]))
        .nest("/other", auth_router(&app.layer))
        .route("/auth/signup", post(sign_up))
        .route("/link", get(sign_up))
        .layer(app.layer.clone());
    app
}

fn form(email: &str) -> serde_json::Value {
    json!({"email": email, "password": PASSWORD})
}

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    panic.downcast::<String>().map_or_else(|_| "of another kind".to_owned(), |text| *text)
}

both_engines! {
    async fn a_sign_up_of_ones_own_answers_as_the_routers_does(db: TestDatabase) {
        let app = app(&db, |layer| layer.cookies(CookieOptions::default()).unwrap()).await;
        let own = app.post("/auth/signup").json(&form("jane@example.com")).send().await;
        let theirs = app.post("/other/signup").json(&form("joan@example.com")).send().await;
        assert_eq!((own.status, theirs.status), (201, 201), "{}", own.text);
        for (answer, email) in [(&own, "jane@example.com"), (&theirs, "joan@example.com")] {
            let body = answer.json();
            let (user, tokens) = (&body["user"], &body["tokens"]);
            let signed_in = json!({"session_id": user["session_id"], "mfa_enabled": false, "last_login_at": NOW});
            assert_eq!(*user, over(user_json(user["id"].as_str().unwrap(), email, json!({})), signed_in));
            assert_eq!(tokens["expires_in"], 900);
            assert_eq!(answer.cookies().len(), 2);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        let token = own.json()["tokens"]["access_token"].as_str().unwrap().to_owned();
        assert_eq!(app.get("/auth/me").bearer(&token).send().await.status, 200);
    }

    async fn in_cookie_mode_a_page_of_another_site_cannot_use_it(db: TestDatabase) {
        let app = app(&db, |layer| layer.cookies(CookieOptions::default()).unwrap()).await;
        for (method, path) in [("POST", "/auth/signup"), ("GET", "/link"), ("HEAD", "/link")] {
            let call = app.call(method, path).json(&form("jane@example.com")).header("sec-fetch-site", "cross-site");
            let answer = call.send().await;
            assert_eq!((answer.status, answer.cookies().len()), (403, 0), "{method}");
        }
        assert_eq!(app.auth.get_user_count().await.unwrap(), 0);
    }

    async fn it_takes_from_the_same_limits_as_the_routers_own(db: TestDatabase) {
        let limits = RateLimits::off().client(Action::SignUp, Rate::per_hour(2));
        let app = app(&db, |layer| layer.rate_limits(limits)).await;
        for (path, email) in [("/auth/signup", "a@example.com"), ("/other/signup", "b@example.com")] {
            assert_eq!(app.post(path).json(&form(email)).send().await.status, 201);
        }
        for path in ["/auth/signup", "/other/signup"] {
            app.post(path).json(&form("c@example.com")).send().await.refused(429, "rate_limited");
        }
        let elsewhere = app.post("/auth/signup").from("198.51.100.1").json(&form("c@example.com")).send().await;
        assert_eq!(elsewhere.status, 201, "{}", elsewhere.text);
    }

    async fn a_panic_in_a_task_of_the_handlers_is_500_and_says_nothing(db: TestDatabase) {
        let app = app(&db, |layer| layer).await;
        let answer = app.post("/auth/signup").json(&form("panic@example.com")).send().await;
        answer.refused(500, "internal");
        assert!(!answer.text.contains("hunter2"));
    }

    async fn a_router_can_leave_routes_to_the_application_and_its_document_does_not_list_them(db: TestDatabase) {
        let app = app(&db, |layer| layer).await;
        let paths = app.get("/auth/openapi.json").send().await.json()["paths"].clone();
        assert!(paths["/signup"].is_null() && paths["/sessions/{id}"].is_null(), "{paths}");
        assert!(paths["/login"].is_object() && paths["/sessions"].is_object(), "{paths}");
        app.call("DELETE", "/auth/sessions/1").send().await.refused(404, "not_found");

        let layer = app.layer.clone();
        let unknown = catch_unwind(AssertUnwindSafe(|| auth_router_without::<()>(&layer, ["/sign-up"])));
        let message = message(unknown.unwrap_err());
        assert!(message.starts_with("`/sign-up` is no path of this router; it has "), "{message}");
        assert!(message.contains("/signup") && message.contains("/sessions/{id}"), "{message}");
    }

    async fn a_document_without_some_routes_still_has_all_that_it_refers_to(db: TestDatabase) {
        let layer = App::new(&db).await.layer;
        let all: Vec<String> =
            authfort_axum::admin_openapi()["paths"].as_object().unwrap().keys().cloned().collect();
        for kept in &all {
            let app: Router = admin_router_without(&layer, all.iter().filter(|path| *path != kept));
            let admin = testing::signed_in(layer.auth(), ["admin"]).await.unwrap();
            let call = crate::support::call(&app, "GET", "/openapi.json");
            let document = call.header("authorization", testing::bearer(&admin)).send().await.text;
            for name in document.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                assert!(document.contains(&format!("\"{name}\":{{")), "{kept} refers to {name}");
            }
        }
        let app: Router = auth_router_without(&layer, ["/openapi.json"]);
        crate::support::call(&app, "GET", "/openapi.json").send().await.refused(404, "not_found");
    }

    async fn two_routes_of_one_path_and_method_are_refused_where_the_router_is_built(db: TestDatabase) {
        let layer = App::new(&db).await.layer;
        let twice = catch_unwind(AssertUnwindSafe(|| -> Router {
            Router::new().nest("/admin", admin_router(&layer)).route("/admin/events", get(async || "mine"))
        }));
        assert!(message(twice.unwrap_err()).contains("Handler for `GET /admin/events` already exists"));
        // Another method of the same path is no conflict, and neither is a path that was left out.
        let _: Router = Router::new()
            .nest("/admin", admin_router_without(&layer, ["/events"]))
            .route("/admin/events", get(async || "mine"))
            .route("/admin/keys", post(async || "mine"));
    }

    async fn a_guard_around_the_layer_says_so_when_it_is_built_and_at_each_request(db: TestDatabase) {
        let layer = App::new(&db).await.layer;
        let capture = Capture::start();
        // The log is that of all tests, so the roles are this one's own.
        let (inside, around) = (format!("inside-{:?}", db.engine()), format!("around-{:?}", db.engine()));
        let (inside, around) = (inside.to_lowercase(), around.to_lowercase());
        let right = ServiceBuilder::new().layer(layer.clone()).layer(require_role(&inside));
        let wrong = ServiceBuilder::new().layer(require_role(&around)).layer(layer);
        let right: Router = Router::new().route("/", get("guarded").layer(right));
        let wrong: Router = Router::new().route("/", get("guarded").layer(wrong));
        let log = capture.text();
        let complains = |role: &str| {
            log.lines().any(|line| line.contains("lies around the AuthLayer") && line.contains(role))
        };
        assert!(complains(&around) && !complains(&inside), "{log}");
        crate::support::call(&right, "GET", "/").send().await.refused(401, "token_missing");
        crate::support::call(&wrong, "GET", "/").send().await.refused(500, "internal");
    }
}
