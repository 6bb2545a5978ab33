//! What an administrator does on the pages: done, confirmed by the log, or refused in words.

use authfort::sqlx::{Connection as _, PgConnection, SqliteConnection, query};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use fantoccini::key::Key;
use serde_json::json;

use crate::browser::Browser;
use crate::ui::{ADMIN, PASSWORD, Site};

/// No session is fresh any more.
pub const LONG_AGO: &str = "UPDATE authfort_sessions SET created_at = '2020-01-01T00:00:00+00:00'";

pub async fn sql(db: &TestDatabase, text: &'static str) {
    let done = match db.engine() {
        Engine::Sqlite => query(text).execute(&mut SqliteConnection::connect(db.url()).await.unwrap()).await.map(drop),
        Engine::Postgres => query(text).execute(&mut PgConnection::connect(db.url()).await.unwrap()).await.map(drop),
    };
    done.unwrap();
}

/// Opens a person's page.
async fn open(site: &Site, browser: &Browser, id: &str) {
    browser.go(&site.url(&format!("/admin/ui/users/{id}"))).await;
    browser.see("Profile").await;
}

async fn value(browser: &Browser, css: &str) -> String {
    browser.find(css).await.prop("value").await.unwrap().unwrap()
}

both_engines! {
    async fn a_ban_has_a_reason_and_an_end_and_is_ended(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        open(&site, &browser, &id).await;
        browser.click("a[href$='/ban']").await;
        browser.fill("#reason", "Spam, twice").await;
        browser.choose("#lasts", "24").await;
        browser.click("button.danger").await;
        browser.see("Done: User banned: Spam, twice.").await;
        browser.see("Spam, twice").await;
        browser.see("until").await;
        let user = site.get(&format!("/admin/users/{id}")).await;
        assert_eq!((&user["banned"], &user["ban_reason"]), (&json!(true), &json!("Spam, twice")));
        assert!(user["ban_expires_at"].is_string());
        browser.click("a[href$='/ban']").await;
        assert_eq!(value(&browser, "#reason").await, "Spam, twice");
        assert!(value(&browser, "#until").await.contains('T'), "the end that the ban has");
        browser.fill("#reason", "Spam, three times").await;
        browser.click("button.danger").await;
        browser.see("Spam, three times").await;
        assert_eq!(site.get(&format!("/admin/users/{id}")).await["ban_reason"], "Spam, three times");
        browser.click("a[href$='/ban']").await;
        browser.choose("#lasts", "forever").await;
        browser.click("button.danger").await;
        browser.see("without an end").await;
        browser.click("form[action$='/unban'] button").await;
        browser.see("Done: User unbanned.").await;
        assert_eq!(site.get(&format!("/admin/users/{id}")).await["banned"], false);
        browser.see("History").await;
        browser.see(ADMIN).await;
        assert_eq!(browser.complaints().await, [""; 0]);
    }

    async fn a_link_confirms_nothing_that_the_log_does_not_have(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.go(&site.url(&format!("/admin/ui/users/{id}?done=user_banned"))).await;
        browser.see("Profile").await;
        assert!(!browser.text().await.contains("Done"));
        browser.go(&site.url(&format!("/admin/ui/users?deleted={id}"))).await;
        browser.find("#results").await;
        assert!(!browser.text().await.contains("was deleted"));
    }

    async fn roles_are_given_and_taken(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        open(&site, &browser, &id).await;
        browser.click("a[href$='/roles']").await;
        // The roles that there are.
        browser.find("#role-names option[value=admin]").await;
        browser.fill("#role", "not a role!").await;
        browser.click("button.primary").await;
        browser.see("Not done.").await;
        assert_eq!(value(&browser, "#role").await, "not a role!", "what was typed stays");
        browser.fill("#role", "editor").await;
        browser.click("button.primary").await;
        browser.see("The role is one that nobody has yet").await;
        assert_eq!(site.get(&format!("/admin/users/{id}/roles")).await["roles"], json!([]));
        browser.click("[name=new_role]").await;
        browser.click("button.primary").await;
        browser.see("Done: Role added: editor.").await;
        assert_eq!(site.get(&format!("/admin/users/{id}/roles")).await["roles"], json!(["editor"]));
        browser.click("form[action$='/roles/remove'] button").await;
        browser.see("Done: Role removed: editor.").await;
        assert_eq!(site.get(&format!("/admin/users/{id}/roles")).await["roles"], json!([]));
    }

    async fn two_edits_at_once_are_both_shown(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        open(&site, &browser, &id).await;
        browser.click("a[href$='?edit=1']").await;
        browser.fill("#name", "Jane Mine").await;
        site.patch(&format!("/admin/users/{id}"), json!({ "name": "Jane Theirs", "phone": "+4930123456" })).await;
        browser.click("button.primary").await;
        browser.see("somebody else has changed this person").await;
        browser.see("Jane Theirs").await;
        browser.see("Jane Mine").await;
        assert_eq!(value(&browser, "#phone").await, "+4930123456", "a field that nobody meant to change is as it is now");
        assert_eq!(site.get(&format!("/admin/users/{id}")).await["name"], "Jane Theirs", "nothing was done");
        assert_eq!(value(&browser, "#name").await, "Jane Mine", "what was typed stays");
        browser.click("button.primary").await;
        browser.see("Done: User updated.").await;
        let user = site.get(&format!("/admin/users/{id}")).await;
        assert_eq!((&user["name"], &user["phone"], &user["email_verified"]), (&json!("Jane Mine"), &json!("+4930123456"), &json!(true)));

        browser.click("a[href$='?edit=1']").await;
        browser.fill("#email", ADMIN).await;
        browser.click("form.fields button.primary").await;
        browser.see("Not saved.").await;
        assert_eq!(value(&browser, "#email").await, ADMIN);
    }

    async fn a_ban_of_who_was_changed_meanwhile_is_asked_again_with_what_was_typed(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.go(&site.url(&format!("/admin/ui/users/{id}/ban"))).await;
        browser.fill("#reason", "A long story").await;
        browser.choose("#lasts", "24").await;
        site.patch(&format!("/admin/users/{id}"), json!({ "name": "Janet" })).await;
        browser.click("button.danger").await;
        browser.see("They are not banned.").await;
        assert_eq!(site.get(&format!("/admin/users/{id}")).await["banned"], false);
        assert_eq!((value(&browser, "#reason").await.as_str(), value(&browser, "#lasts").await.as_str()), ("A long story", "24"));
        browser.click("button.danger").await;
        browser.see("Banned since").await;
        let user = site.get(&format!("/admin/users/{id}")).await;
        assert_eq!(user["ban_reason"], "A long story");
        assert!(user["ban_expires_at"].is_string());
    }

    async fn metadata_is_edited_as_json(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let address = format!("/admin/users/{id}");
        site.patch(&address, json!({ "metadata": { "plan": "team", "seats": 12 } })).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        let edit = site.url(&format!("/admin/ui/users/{id}?edit=1"));
        browser.go(&edit).await;
        assert_eq!(value(&browser, "#metadata").await, "{\n  \"plan\": \"team\",\n  \"seats\": 12\n}");
        for (typed, said) in [
            ("{\"plan\":", "it is no JSON (line 1, column 8)"),
            ("[1]", "it is JSON of another kind"),
            ("{\"a\": 1,\n\"a\": 2}", "a name occurs twice (line 2"),
        ] {
            browser.fill("#metadata", typed).await;
            browser.click("form.fields button.primary").await;
            browser.see(said).await;
            assert_eq!(value(&browser, "#metadata").await, typed, "what was typed stays");
        }
        assert_eq!(site.get(&address).await["metadata"], json!({ "plan": "team", "seats": 12 }));
        // Two at once are both shown.
        site.patch(&address, json!({ "metadata": { "seats": 13 } })).await;
        browser.fill("#metadata", "{\"plan\": \"alone\"}").await;
        browser.click("form.fields button.primary").await;
        browser.see("somebody else has changed this person").await;
        browser.see("\"seats\": 13").await;
        browser.click("form.fields button.primary").await;
        browser.see("Done: User updated.").await;
        assert_eq!(site.get(&address).await["metadata"], json!({ "plan": "alone" }));
        browser.go(&edit).await;
        browser.fill("#metadata", "").await;
        browser.click("form.fields button.primary").await;
        browser.see("Done: User updated.").await;
        assert_eq!(site.get(&address).await["metadata"], json!({}));
        // As many lines as there can be, and a form that does not ask for it.
        let long = json!({ "deep": vec![json!([0]); 2_000], "plan": "team" });
        site.patch(&address, json!({ "metadata": long })).await;
        for script in ["", "document.querySelectorAll('[name$=metadata]').forEach((field) => field.remove());"] {
            browser.go(&edit).await;
            browser.find("#metadata").await;
            browser.run(script).await;
            browser.fill("#name", &format!("Jane {}", script.len())).await;
            browser.click("form.fields button.primary").await;
            browser.see("Done: User updated.").await;
            let user = site.get(&address).await;
            assert_eq!((&user["metadata"], &user["name"]), (&long, &json!(format!("Jane {}", script.len()))));
        }
    }

    async fn the_active_sessions_of_everybody_are_listed(db: TestDatabase) {
        let site = Site::start(&db).await;
        let jane = json!({ "email": "jane@example.com", "password": PASSWORD, "email_verified": true });
        let id = site.post("/admin/users", jane).await["id"].as_str().unwrap().to_owned();
        site.post("/auth/login", json!({ "email": "jane@example.com", "password": PASSWORD })).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.go(&site.url("/admin/ui/overview")).await;
        browser.click("a[href$='/ui/sessions']").await;
        browser.see("Whose").await;
        let before = browser.run("return document.querySelectorAll('#results tbody tr').length").await;
        browser.click(&format!("#results a[href$='{id}']")).await;
        browser.see("Profile").await;
        browser.click("form[action$='/sessions/end'] button:not(.quiet)").await;
        browser.see("Done: Session revoked.").await;
        browser.go(&site.url("/admin/ui/sessions")).await;
        let after = browser.run("return document.querySelectorAll('#results tbody tr').length").await;
        assert_eq!(after.as_u64().unwrap() + 1, before.as_u64().unwrap());
        assert!(!browser.text().await.contains("jane@example.com"));
        browser.go(&site.url("/admin/ui/sessions?cursor=odd")).await;
        browser.see("This is your session.").await;
        site.post("/auth/login", json!({ "email": "jane@example.com", "password": PASSWORD })).await;
        browser.go(&site.url("/admin/ui/sessions")).await;
        browser.click("tr:has(a[href$='ID']) button".replace("ID", &id).as_str()).await;
        browser.see("Done: Session revoked.").await;
    }

    async fn a_session_is_ended_by_its_button(db: TestDatabase) {
        let site = Site::start(&db).await;
        let user = site.post("/admin/users", json!({ "email": "jane@example.com", "password": PASSWORD })).await;
        let id = user["id"].as_str().unwrap();
        for _ in 0..3 {
            site.post("/auth/login", json!({ "email": "jane@example.com", "password": PASSWORD })).await;
        }
        let active = async || {
            let sessions = site.get(&format!("/admin/users/{id}/sessions?active_only=true")).await;
            sessions["sessions"].as_array().unwrap().len()
        };
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        open(&site, &browser, id).await;
        browser.click("form[action$='/sessions/end'] button.quiet").await;
        browser.see("Done: Session revoked.").await;
        assert_eq!(active().await, 2);
        browser.click("form[action$='/sessions/end'] button:not(.quiet)").await;
        browser.until("no session", async || active().await == 0).await;
    }

    async fn a_user_is_created(db: TestDatabase) {
        let site = Site::start(&db).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.click("a[href$='/ui/users/new']").await;
        browser.fill("#email", ADMIN).await;
        browser.fill("#name", "Jane").await;
        browser.click("button.primary").await;
        browser.see("Not done.").await;
        browser.fill("#email", "jane@example.com").await;
        browser.click("button.primary").await;
        browser.see("Done: User created.").await;
        let found = site.get("/admin/users?query=jane%40example.com").await;
        assert_eq!((&found["users"][0]["name"], &found["users"][0]["email_verified"]), (&json!("Jane"), &json!(false)));
    }

    async fn a_deletion_asks_for_the_address_and_is_confirmed(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let other = site.user("john@example.com", "John").await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        open(&site, &browser, &id).await;
        browser.click("a[href$='/delete']").await;
        browser.fill("#address", "john@example.com").await;
        browser.click("button.danger").await;
        browser.see("is not the address of this person").await;
        assert_eq!(site.status(&format!("/admin/users/{id}")).await, 200);
        browser.fill("#address", "jane@example.com").await;
        browser.click("button.danger").await;
        browser.see("jane@example.com was deleted.").await;
        assert_eq!(site.status(&format!("/admin/users/{id}")).await, 404);

        open(&site, &browser, &other).await;
        browser.click("a[href$='/delete']").await;
        browser.click("input[value=anonymize]").await;
        browser.fill("#address", "john@example.com").await;
        browser.click("button.for-anonymize").await;
        browser.see("Done: User anonymized.").await;
        browser.see("Anonymized").await;
        assert_eq!(site.get(&format!("/admin/users/{other}?deleted=true")).await["is_deleted"], true);
    }

    async fn what_holds_a_person_back_is_named(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        sql(&db, match db.engine() {
            Engine::Sqlite => "CREATE TABLE orders (customer BLOB REFERENCES authfort_users (id))",
            Engine::Postgres => "CREATE TABLE orders (customer uuid REFERENCES authfort_users (id))",
        }).await;
        sql(&db, "INSERT INTO orders SELECT id FROM authfort_users WHERE email = 'jane@example.com'").await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.go(&site.url(&format!("/admin/ui/users/{id}/delete"))).await;
        browser.see("Rows of the table orders refer to this person").await;
        assert!(browser.has("input[value=anonymize]:checked").await);

        // A row that comes after the page was made is named by the refusal.
        sql(&db, "CREATE TABLE kept AS SELECT * FROM orders").await;
        sql(&db, "DELETE FROM orders").await;
        browser.go(&site.url(&format!("/admin/ui/users/{id}/delete"))).await;
        browser.fill("#address", "jane@example.com").await;
        assert!(!browser.text().await.contains("orders") && browser.has("input[value=delete]:checked").await);
        sql(&db, "INSERT INTO orders SELECT * FROM kept").await;
        browser.click("button.danger").await;
        browser.see("orders").await;
        assert_eq!(site.status(&format!("/admin/users/{id}")).await, 200);

        browser.go(&site.url(&format!("/admin/ui/users/{id}/delete"))).await;
        browser.fill("#address", "jane@example.com").await;
        browser.click("button.for-anonymize").await;
        browser.see("Done: User anonymized.").await;
        assert_eq!(site.get(&format!("/admin/users/{id}?deleted=true")).await["is_deleted"], true);
        assert_eq!(browser.complaints().await, [""; 0]);
    }

    async fn the_key_is_rotated_once_until_it_signs(db: TestDatabase) {
        let site = Site::start(&db).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.go(&site.url("/admin/ui/overview?done=key_rotated")).await;
        browser.see("Signing keys").await;
        assert!(!browser.text().await.contains("Done"), "a link confirms nothing");
        browser.click("a[href$='/ui/keys/rotate']").await;
        browser.click("button.danger").await;
        browser.see("Done: Key rotated.").await;
        browser.see("waits to sign").await;
        assert_eq!(site.get("/admin/keys").await["keys"].as_array().unwrap().len(), 2);
        browser.click("a[href$='/ui/keys/rotate']").await;
        browser.click("button.danger").await;
        browser.see("Nothing was done: a new key already waits to sign.").await;
        // Everybody's access token is invalid; the page goes on with the refresh token.
        browser.click("a[href$='/ui/keys/rotate']").await;
        browser.click("input[value=revoke]").await;
        browser.click("button.danger").await;
        browser.see("Done: Key rotated. The old keys have ended.").await;
        assert_eq!(site.status("/admin/keys").await, 401);
        assert_eq!(browser.complaints().await, [""; 0]);
    }

    async fn after_an_act_the_list_is_as_it_was_left(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.go(&site.url("/admin/ui/users?query=jan&status=active&sort=name")).await;
        browser.click("a.row").await;
        browser.click("a[href$='/roles']").await;
        browser.fill("#role", "editor").await;
        browser.press_key(Key::Escape).await;
        browser.press_key(Key::Escape).await;
        assert_eq!(value(&browser, "#role").await, "editor", "what was typed is not left by a key");
        browser.click("[name=new_role]").await;
        browser.click("button.primary").await;
        browser.see("Done: Role added: editor.").await;
        browser.press_key(Key::Escape).await;
        browser.see("1–1 of 1").await;
        assert!(browser.url().await.ends_with("/admin/ui/users?query=jan&status=active&sort=name"));
        let focused = browser.run("return document.activeElement.getAttribute('href')").await;
        assert_eq!(focused, json!(format!("/admin/ui/users/{id}")));
    }

    async fn any_id_leads_to_the_person(db: TestDatabase) {
        let site = Site::start(&db).await;
        let user = site.post("/admin/users", json!({ "email": "jane@example.com", "password": PASSWORD })).await;
        let id = user["id"].as_str().unwrap();
        site.post("/auth/login", json!({ "email": "jane@example.com", "password": PASSWORD })).await;
        let sessions = site.get(&format!("/admin/users/{id}/sessions")).await;
        let session = sessions["sessions"][0]["id"].as_str().unwrap();
        sql(&db, "INSERT INTO authfort_oauth_accounts SELECT 'github', '583231', id, created_at FROM authfort_users WHERE email = 'jane@example.com'").await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        for text in [id, session, "jane@example.com", "583231"] {
            browser.go(&site.url("/admin/ui/overview")).await;
            browser.fill("#query", text).await;
            browser.press_key(Key::Enter).await;
            browser.see("583231").await;
            assert_eq!(browser.url().await, site.url(&format!("/admin/ui/users/{id}")), "{text}");
        }
        // Who entered a term without a hit, and comes back to the list later, is not led away from it.
        browser.go(&site.url("/admin/ui/overview")).await;
        browser.fill("#query", "joan@example.com").await;
        browser.press_key(Key::Enter).await;
        browser.see("Nobody matches.").await;
        assert_eq!(browser.url().await, site.url("/admin/ui/users?query=joan%40example%2Ecom"));
    }

    async fn the_password_is_asked_again_after_ten_minutes(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        let page = site.url(&format!("/admin/ui/users/{id}/password"));
        browser.go(&page).await;
        browser.find("#password").await;
        assert!(!browser.has("#your_password").await);
        sql(&db, LONG_AGO).await;
        browser.go(&page).await;
        browser.fill("#password", "another good password").await;
        browser.fill("#your_password", "a wrong password").await;
        browser.click("button.danger").await;
        browser.see("Not done.").await;
        browser.fill("#your_password", PASSWORD).await;
        browser.click("button.danger").await;
        browser.see("Done: Password set.").await;
        let signed_in = site.post("/auth/login", json!({ "email": "jane@example.com", "password": "another good password" })).await;
        assert_eq!(signed_in["user"]["id"], json!(id));
        browser.go(&page).await;
        browser.find("#password").await;
        assert!(!browser.has("#your_password").await, "the new session is fresh");
    }

    async fn oneself_and_the_last_administrator_are_out_of_reach_in_words(db: TestDatabase) {
        let site = Site::start(&db).await;
        let me = site.get("/auth/me").await["id"].as_str().unwrap().to_owned();
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        open(&site, &browser, &me).await;
        browser.see("This is you: you cannot ban or delete yourself.").await;
        browser.see("This is you: somebody else has to take it.").await;
        browser.see("This is your session.").await;
        assert!(!browser.has("a[href$='/delete'], a[href$='/ban']").await);
        browser.go(&site.url(&format!("/admin/ui/users/{me}/delete"))).await;
        browser.see("This is you: you cannot delete yourself.").await;
        // Of two administrators one is banned: the other is the last, and the banned one can be deleted.
        let other = site.post("/admin/users", json!({ "email": "other@example.com", "roles": ["admin"] })).await;
        let other = other["id"].as_str().unwrap();
        site.post(&format!("/admin/users/{other}/ban"), json!({})).await;
        open(&site, &browser, other).await;
        browser.find("a[href$='/delete']").await;
    }

    async fn a_fault_of_the_server_is_shown_as_such(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.go(&site.url(&format!("/admin/ui/users/{id}/ban"))).await;
        browser.fill("#reason", "Spam").await;
        sql(&db, "ALTER TABLE authfort_events RENAME TO elsewhere").await;
        browser.click("button.danger").await;
        browser.see("Not done. An internal error occurred.").await;
        assert_eq!(value(&browser, "#reason").await, "Spam", "what was typed stays");
        sql(&db, "ALTER TABLE elsewhere RENAME TO authfort_events").await;
        assert_eq!(site.get(&format!("/admin/users/{id}")).await["banned"], false);
    }

    async fn what_another_administrator_does_shows_on_an_open_page(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let (person, list) = Browser::start_two().await;
        site.sign_in(&person).await;
        site.sign_in(&list).await;
        open(&site, &person, &id).await;
        list.see("1–2 of 2").await;
        site.user("john@example.com", "John").await;
        site.post(&format!("/admin/users/{id}/ban"), json!({})).await;
        person.see("This person has changed since the page was opened: User banned").await;
        person.click(".notice.warn a").await;
        person.see("Banned since").await;
        list.see("1–3 of 3").await;
        list.see("Banned").await;
    }
}
