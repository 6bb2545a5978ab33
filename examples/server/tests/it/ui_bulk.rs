//! One act for everybody in a list.

use authfort_testkit::{Engine, TestDatabase, both_engines};
use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::ui::{ADMIN, PASSWORD, Site, accessible};
use crate::ui_acts::{LONG_AGO, sql};

const DEMO: &[&str] = &["--demo", "250"];

async fn count(site: &Site, filter: &str) -> Value {
    site.get(&format!("/admin/users/count?{filter}")).await["count"].clone()
}

/// Chooses an act in the list.
async fn choose(site: &Site, browser: &Browser, list: &str, act: &str) {
    browser.go(&site.url(&format!("/admin/ui/users?{list}"))).await;
    browser.click("a[href*='/ui/users/bulk']").await;
    browser.click(&format!("a[href$='act={act}']")).await;
}

both_engines! {
    async fn everybody_in_a_list_is_banned_and_each_result_is_shown(db: TestDatabase) {
        let site = Site::with(&db, DEMO).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        let before = count(&site, "banned=true").await.as_u64().unwrap();
        let active = count(&site, "banned=false").await.as_u64().unwrap();
        assert!(active > 200, "{active}");
        choose(&site, &browser, "status=active", "ban").await;
        browser.see(&format!("Ban {active} people")).await;
        // Whoever comes later is not in the form.
        site.user("late@example.com", "Late").await;
        browser.fill("#reason", "One wave").await;
        browser.fill("#number", "7").await;
        browser.click("button.danger").await;
        browser.see(&format!("is not the number of people, which is {active}")).await;
        assert_eq!(count(&site, "banned=true").await, before);
        browser.fill("#number", &active.to_string()).await;
        browser.click("button.danger").await;
        browser.see("That is all of them.").await;
        browser.see(&format!("{} done, 1 refused", active - 1)).await;
        browser.see("Cannot act on self").await;
        let rows = browser.run("return document.querySelectorAll('.outcomes tr').length").await;
        assert_eq!(rows, active);
        assert_eq!(count(&site, "banned=true").await, before + active - 1);
        let late = &site.get("/admin/users?query=late").await["users"][0];
        assert_eq!(late["banned"], false);
        let events = site.get("/admin/events?type=user_banned&limit=1").await;
        assert_eq!(events["events"][0]["data"]["reason"], "One wave");
        assert!(events["events"][0]["actor_id"].is_string(), "{events}");
        assert_eq!(browser.complaints().await, [""; 0]);
    }

    async fn who_stops_leaves_the_others_as_they_are(db: TestDatabase) {
        let site = Site::with(&db, DEMO).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        let all = count(&site, "").await.as_u64().unwrap();
        choose(&site, &browser, "", "give-role").await;
        browser.fill("#role", "guest").await;
        browser.fill("#number", &all.to_string()).await;
        browser.click("button.danger").await;
        browser.see("is one that nobody has yet").await;
        browser.click("[name=new_role]").await;
        // Pressed as soon as it is there, while the second part runs.
        browser
            .run(
                "new MutationObserver(() => document.querySelector('[data-stop]:not([hidden], :disabled)')?.click())
                     .observe(document.body, { subtree: true, childList: true, attributes: true });",
            )
            .await;
        browser.click("button.danger").await;
        browser.see(&format!("200 done, {} left", all - 200)).await;
        browser.until("the button", async || !browser.has("[data-stop]:not([hidden])").await).await;
        assert_eq!(count(&site, "role=guest").await, 200);
        browser.press_key(Key::Escape).await;
        browser.find("#results").await;
        assert_eq!(count(&site, "role=guest").await, 200);
    }

    async fn without_script_it_goes_on_by_a_button(db: TestDatabase) {
        let site = Site::with(&db, DEMO).await;
        let browser = Browser::start_without_script().await;
        site.sign_in(&browser).await;
        sql(&db, LONG_AGO).await;
        let members = count(&site, "role=member").await.as_u64().unwrap();
        let all = count(&site, "").await.as_u64().unwrap();
        assert!(members > 0);
        choose(&site, &browser, "sort=email", "take-role").await;
        browser.fill("#role", "member").await;
        browser.fill("#number", &all.to_string()).await;
        browser.fill("#your_password", PASSWORD).await;
        browser.click("button.danger").await;
        browser.see(&format!(", {} left", all - 100)).await;
        browser.click("button.danger").await;
        browser.see(&format!(", {} left", all - 200)).await;
        browser.click("button.danger").await;
        browser.see("That is all of them.").await;
        assert_eq!(count(&site, "role=member").await, 0);
    }

    async fn whoever_goes_on_later_is_asked_for_the_password(db: TestDatabase) {
        let site = Site::with(&db, DEMO).await;
        let browser = Browser::start_without_script().await;
        site.sign_in(&browser).await;
        let all = count(&site, "").await.as_u64().unwrap();
        choose(&site, &browser, "", "ban").await;
        browser.fill("#number", "7").await;
        browser.click("button.danger").await;
        browser.see("is not the number of people").await;
        // The list and the act are still chosen.
        browser.click("a[href*='act=ban']").await;
        browser.fill("#number", &all.to_string()).await;
        browser.click("button.danger").await;
        browser.see(&format!(", {} left", all - 100)).await;
        sql(&db, LONG_AGO).await;
        browser.click("button.danger").await;
        browser.see("It did not go on.").await;
        browser.fill("#your_password", PASSWORD).await;
        browser.click("button.danger").await;
        browser.see(&format!(", {} left", all - 200)).await;
        assert!(!browser.has("#your_password").await);
        browser.click("button.danger").await;
        browser.see("That is all of them.").await;
    }

    async fn a_filter_that_the_list_does_not_know_does_not_mean_everybody(db: TestDatabase) {
        let site = Site::start(&db).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        for filter in ["status=baned", "roles=member", "role=%3Cb%3E", "from=yesterday"] {
            browser.go(&site.url(&format!("/admin/ui/users/bulk?{filter}&act=delete"))).await;
            browser.see("The list has no filter").await;
        }
    }

    async fn what_cannot_be_done_is_said_of_each(db: TestDatabase) {
        let site = Site::start(&db).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        site.post("/admin/users", json!({ "email": "other-admin@example.com", "roles": ["admin"] })).await;
        let gone = site.user("gone-admin@example.com", "Gone").await;
        choose(&site, &browser, "query=admin", "delete").await;
        browser.see("Delete 3 people").await;
        browser.fill("#number", "3").await;
        site.remove(&gone).await;
        browser.click("button.danger").await;
        browser.see("1 done, 2 refused").await;
        browser.see("User not found").await;
        browser.see("Cannot act on self").await;
        assert_eq!(count(&site, "").await, 1);
        assert_eq!(site.get("/admin/users").await["users"][0]["email"], ADMIN);
    }

    async fn a_list_of_more_than_a_thousand_is_narrowed_first(db: TestDatabase) {
        let site = Site::with(&db, &["--demo", "1001"]).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.click("a[href*='/ui/users/bulk']").await;
        browser.see("more than 1,000 people").await;
        assert!(!browser.has("ul.acts").await);
    }
}

#[tokio::test]
async fn the_pages_of_many_are_accessible() {
    let db = TestDatabase::create(Engine::Sqlite).await;
    let site = Site::with(&db, &["--demo", "30"]).await;
    let browser = Browser::start().await;
    site.sign_in(&browser).await;
    let look = async || {
        browser.find("h1").await;
        for (theme, size) in [("light", (1440, 900)), ("dark", (360, 740))] {
            browser.emulate(theme, size).await;
            accessible(&browser).await;
        }
    };
    for page in ["", "?act=ban", "?act=give-role", "?query=nobody"] {
        browser.go(&site.url(&format!("/admin/ui/users/bulk{page}"))).await;
        look().await;
    }
    choose(&site, &browser, "role=member", "end-sessions").await;
    let number = count(&site, "role=member").await;
    browser.fill("#number", &number.to_string()).await;
    browser.click("button.danger").await;
    browser.see("That is all of them.").await;
    look().await;
}
