//! Every route of the admin router, taken from its own OpenAPI document, so that a new one is walked by itself.

use std::collections::{BTreeMap, BTreeSet};

use authfort_testkit::{TestDatabase, both_engines};
use serde_json::{Value, json};

use crate::support::{App, Caller, Raw};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The contract's routes that exist so far. `/openapi.json` describes and is not described.
const ADMIN: &str = "
    DELETE /users/{id}
    DELETE /users/{id}/accounts/{provider}
    DELETE /users/{id}/roles/{role}
    DELETE /users/{id}/sessions
    DELETE /users/{id}/sessions/{session_id}
    DELETE /webhooks/{id}
    GET /events
    GET /events/stream
    GET /keys
    GET /users
    GET /users/count
    GET /users/{id}
    GET /users/{id}/accounts
    GET /users/{id}/roles
    GET /users/{id}/sessions
    GET /webhooks
    GET /webhooks/{id}
    GET /webhooks/{id}/deliveries
    PATCH /users/{id}
    PATCH /webhooks/{id}
    POST /keys/rotate
    POST /users
    POST /users/{id}/ban
    POST /users/{id}/unban
    POST /webhooks
    POST /webhooks/{id}/deliveries/{event_id}/redeliver
    POST /webhooks/{id}/rotate-secret
    POST /webhooks/{id}/test
    PUT /users/{id}/accounts/{provider}
    PUT /users/{id}/password
    PUT /users/{id}/roles/{role}";

const AUTH: &str = "
    DELETE /sessions/{id}
    GET /me
    GET /sessions
    POST /change-password
    POST /introspect
    POST /login
    POST /logout
    POST /refresh
    POST /request-email-verification
    POST /request-password-reset
    POST /reset-password
    POST /signup
    POST /verify-email";

/// Path and methods, from the document.
fn operations(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let methods = |item: &Value| item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
    let paths = document["paths"].as_object().unwrap();
    paths.iter().map(|(path, item)| (path.clone(), methods(item))).collect()
}

fn listed(operations: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    operations.iter().flat_map(|(path, methods)| methods.iter().map(move |method| format!("{method} {path}"))).collect()
}

/// A path whose parameters are nothing that could be an id or a name.
fn garbage(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "%00garbage" } else { part }).collect::<Vec<_>>().join("/")
}

async fn admin_operations(app: &App, admin: &Caller) -> BTreeMap<String, BTreeSet<String>> {
    operations(&app.get("/admin/openapi.json").by(admin).send().await.json())
}

#[test]
fn every_admin_route_is_added_where_the_document_and_the_guard_see_it() {
    let code = |text: &str| text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<String>();
    let source = code(include_str!("../../src/admin/mod.rs"));
    assert_eq!(source.matches(".route(").count(), 0, "routes come in by `routes!`, which also documents them");
    let router = source.find("openapi::router(routes()").unwrap();
    assert!(router < source.find(".route_layer(require_role(").unwrap(), "the guard is put around what is there");
    let openapi = code(include_str!("../../src/openapi.rs"));
    assert_eq!(openapi.matches(".route(").count(), 1, "which adds the document itself, and nothing else");
    for door in [".nest(", ".merge(", ".route_service(", ".nest_service(", ".fallback"] {
        assert!(!source.contains(door), "{door} would lead past the guard");
    }
}

