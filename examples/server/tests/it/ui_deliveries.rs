//! The pages of subscribers and webhooks, and the log as it grows, in a real browser.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use authfort::{AuthFort, DeadLetterPolicy, Event};
use authfort_testkit::{TestDatabase, both_engines};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use reqwest::StatusCode as Status;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::browser::Browser;
use crate::support::TIMEOUT;
use crate::ui::{Site, accessible};
use crate::ui_acts::{LONG_AGO, sql};

/// What a receiver got: the id and the type of each event.
type Got = Arc<watch::Sender<Vec<(String, String)>>>;

/// A receiver that refuses who is called Bert.
async fn receiver() -> (String, Got) {
    let got = Got::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    let requests = Arc::clone(&got);
    let take = async move |headers: HeaderMap, body: Bytes| {
        let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        requests.send_modify(|got| got.push((id, event["type"].as_str().unwrap().to_owned())));
        if event["data"]["name"] == "Bert" { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hooks", post(take))).await.unwrap() });
    (url, got)
}

/// Loads a page again until it shows a text.
async fn until_shown(browser: &Browser, address: &str, text: &str) {
    browser
        .until(&format!("`{text}`"), async || {
            browser.go(address).await;
            browser.text().await.contains(text)
        })
        .await;
}

both_engines! {
    async fn a_webhook_is_created_looked_at_and_deleted(db: TestDatabase) {
        let site = Site::with(&db, &["--webhooks-private", "on"]).await;
        let (url, got) = receiver().await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.click("a[href$='/ui/subscriptions']").await;
        browser.see("Events are sent to no other service.").await;
        accessible(&browser).await;
        browser.click("a[href$='/ui/webhooks/new']").await;
        browser.fill("#url", "https://user:password@example.com/").await;
        browser.click("button.primary").await;
        browser.see("The URL must not contain a user or a password").await;
        browser.fill("#url", &url).await;
        browser.fill("#description", "The CRM").await;
        browser.click("[name=type_user_created]").await;
        accessible(&browser).await;
        browser.click("button.primary").await;
        browser.see("It is not shown again").await;
        let secret = browser.find("#secret").await.text().await.unwrap();
        assert!(secret.starts_with("whsec_"), "{secret}");
        accessible(&browser).await;
        let webhook = site.get("/admin/webhooks").await["webhooks"][0].clone();
        assert_eq!((&webhook["types"], &webhook["description"]), (&json!(["user_created"]), &json!("The CRM")));
        let page = site.url(&format!("/admin/ui/webhooks/{}", webhook["id"].as_str().unwrap()));

        browser.click("main .buttons a.button").await;
        browser.see("Nothing was sent").await;
        browser.click("form[action$='/test'] button").await;
        browser.see("The receiver took the test").await;
        assert_eq!(got.borrow()[0].1, "webhook_test");
        assert_eq!(browser.url().await, page, "where it can be loaded again");
        browser.go(&format!("{page}/test")).await;
        assert_eq!(browser.url().await, page);

        site.user("anna@example.com", "Anna").await;
        site.user("bert@example.com", "Bert").await;
        until_shown(&browser, &page, "the receiver answered 400 Bad Request").await;
        until_shown(&browser, &page, "Delivered").await;
        browser.see("Waits").await;
        accessible(&browser).await;
        let anna = got.borrow().iter().find(|(_, kind)| kind == "user_created").unwrap().0.clone();
        let times = |got: &Vec<(String, String)>| got.iter().filter(|(id, _)| *id == anna).count();
        let before = times(&got.borrow());
        browser.click(&format!("tr:has([value='{anna}']) button")).await;
        browser.see("The event was to be sent again").await;
        tokio::time::timeout(TIMEOUT, got.subscribe().wait_for(|got| times(got) > before)).await.unwrap().unwrap();

        browser.click("form[action$='/switch'] button").await;
        browser.see("Done: Webhook updated.").await;
        browser.see("Switch on").await;
        browser.click("a[href$='/edit']").await;
        browser.fill("#description", "").await;
        browser.click("[name=type_user_banned]").await;
        browser.click("button.primary").await;
        browser.see("Done: Webhook updated.").await;
        browser.see("User banned").await;
        assert!(!browser.text().await.contains("The CRM"));
        browser.click("a[href$='/secret']").await;
        accessible(&browser).await;
        browser.click("button.primary").await;
        browser.see("There is a new secret").await;
        assert_ne!(browser.find("#secret").await.text().await.unwrap(), secret);
        browser.go(&page).await;
        browser.see("Old secret").await;
        browser.go(&site.url("/admin/ui/subscriptions")).await;
        browser.see("Off").await;
        accessible(&browser).await;
        browser.go(&format!("{page}/delete")).await;
        accessible(&browser).await;
        browser.click("button.danger").await;
        browser.see("Done: Webhook deleted.").await;
        browser.see("Events are sent to no other service.").await;
        assert_eq!(site.get("/admin/webhooks").await, json!({ "webhooks": [] }));
        browser.go(&page).await;
        browser.see("There is no such webhook.").await;
        assert_eq!(browser.complaints().await, [""; 0]);
    }

    async fn what_sends_data_elsewhere_needs_the_password_after_a_while(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.post("/admin/webhooks", json!({ "url": "https://example.com/", "enabled": false })).await["id"].clone();
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        sql(&db, LONG_AGO).await;
        let page = format!("/admin/ui/webhooks/{}", id.as_str().unwrap());
        for path in ["/admin/ui/webhooks/new".to_owned(), format!("{page}/edit"), format!("{page}/secret"), format!("{page}/delete")] {
            browser.go(&site.url(&path)).await;
            browser.find("#your_password").await;
            if browser.has("#url").await {
                browser.fill("#url", "https://example.org/").await;
            }
            browser.run("document.querySelector('#your_password').removeAttribute('required')").await;
            browser.click("form.fields button[type=submit]").await;
            browser.see("Your own password is needed").await;
        }
        let webhooks = site.get("/admin/webhooks").await;
        assert_eq!((webhooks["webhooks"].as_array().unwrap().len(), &webhooks["webhooks"][0]["url"]), (1, &json!("https://example.com/")));
        assert_eq!(webhooks["webhooks"][0]["previous_secret_expires_at"], json!(null));
    }

    async fn dead_letters_are_delivered_again_or_dropped(db: TestDatabase) {
        let site = Site::start(&db).await;
        // Another program with the same database.
        let auth = AuthFort::connect(db.url()).await.unwrap();
        let fails = Arc::new(AtomicBool::new(true));
        let down = Arc::clone(&fails);
        let handler = move |_: Event| {
            let fails = down.load(Ordering::SeqCst);
            async move { if fails { Err("the <shop> is down") } else { Ok(()) } }
        };
        let call = auth.subscribe("billing-sync", handler).attempts(1).dead_letters(DeadLetterPolicy::Pass);
        let subscription = call.r#type("user_created").lease(Duration::from_secs(1)).await.unwrap();
        for name in ["anna", "bert", "carl"] {
            site.user(&format!("{name}@example.com"), name).await;
        }
        let browser = Browser::start().await;
        browser.until("three are dead", async || subscription.status().await.unwrap().dead == 3).await;
        site.sign_in(&browser).await;
        browser.go(&site.url("/admin/ui/subscriptions")).await;
        browser.see("the <shop> is down").await;
        accessible(&browser).await;
        browser.click("a[href$='/ui/subscriptions/billing-sync']").await;
        browser.see("carl@example.com").await;
        accessible(&browser).await;
        fails.store(false, Ordering::SeqCst);
        browser.click("tbody tr:nth-child(2) a[href*='/drop?']").await;
        browser.see("That cannot be taken back.").await;
        accessible(&browser).await;
        browser.click("button.danger").await;
        browser.see("it is never delivered").await;
        assert!(!browser.text().await.contains("bert@example.com"));
        browser.click("tbody tr:nth-child(1) form[action$='/replay'] button").await;
        browser.see("was to be delivered again").await;
        browser.click("#results > form[action$='/replay'] button").await;
        browser.see("was to be delivered again").await;
        browser.until("none is dead", async || {
            let status = subscription.status().await.unwrap();
            status.dead == 0 && status.waiting == 0
        }).await;
        browser.go(&site.url("/admin/ui/subscriptions/billing-sync")).await;
        browser.see("There are none.").await;
        browser.go(&site.url("/admin/ui/subscriptions/other")).await;
        browser.see("There is no such subscription.").await;
        assert_eq!(browser.complaints().await, [""; 0]);
        auth.close().await;
    }

    async fn new_events_appear_by_themselves(db: TestDatabase) {
        let site = Site::start(&db).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.click("a[href$='/ui/events']").await;
        browser.see("Live: new events appear by themselves.").await;
        site.user("anna@example.com", "Anna").await;
        browser.see("anna@example.com").await;
        // Details that somebody reads stay open, and what is new comes when they are closed.
        tokio::time::sleep(Duration::from_secs(2)).await;
        browser.click("tr:has(a bdi) summary").await;
        site.user("bert@example.com", "Bert").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(browser.has("#results details[open]").await);
        browser.run("for (const one of document.querySelectorAll('details[open]')) one.open = false; document.activeElement.blur()").await;
        browser.see("bert@example.com").await;
        // The filter is that of the page.
        browser.choose("#type", "role_added").await;
        browser.until("the filter", async || !browser.text().await.contains("bert@example.com")).await;
        browser.see("Live: new events appear by themselves.").await;
        site.user("carl@example.com", "Carl").await;
        let dora = site.post("/admin/users", json!({ "email": "dora@example.com", "roles": ["editor"] })).await;
        browser.see("dora@example.com").await;
        assert!(!browser.text().await.contains("carl@example.com") && dora["id"].is_string());
        accessible(&browser).await;
        assert_eq!(browser.complaints().await, [""; 0]);
    }

    async fn the_live_log_is_for_administrators(db: TestDatabase) {
        let site = Site::start(&db).await;
        let answer = reqwest::Client::new().get(site.url("/admin/ui/events/live")).send().await.unwrap();
        assert_eq!(answer.status(), Status::NO_CONTENT, "a browser does not ask again");
        for path in ["subscriptions", "webhooks/new", "subscriptions/x"] {
            let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
            let answer = client.get(site.url(&format!("/admin/ui/{path}"))).send().await.unwrap();
            assert_eq!(answer.status(), Status::SEE_OTHER, "{path}");
        }
    }
}
