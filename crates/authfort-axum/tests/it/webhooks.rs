//! The routes of webhooks.

use std::time::Duration;

use authfort::WebhookOptions;
use authfort_testkit::{TestDatabase, both_engines};
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Router, http::HeaderMap};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::support::{App, Caller, UNKNOWN_ID, serve};

/// What is later than this never comes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A receiver that answers what the event's name of a user says, and passes on what it got.
async fn receiver() -> (String, mpsc::UnboundedReceiver<(String, Value)>) {
    let (sender, requests) = mpsc::unbounded_channel();
    let take = async move |headers: HeaderMap, body: Bytes| {
        let event: Value = serde_json::from_slice(&body).unwrap();
        let status = event["data"]["name"].as_str().and_then(|name| name.parse().ok()).unwrap_or(200);
        sender.send((headers["webhook-id"].to_str().unwrap().to_owned(), event)).unwrap();
        StatusCode::from_u16(status).unwrap()
    };
    let address = serve(Router::new().route("/hooks", post(take))).await;
    (format!("http://{address}/hooks"), requests)
}

async fn app(db: &TestDatabase) -> (App, Caller) {
    let app =
        App::with(db, |builder| builder.webhooks(WebhookOptions::new().allow_private_targets(true)), |layer| layer)
            .await;
    let admin = app.admin().await;
    (app, admin)
}