both_engines! {
    async fn the_documents_hold_the_routes_of_the_contract(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let expected =
            |text: &str| text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
        assert_eq!(listed(&admin_operations(&app, &admin).await), expected(ADMIN));
        let auth = app.get("/auth/openapi.json").send().await.json();
        assert_eq!(listed(&operations(&auth)), expected(AUTH));
    }

    async fn the_router_answers_to_the_methods_of_the_document_and_to_no_other(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let auth = operations(&app.get("/auth/openapi.json").send().await.json());
        for (mount, operations) in [("/admin", admin_operations(&app, &admin).await), ("/auth", auth)] {
            for (path, methods) in operations {
                let path = format!("{mount}{}", garbage(&path));
                for method in METHODS.iter().chain(&["TRACE", "OPTIONS", "PROPFIND"]) {
                    let answer = app.call(method, &path).by(&admin).body("[").send().await;
                    if methods.contains(*method) {
                        assert_ne!(answer.status, 405, "{method} {path}");
                        continue;
                    }
                    answer.refused(405, "method_not_allowed");
                    let allow: BTreeSet<String> =
                        answer.header("allow").unwrap().split(',').map(|method| method.trim().to_owned()).collect();
                    let mut expected = methods.clone();
                    if methods.contains("GET") {
                        expected.insert("HEAD".to_owned());
                    }
                    assert_eq!(allow, expected, "{path}");
                }
            }
        }
    }

    async fn every_admin_route_is_closed_before_it_reads_anything(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let (admin, nobody) = (app.admin().await, app.nobody().await);
        let mut operations = admin_operations(&app, &admin).await;
        operations.insert("/openapi.json".to_owned(), BTreeSet::from(["GET".to_owned()]));
        assert!(operations.len() > 12);
        let raw = Raw::open(&db).await;
        let before = (raw.dump().await, app.event_count().await);

        for (path, methods) in &operations {
            for method in methods {
                let path = format!("/admin{}?limit=%FF&limit=2", garbage(path));
                // Nothing of this can be read: whoever looked at it would answer something else.
                let call = || app.call(method, &path).header("content-type", "text/plain").body("\u{0}[{");
                let context = format!("{method} {path}");

                let missing = call().send().await;
                assert_eq!(missing.refusal(), (401, "token_missing".into()), "{context}");
                assert_eq!(missing.header("www-authenticate"), Some("Bearer"), "{context}");
                let invalid = call().bearer("garbage").send().await;
                assert_eq!(invalid.refusal(), (401, "token_invalid".into()), "{context}");
                assert_eq!(invalid.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{context}");
                let role = call().by(&nobody).send().await;
                assert_eq!(role.refusal(), (403, "insufficient_role".into()), "{context}");

                if method == "GET" {
                    continue;
                }
                let cookie = format!("__Host-access_token={}", admin.token);
                for (name, value) in [
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-site", "same-site"),
                    ("origin", "https://evil.example"),
                    ("origin", "null"),
                ] {
                    let foreign = call().header("cookie", &cookie).header(name, value).send().await;
                    assert_eq!(foreign.refusal(), (403, "cross_site_request".into()), "{context} {name}: {value}");
                }
            }
        }
        assert_eq!((raw.dump().await, app.event_count().await), before);
    }

    async fn the_guard_of_the_router_lets_administrators_in_everywhere(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        for (path, methods) in admin_operations(&app, &admin).await {
            for method in methods {
                let answer =
                    app.call(&method, &format!("/admin{path}").replace(['{', '}'], "")).by(&admin).send().await;
                assert!(![401, 403, 405, 500].contains(&answer.status), "{method} {path}: {}", answer.text);
            }
        }
    }

    async fn the_documents_are_openapi_3_1_and_know_where_they_are_mounted(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        for path in ["/admin/openapi.json", "/auth/openapi.json"] {
            let document = app.get(path).by(&admin).send().await.json();
            assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
            assert_eq!(document["servers"], json!([{"url": path.trim_end_matches("/openapi.json")}]));
            assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
            let mut ids = BTreeSet::new();
            for (path, item) in document["paths"].as_object().unwrap() {
                for (method, operation) in item.as_object().unwrap() {
                    assert!(ids.insert(operation["operationId"].to_string()), "an id for two: {method} {path}");
                    let declared: BTreeSet<&str> = operation["parameters"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter(|parameter| parameter["in"] == "path")
                        .map(|parameter| parameter["name"].as_str().unwrap())
                        .collect();
                    let wanted: BTreeSet<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
                    assert_eq!(declared, wanted, "{method} {path}");
                }
            }
            // Every reference leads somewhere.
            let text = document.to_string();
            for reference in text.split("\"$ref\":\"#").skip(1) {
                let pointer = reference.split('"').next().unwrap();
                assert!(document.pointer(pointer).is_some(), "{pointer}");
            }
        }
    }
}