/// The deliveries, as soon as they are so.
async fn deliveries(app: &App, admin: &Caller, path: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let waits = async {
        loop {
            let page = app.get(&format!("{path}/deliveries")).by(admin).send().await.json();
            let found = page["deliveries"].as_array().unwrap().clone();
            if holds(&found) {
                return found;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, waits).await.unwrap()
}

both_engines! {
    async fn a_webhook_has_its_life_over_http(db: TestDatabase) {
        let (app, admin) = app(&db).await;
        let (url, mut requests) = receiver().await;
        let body = json!({"url": url, "types": ["user_created", "user_deleted"], "description": "CRM"});
        let answer = app.post("/admin/webhooks").by(&admin).json(&body).send().await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let path = answer.header("location").unwrap().to_owned();
        let mut created = answer.json();
        let secret = created.as_object_mut().unwrap().remove("secret").unwrap();
        assert!(secret.as_str().unwrap().starts_with("whsec_"));
        assert_eq!(path, format!("/admin/webhooks/{}", created["id"].as_str().unwrap()));
        // It is behind for a moment.
        let without_lag = |mut webhook: Value| {
            assert!(webhook.as_object_mut().unwrap().remove("lag").unwrap().is_u64());
            webhook
        };
        let created = without_lag(created);
        assert_eq!(without_lag(app.get(&path).by(&admin).send().await.json()), created);
        let listed = app.get("/admin/webhooks").by(&admin).send().await;
        assert_eq!(listed.header("cache-control"), Some("no-store"));
        assert_eq!(without_lag(listed.json()["webhooks"][0].clone()), created);
        assert_eq!((&created["enabled"], &created["disabled_reason"]), (&json!(true), &json!(null)));

        // One that is taken and one that is not.
        for (email, name) in [("anna@example.com", "200"), ("bert@example.com", "500")] {
            let body = json!({"email": email, "name": name});
            assert_eq!(app.post("/admin/users").by(&admin).json(&body).send().await.status, 201);
        }
        for _ in 0..2 {
            let (id, event) = timeout(TIMEOUT, requests.recv()).await.unwrap().unwrap();
            assert_eq!((event["id"].as_str(), event["type"].as_str()), (Some(id.as_str()), Some("user_created")));
        }
        let found = deliveries(&app, &admin, &path, |found| found.len() == 2).await;
        let (failed, taken) = (&found[0], &found[1]);
        assert_eq!((&taken["status"], &taken["response_status"], &taken["error"]), (&json!("delivered"), &json!(200), &json!(null)));
        assert_eq!((&failed["status"], &failed["response_status"]), (&json!("pending"), &json!(500)));
        assert_eq!(failed["error"], "the receiver answered 500 Internal Server Error");
        let first = app.get(&format!("{path}/deliveries?limit=1")).by(&admin).send().await.json();
        assert_eq!((&first["deliveries"][0]["event_id"], &first["next_cursor"]), (&failed["event_id"], &failed["event_id"]));
        let next = format!("{path}/deliveries?before={}", failed["event_id"].as_str().unwrap());
        let next = app.get(&next).by(&admin).send().await.json();
        assert_eq!((&next["deliveries"][0]["event_id"], &next["next_cursor"]), (&taken["event_id"], &json!(null)));

        let again = format!("{path}/deliveries/{}/redeliver", taken["event_id"].as_str().unwrap());
        assert_eq!(app.post(&again).by(&admin).send().await.status, 202);
        let mut came = timeout(TIMEOUT, requests.recv()).await.unwrap().unwrap().0;
        while came != taken["event_id"] {
            came = timeout(TIMEOUT, requests.recv()).await.unwrap().unwrap().0;
        }
        app.post(&format!("{path}/deliveries/{UNKNOWN_ID}/redeliver")).by(&admin).send().await.refused(404, "event_not_found");

        let attempt = app.post(&format!("{path}/test")).by(&admin).send().await.json();
        assert_eq!((&attempt["succeeded"], &attempt["response_status"], &attempt["error"]), (&json!(true), &json!(200), &json!(null)));
        let mut event = timeout(TIMEOUT, requests.recv()).await.unwrap().unwrap().1;
        while event["type"] != "webhook_test" {
            event = timeout(TIMEOUT, requests.recv()).await.unwrap().unwrap().1;
        }
        assert_eq!(event["actor_id"], admin.id.to_string());

        let rotated = app.post(&format!("{path}/rotate-secret")).by(&admin).send().await.json();
        assert_ne!(rotated["secret"], secret);
        let body = json!({"types": [], "description": null, "enabled": false});
        let changed = app.call("PATCH", &path).by(&admin).json(&body).send().await.json();
        assert_eq!((&changed["types"], &changed["description"], &changed["enabled"]), (&json!([]), &json!(null), &json!(false)));
        assert_eq!(app.call("DELETE", &path).by(&admin).send().await.json(), json!({"deleted": true}));
        app.get(&path).by(&admin).send().await.refused(404, "webhook_not_found");
        let types = app.event_types(0).await;
        let webhooks: Vec<_> = types.iter().filter(|name| name.starts_with("webhook_")).collect();
        assert_eq!(webhooks, ["webhook_created", "webhook_updated", "webhook_updated", "webhook_deleted"]);
    }

    async fn bad_input_is_refused_and_changes_nothing(db: TestDatabase) {
        let (app, admin) = app(&db).await;
        for (body, field) in [
            (json!({"url": "example.com"}), "url"),
            (json!({"url": "https://user:password@example.com"}), "url"),
            (json!({"url": "https://example.com", "types": ["user_exploded"]}), "types"),
            (json!({"url": "https://example.com", "description": "\u{200b}"}), "description"),
        ] {
            let answer = app.post("/admin/webhooks").by(&admin).json(&body).send().await;
            assert_eq!(answer.json()["fields"][0]["field"], field, "{}", answer.text);
            answer.refused(422, "validation_failed");
        }
        assert_eq!(app.get("/admin/webhooks").by(&admin).send().await.json(), json!({"webhooks": []}));
        let body = json!({"url": "https://example.com", "enabled": false});
        let id = app.post("/admin/webhooks").by(&admin).json(&body).send().await.json()["id"].as_str().unwrap().to_owned();
        for body in [json!({"url": null}), json!({"types": null}), json!({"enabled": null}), json!({"url": "ftp://example.com"})] {
            app.call("PATCH", &format!("/admin/webhooks/{id}")).by(&admin).json(&body).send().await.refused(422, "validation_failed");
        }
        for (method, path) in [
            ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/rotate-secret"), ("GET", "/deliveries"),
        ] {
            let call = app.call(method, &format!("/admin/webhooks/{UNKNOWN_ID}{path}")).by(&admin);
            let call = if method == "PATCH" { call.json(&json!({})) } else { call };
            call.send().await.refused(404, "webhook_not_found");
        }
        app.get(&format!("/admin/webhooks/{id}/deliveries?limit=0")).by(&admin).send().await.refused(422, "validation_failed");
    }
}
