//! The admin page in a real browser, as an administrator uses it.

use std::collections::BTreeMap;

use authfort_testkit::{Engine, TestDatabase, both_engines};
use fantoccini::key::Key;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::support::{Folder, Server};
use crate::ui_acts::{LONG_AGO, sql};

pub const ADMIN: &str = "admin@example.com";
pub const PASSWORD: &str = "correct horse battery";

/// A server with an administrator, and the JSON interface by their token.
pub struct Site {
    server: Server,
    _folder: Folder,
    token: String,
}

impl Site {
    pub async fn start(db: &TestDatabase) -> Self {
        Self::with(db, &[]).await
    }

    pub async fn with(db: &TestDatabase, flags: &[&str]) -> Self {
        let folder = Folder::new().await;
        let mut command = folder.server();
        command.env("DATABASE_URL", db.url()).env("AUTHFORT_COOKIE_SECURE", "off").args(flags);
        command.env("AUTHFORT_ADMIN_EMAIL", ADMIN).env("AUTHFORT_ADMIN_PASSWORD", PASSWORD);
        let server = Server::start(&mut command);
        let mut site = Self { server, _folder: folder, token: String::new() };
        let signed_in = site.post("/auth/login", json!({ "email": ADMIN, "password": PASSWORD })).await;
        site.token = signed_in["tokens"]["access_token"].as_str().unwrap().to_owned();
        site
    }

    pub fn url(&self, path: &str) -> String {
        self.server.url(path)
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut call = reqwest::Client::new().request(method, self.url(path)).bearer_auth(&self.token);
        if let Some(body) = body {
            call = call.header("content-type", "application/json").body(body.to_string());
        }
        let answer = call.send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.send(method, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, None).await
    }

    /// The version that a form has.
    async fn version(&self, id: &str) -> String {
        let call = reqwest::Client::new().get(self.url(&format!("/admin/users/{id}"))).bearer_auth(&self.token);
        let etag = call.send().await.unwrap().headers()["etag"].to_str().unwrap().to_owned();
        etag.trim_matches(['"', 'v']).to_owned()
    }

    pub async fn status(&self, path: &str) -> u16 {
        self.send(Method::GET, path, None).await.0
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Value {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    /// Creates a user and returns the id.
    pub async fn user(&self, email: &str, name: &str) -> String {
        let user = self.post("/admin/users", json!({ "email": email, "name": name, "email_verified": true })).await;
        user["id"].as_str().unwrap().to_owned()
    }

    pub async fn remove(&self, id: &str) {
        self.ask(Method::DELETE, &format!("/admin/users/{id}"), None).await;
    }

    pub async fn sign_in(&self, browser: &Browser) {
        browser.go(&self.url("/")).await;
        enter(browser, ADMIN, PASSWORD).await;
        browser.find("#results").await;
    }
}

async fn enter(browser: &Browser, email: &str, password: &str) {
    browser.fill("#email", email).await;
    browser.fill("#password", password).await;
    browser.click("button.primary").await;
}

/// The names in the list, in its order.
async fn names(browser: &Browser) -> Vec<String> {
    let script = "return [...document.querySelectorAll('a.row bdi')].map((name) => name.textContent)";
    let names = browser.run(script).await;
    names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

async fn until_names(browser: &Browser, expected: &[&str]) {
    browser.until(&format!("{expected:?}"), async || names(browser).await == expected).await;
}

both_engines! {
    async fn who_signs_in_comes_to_the_page_that_was_wanted(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let browser = Browser::start().await;
        browser.go(&site.url(&format!("/admin/ui/users/{id}"))).await;
        browser.see("Sign in").await;
        enter(&browser, ADMIN, "a wrong password").await;
        browser.see("Email or password is wrong.").await;
        assert_eq!(browser.find("#email").await.prop("value").await.unwrap().unwrap(), ADMIN, "what was typed stays");
        enter(&browser, ADMIN, PASSWORD).await;
        browser.see("jane@example.com").await;
        assert_eq!(browser.url().await, site.url(&format!("/admin/ui/users/{id}")));

        browser.click(".me button").await;
        browser.see("Email address").await;
        browser.go(&site.url("/admin/ui/users")).await;
        browser.see("Email address").await;
        assert!(!browser.text().await.contains("jane@example.com"));
        assert_eq!(browser.complaints().await, [""; 0]);
    }

    async fn who_is_no_administrator_is_told_so(db: TestDatabase) {
        let site = Site::start(&db).await;
        let user = json!({ "email": "jane@example.com", "password": PASSWORD });
        site.post("/admin/users", user).await;
        let browser = Browser::start().await;
        browser.go(&site.url("/")).await;
        enter(&browser, "jane@example.com", PASSWORD).await;
        browser.see("This page is for administrators").await;
        browser.see("jane@example.com").await;
        browser.click(".me button").await;
        browser.see("Email address").await;
        enter(&browser, ADMIN, PASSWORD).await;
        browser.find("#results").await;
    }

    async fn a_search_answers_while_it_is_typed_and_is_in_the_address(db: TestDatabase) {
        let site = Site::start(&db).await;
        for (email, name) in [("anna@example.com", "Anna Rossi"), ("joanna@example.com", "Joanna Weber")] {
            site.user(email, name).await;
        }
        let banned = site.user("bob@example.com", "Bob Anders").await;
        site.post(&format!("/admin/users/{banned}/ban"), json!({})).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        until_names(&browser, &["Bob Anders", "Joanna Weber", "Anna Rossi", "Administrator"]).await;
        browser.see("1–4 of 4").await;

        browser.find("#query").await.send_keys("anna").await.unwrap();
        until_names(&browser, &["Joanna Weber", "Anna Rossi"]).await;
        assert_eq!(browser.url().await, site.url("/admin/ui/users?query=anna"));
        browser.see("“anna”").await;
        assert_eq!(browser.run("return document.activeElement.id").await, "query", "the focus stays");

        browser.click("th[aria-sort] a").await;
        until_names(&browser, &["Anna Rossi", "Joanna Weber"]).await;
        browser.client.refresh().await.unwrap();
        until_names(&browser, &["Anna Rossi", "Joanna Weber"]).await;
        assert_eq!(browser.url().await, site.url("/admin/ui/users?query=anna&sort=name"));
        browser.click("a.row").await;
        browser.see("Profile").await;
        browser.client.back().await.unwrap();
        until_names(&browser, &["Anna Rossi", "Joanna Weber"]).await;
        browser.click("a.row").await;
        browser.see("Profile").await;
        browser.click("#back").await;
        until_names(&browser, &["Anna Rossi", "Joanna Weber"]).await;

        browser.click(".chip").await;
        until_names(&browser, &["Administrator", "Anna Rossi", "Bob Anders", "Joanna Weber"]).await;
        browser.run("document.querySelector('#status').value = 'banned';
             document.querySelector('#status').dispatchEvent(new Event('input', { bubbles: true }))").await;
        until_names(&browser, &["Bob Anders"]).await;
        browser.go(&site.url("/admin/ui/users")).await;
        browser.click("details.more summary").await;
        browser.choose("#signed_in", "true").await;
        until_names(&browser, &["Administrator"]).await;
        browser.see("Has signed in").await;
        browser.choose("#signed_in", "false").await;
        until_names(&browser, &["Bob Anders", "Joanna Weber", "Anna Rossi"]).await;
        browser.see("Never signed in").await;
        browser.choose("#signed_in", "").await;
        browser.fill("#role", "nobody").await;
        browser.see("Nobody matches.").await;
        browser.click(".empty a").await;
        browser.see("1–4 of 4").await;

        // Enter on a whole address opens the person, and so does an id.
        browser.fill("#query", "joanna@example.com").await;
        browser.press_key(Key::Enter).await;
        browser.see("Joanna Weber").await;
        browser.see("Profile").await;
        browser.click("#back").await;
        browser.find("#results").await;
        browser.fill("#query", &banned).await;
        browser.see("Banned since").await;
        assert_eq!(browser.url().await, site.url(&format!("/admin/ui/users/{banned}")));
        assert_eq!(browser.complaints().await, [""; 0]);
    }

    async fn a_walk_through_a_thousand_users_shows_each_once(db: TestDatabase) {
        let site = Site::with(&db, &["--demo", "1000"]).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.see("1–50 of 1,000").await;
        browser.click(".sizes a:last-child").await;
        browser.see("1–200 of 1,000").await;
        let script = "return [...document.querySelectorAll('a.row')].map((row) => row.href)";
        let rows = async || browser.run(script).await.as_array().unwrap().clone();
        let mut all = rows().await;
        for range in ["201–400", "401–600", "601–800", "801–1,000"] {
            browser.click("a[rel=next]").await;
            browser.see(&format!("{range} of 1,000")).await;
            all.extend(rows().await);
        }
        assert!(!browser.has("a[rel=next]").await);
        let count = all.len();
        all.sort_by_key(ToString::to_string);
        all.dedup();
        assert_eq!((all.len(), count), (1000, 1000));
        browser.click("a[rel=prev]").await;
        browser.see("601–800 of 1,000").await;
        // The size is remembered.
        browser.go(&site.url("/admin/ui/users")).await;
        browser.see("1–200 of 1,000").await;
    }

    async fn names_are_text_whatever_they_hold(db: TestDatabase) {
        let site = Site::start(&db).await;
        let emoji = "👩🏽‍🚒".repeat(40);
        let hostile = [
            "<script>alert(1)</script>",
            "\"><img src=x onerror=alert(1)>",
            "{{ 7 * 7 }} ${7*7} </table>",
            "\u{202e}gnp.exe",
            "مرحبا بالعالم",
            emoji.as_str(),
            "hx-get=/ hx-on:load=alert(1)",
        ];
        let browser = Browser::start().await;
        let mut ids = Vec::new();
        for (n, name) in hostile.iter().enumerate() {
            ids.push(site.user(&format!("user{n}@example.com"), name).await);
        }
        site.sign_in(&browser).await;
        browser.see("1–8 of 8").await;
        let mut shown = names(&browser).await;
        shown.reverse();
        assert_eq!(shown[1..], hostile);
        for (id, name) in ids.iter().zip(hostile) {
            browser.go(&site.url(&format!("/admin/ui/users/{id}"))).await;
            assert_eq!(browser.run("return document.querySelector('h1').textContent").await, name);
        }
        browser.go(&site.url("/admin/ui/users?query=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&role=%3Cb%3E")).await;
        browser.see("“\"><script>alert(1)</script>”").await;
        assert!(browser.client.get_alert_text().await.is_err(), "a dialog");
        assert_eq!(browser.complaints().await, [""; 0]);
    }

    async fn the_keyboard_alone_finds_and_opens_a_person(db: TestDatabase) {
        let site = Site::start(&db).await;
        for name in ["Anna Rossi", "Annika Weber"] {
            site.user(&format!("{}@example.com", name.replace(' ', ".").to_lowercase()), name).await;
        }
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.press(&['?']).await;
        browser.see("This help").await;
        browser.press_key(Key::Escape).await;
        browser.until("a closed help", async || !browser.has("dialog[open]").await).await;
        browser.press(&['/', 'a', 'n', 'n']).await;
        until_names(&browser, &["Annika Weber", "Anna Rossi"]).await;
        for _ in 0..2 {
            browser.press_key(Key::Down).await;
        }
        browser.press_key(Key::Enter).await;
        browser.see("Profile").await;
        browser.see("anna.rossi@example.com").await;
        browser.press_key(Key::Escape).await;
        until_names(&browser, &["Annika Weber", "Anna Rossi"]).await;
    }

    async fn without_script_everything_works_too(db: TestDatabase) {
        let site = Site::start(&db).await;
        site.user("anna@example.com", "Anna Rossi").await;
        site.user("bob@example.com", "Bob Anders").await;
        let browser = Browser::start_without_script().await;
        site.sign_in(&browser).await;
        browser.fill("#query", "Rossi").await;
        browser.press_key(Key::Enter).await;
        until_names(&browser, &["Anna Rossi"]).await;
        browser.see("UTC").await;
        browser.click("a.row").await;
        browser.see("Profile").await;
        browser.click("#back").await;
        until_names(&browser, &["Anna Rossi"]).await;
        browser.click(".me button").await;
        browser.see("Email address").await;
    }

    async fn an_access_token_that_is_gone_is_renewed_by_the_way(db: TestDatabase) {
        let site = Site::start(&db).await;
        site.user("anna@example.com", "Anna Rossi").await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.client.delete_cookie("access_token").await.unwrap();
        browser.fill("#query", "anna").await;
        until_names(&browser, &["Anna Rossi"]).await;
        browser.client.delete_cookie("access_token").await.unwrap();
        browser.go(&site.url("/admin/ui/users")).await;
        browser.see("1–2 of 2").await;
        browser.client.delete_cookie("access_token").await.unwrap();
        browser.client.delete_cookie("refresh_token").await.unwrap();
        browser.fill("#query", "anna").await;
        browser.see("Email address").await;
    }

    async fn what_a_lost_connection_means_is_said(db: TestDatabase) {
        let mut site = Site::start(&db).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        assert!(site.server.stop());
        browser.fill("#query", "anna").await;
        browser.see("The server did not answer.").await;
        assert_eq!(browser.find("#query").await.prop("value").await.unwrap().unwrap(), "anna", "what was typed stays");
    }

    async fn the_numbers_of_the_overview_are_those_of_the_lists(db: TestDatabase) {
        let site = Site::with(&db, &["--demo", "200"]).await;
        site.send(Method::POST, "/auth/login", Some(json!({ "email": ADMIN, "password": "a wrong password" }))).await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.click("nav a[href$='/ui/overview']").await;
        browser.see("New users in 30 days: 200").await;
        let script = "return [...document.querySelectorAll('.numbers a')].map((a) => [a.href, a.querySelector('strong').textContent])";
        let numbers = browser.run(script).await;
        let numbers = numbers.as_array().unwrap();
        assert_eq!(numbers.len(), 7);
        for number in numbers {
            let (address, count) = (number[0].as_str().unwrap(), number[1].as_str().unwrap());
            browser.go(address).await;
            browser.find("#results").await;
            if address.contains("/ui/users") {
                let total = browser.find("#total").await.text().await.unwrap();
                assert!(total.ends_with(&format!("of {count}")) || count == "0" && total == "No users", "{total}, {count}");
            } else {
                let rows = browser.run("return document.querySelectorAll('#results tbody tr').length").await;
                assert_eq!(rows.to_string(), count);
            }
        }
    }

    async fn the_log_is_filtered_and_leads_to_people(db: TestDatabase) {
        let site = Site::start(&db).await;
        let jane = site.user("jane@example.com", "Jane").await;
        site.user("john@example.com", "John").await;
        let browser = Browser::start().await;
        site.sign_in(&browser).await;
        browser.click("nav a[href$='/ui/events']").await;
        browser.see("john@example.com").await;
        browser.choose("#type", "login").await;
        browser.until("no other type", async || !browser.text().await.contains("john@example.com")).await;
        browser.see("Login").await;
        browser.choose("#type", "").await;
        browser.fill("#user", "Jane@example.com").await;
        browser.until("nobody else", async || !browser.text().await.contains("john@example.com")).await;
        browser.see("User created").await;
        browser.fill("#user", "nobody").await;
        browser.see("“nobody” names nobody").await;
        browser.go(&site.url("/admin/ui/events?type=user_created")).await;
        browser.see("john@example.com").await;
        let today = browser.run("return new Date().toISOString().slice(0, 10)").await;
        let today = today.as_str().unwrap();
        browser.go(&site.url(&format!("/admin/ui/events?type=user_created&from={today}"))).await;
        browser.see("john@example.com").await;
        browser.go(&site.url(&format!("/admin/ui/events?type=user_created&until={today}"))).await;
        browser.see("john@example.com").await;
        browser.go(&site.url(&format!("/admin/ui/events?type=user_created&from={today}&before=ffffffff-0000-7000-8000-000000000000"))).await;
        let newest = browser.find("nav.pages a").await.attr("href").await.unwrap().unwrap();
        assert_eq!(newest, format!("/admin/ui/events?type=user_created&from={today}&"));
        browser.go(&site.url("/admin/ui/users?status=gone")).await;
        browser.see("“status” cannot be “gone”").await;
        browser.go(&site.url("/admin/ui/events?type=user_created&until=2026-01-01")).await;
        browser.see("Nothing was recorded.").await;
        browser.go(&site.url("/admin/ui/events?type=user_created&from=2999-01-01")).await;
        browser.see("Nothing was recorded.").await;
        browser.go(&site.url(&format!("/admin/ui/events?user={jane}&type=unknown"))).await;
        browser.see("User created").await;
        assert!(!browser.text().await.contains("john@example.com"));
        browser.click("#results td:nth-child(2) a").await;
        browser.see("Profile").await;
        assert_eq!(browser.url().await, site.url(&format!("/admin/ui/users/{jane}")));
    }
}

/// The markup of a panel stands in such an element: its links are plain ones, and its `hx-` attributes do nothing.
#[tokio::test]
async fn in_an_ignored_element_the_script_of_the_pages_does_nothing() {
    let db = TestDatabase::create(Engine::Sqlite).await;
    let site = Site::start(&db).await;
    let browser = Browser::start().await;
    site.sign_in(&browser).await;
    for (attribute, stays) in [("hx-ignore", false), ("data-nothing", true)] {
        browser.go(&site.url("/admin/ui/users")).await;
        browser.find("#results").await;
        let script = "window.same = true; const markup = document.createElement('div'); markup.setAttribute('ATTRIBUTE', '');
            markup.innerHTML = '<b id=\"loads\" hx-get=\"/admin/ui/events\" hx-trigger=\"load\">as it was</b> <a id=\"own\" href=\"/admin/ui/events\">x</a>';
            document.querySelector('main').prepend(markup); htmx.process(markup)";
        browser.run(&script.replace("ATTRIBUTE", attribute)).await;
        if !stays {
            assert_eq!(browser.run("return document.getElementById('loads').textContent").await, "as it was");
        }
        browser.click("#own").await;
        browser.find("table.events").await;
        browser.until("the page", async || browser.url().await.ends_with("/admin/ui/events")).await;
        assert_eq!(browser.run("return window.same === true").await, stays, "{attribute}");
    }
}

#[tokio::test]
async fn every_page_is_accessible() {
    let db = TestDatabase::create(Engine::Sqlite).await;
    let site = Site::with(&db, &["--demo", "60"]).await;
    let id = site.user("anna@example.com", "Anna Rossi").await;
    site.post("/auth/login", json!({ "email": ADMIN, "password": PASSWORD })).await;
    site.post(&format!("/admin/users/{id}/ban"), json!({ "reason": "Spam\nagain" })).await;
    let me = site.get("/auth/me").await["id"].as_str().unwrap().to_owned();
    let browser = Browser::start().await;
    let looks = [("light", (1440, 900)), ("dark", (1440, 900)), ("light", (360, 740)), ("dark", (360, 740))];
    browser.go(&site.url("/")).await;
    for (theme, size) in looks {
        browser.emulate(theme, size).await;
        accessible(&browser).await;
    }
    site.sign_in(&browser).await;
    let mut paths: Vec<String> = [
        "users",
        "users?query=nobody&status=banned",
        "users/new",
        "events",
        "sessions",
        "overview",
        "keys/rotate",
        "nothing",
    ]
    .map(|page| format!("/admin/ui/{page}"))
    .into();
    paths.extend(
        ["", "?edit=1", "/ban", "/roles", "/password", "/delete"].map(|act| format!("/admin/ui/users/{id}{act}")),
    );
    paths.push(format!("/admin/ui/users/{me}"));
    for path in paths {
        browser.go(&site.url(&path)).await;
        browser.find("h1").await;
        for (theme, size) in looks {
            browser.emulate(theme, size).await;
            accessible(&browser).await;
            let wide = browser.run("return document.documentElement.scrollWidth - innerWidth").await;
            assert!(wide.as_i64().unwrap() <= 0, "{path} is {wide} pixels too wide at {size:?}");
        }
    }
    assert_eq!(browser.complaints().await, [""; 0]);
}

/// Sends a request with cookies as a browser has them, without following a redirect; a form if there is one.
async fn with_cookies(site: &Site, cookies: &str, path: &str, form: Option<&str>) -> reqwest::Response {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let call = match form {
        Some(form) => client.post(site.url(path)).body(form.to_owned()),
        None => client.get(site.url(path)),
    };
    let call = call.header("content-type", "application/x-www-form-urlencoded").header("cookie", cookies);
    call.send().await.unwrap()
}

/// The cookies that an answer sets: each once.
fn cookies_of(answer: &reqwest::Response) -> BTreeMap<String, String> {
    let mut cookies = BTreeMap::new();
    for cookie in answer.headers().get_all("set-cookie") {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        assert!(cookies.insert(name.to_owned(), value.to_owned()).is_none(), "{name} is set twice");
    }
    cookies
}

/// Signs in, and returns the cookie of the refresh token alone: what a browser has after some minutes.
async fn refresh_cookie(site: &Site) -> String {
    let form = "email=admin%40example.com&password=correct+horse+battery";
    let answer = with_cookies(site, "", "/admin/ui/sign-in", Some(form)).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    format!("refresh_token={}", cookies_of(&answer)["refresh_token"])
}

both_engines! {
    async fn whoever_has_a_token_that_is_refused_can_sign_in(db: TestDatabase) {
        let site = Site::start(&db).await;
        for cookies in ["access_token=a.b.c", "refresh_token=afr_dead", "access_token=a.b.c; refresh_token=afr_dead"] {
            let answer = with_cookies(&site, cookies, "/admin/ui/users", None).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
            let wanted = answer.headers()["location"].to_str().unwrap().to_owned();
            assert!(wanted.starts_with("/admin/ui/sign-in?next="), "{wanted}");
            let answer = with_cookies(&site, cookies, &wanted, None).await;
            assert_eq!(answer.status(), StatusCode::OK, "{cookies}");
            assert!(answer.text().await.unwrap().contains("Email address"));
        }
        let answer = with_cookies(&site, "refresh_token=afr_dead", "/admin/ui/users", None).await;
        assert_eq!(cookies_of(&answer)["refresh_token"], "", "it is not sent again");
        let jane = site.post("/admin/users", json!({ "email": "jane@example.com", "password": PASSWORD })).await;
        let form = "email=jane%40example.com&password=correct+horse+battery";
        let answer = with_cookies(&site, "", "/admin/ui/sign-in", Some(form)).await;
        let cookies = format!("access_token={}", cookies_of(&answer)["access_token"]);
        site.post(&format!("/admin/users/{}/ban", jane["id"].as_str().unwrap()), json!({})).await;
        let answer = with_cookies(&site, &cookies, "/admin/ui/sign-in", None).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }

    async fn a_renewed_session_gives_way_to_a_newer_one(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let me = async |cookies: &BTreeMap<String, String>| {
            let cookies = format!("access_token={}", cookies["access_token"]);
            let answer = with_cookies(&site, &cookies, "/auth/me", None).await;
            let status = answer.status().as_u16();
            (status, serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap()["email"].clone())
        };
        // A renewal alone.
        let cookie = refresh_cookie(&site).await;
        let answer = with_cookies(&site, &cookie, "/admin/ui/users", None).await;
        assert_eq!((answer.status(), me(&cookies_of(&answer)).await), (StatusCode::OK, (200, json!(ADMIN))));

        // The password is asked for, and begins a session.
        let cookie = refresh_cookie(&site).await;
        sql(&db, LONG_AGO).await;
        let version = site.version(&id).await;
        let form = format!("version={version}&role=editor&new_role=1&your_password=correct+horse+battery");
        let answer = with_cookies(&site, &cookie, &format!("/admin/ui/users/{id}/roles"), Some(&form)).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(me(&cookies_of(&answer)).await, (200, json!(ADMIN)));

        // Somebody else signs in, and somebody signs out.
        site.post("/admin/users", json!({ "email": "bob@example.com", "password": PASSWORD })).await;
        let cookie = refresh_cookie(&site).await;
        let form = "email=bob%40example.com&password=correct+horse+battery";
        let answer = with_cookies(&site, &cookie, "/admin/ui/sign-in", Some(form)).await;
        assert_eq!(me(&cookies_of(&answer)).await, (200, json!("bob@example.com")));
        let answer = with_cookies(&site, &cookie, "/admin/ui/sign-out", Some("")).await;
        assert_eq!(cookies_of(&answer)["refresh_token"], "");
        let answer = with_cookies(&site, &cookie, "/admin/ui/users", None).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "the session has ended");
    }

    async fn another_address_needs_the_password_after_a_while(db: TestDatabase) {
        let site = Site::start(&db).await;
        let id = site.user("jane@example.com", "Jane").await;
        let cookie = refresh_cookie(&site).await;
        sql(&db, LONG_AGO).await;
        let version = site.version(&id).await;
        let path = format!("/admin/ui/users/{id}");
        let form = format!("version={version}&email=mallory%40example.com&email_verified=true&name=Jane");
        let answer = with_cookies(&site, &cookie, &path, Some(&form)).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let cookie = format!("refresh_token={}", cookies_of(&answer)["refresh_token"]);
        let form = format!("version={version}&email=jane%40example.com&email_verified=true&name=Jane+Doe");
        let answer = with_cookies(&site, &cookie, &path, Some(&form)).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let user = site.get(&format!("/admin/users/{id}")).await;
        assert_eq!((&user["email"], &user["name"]), (&json!("jane@example.com"), &json!("Jane Doe")));
    }

    async fn an_open_page_that_looks_for_news_keeps_no_session_alive(db: TestDatabase) {
        let site = Site::start(&db).await;
        let cookie = refresh_cookie(&site).await;
        let client = reqwest::Client::new().get(site.url("/admin/ui/users")).header("cookie", cookie);
        let answer = client.header("hx-request", "true").header("x-authfort-live", "1").send().await.unwrap();
        assert_eq!((answer.status(), cookies_of(&answer).len()), (StatusCode::NO_CONTENT, 0));
    }
}

/// Fails if axe-core finds a violation of WCAG 2.2, level A or AA.
pub async fn accessible(browser: &Browser) {
    if browser.run("return typeof axe").await == "undefined" {
        browser.run(include_str!("../axe/axe.min.js")).await;
    }
    let script = "const done = arguments[arguments.length - 1];
         const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
         axe.run({ runOnly: tags }).then(
             (found) => done({ passed: found.passes.length, violations: found.violations.map((one) =>
                 `${one.id}: ${one.nodes.map((node) => node.target + ' ' + node.failureSummary).join('; ')}`) }),
             (error) => done({ violations: [String(error)] }));";
    let found = browser.client.execute_async(script, Vec::new()).await.unwrap();
    assert_eq!(found["violations"], json!([]), "at {}", browser.url().await);
    assert!(found["passed"].as_u64().unwrap() > 5, "{found}");
}

#[tokio::test]
async fn styles_and_scripts_are_kept_by_the_browser_and_small() {
    let folder = Folder::new().await;
    let server = Server::start(&mut folder.server());
    let client = reqwest::Client::new();
    let page = client.get(server.url("/admin/ui/sign-in")).send().await.unwrap().text().await.unwrap();
    let assets: Vec<_> = page.split('"').filter(|text| text.starts_with("/admin/ui/assets/")).collect();
    assert!(assets.len() >= 4, "{page}");
    for path in assets {
        let answer = client.get(server.url(path)).header("accept-encoding", "gzip").send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!((header("content-encoding"), header("x-content-type-options")), ("gzip".into(), "nosniff".into()));
        let etag = header("etag");
        let again = client.get(server.url(path)).header("if-none-match", &etag).send().await.unwrap();
        assert_eq!((again.status(), again.text().await.unwrap().len()), (StatusCode::NOT_MODIFIED, 0));
    }
    let answer = client.get(server.url("/admin/ui/assets/admin.css")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

/// Demo users come over a month, and most of them sign in.
const SPREAD: &str = "
    UPDATE authfort_users SET created_at = datetime('now', '-' || (
        20000 * (1205 - rowid) / 1205 + 16000 * (1205 - rowid) / 1205 * (1205 - rowid) / 1205 + abs(random() % 5000)
    ) || ' minutes') WHERE email GLOB '*[0-9]@*';
    UPDATE authfort_users SET last_login_at = datetime('now', '-' || (
        abs(random() % CAST((julianday('now') - julianday(created_at)) * 1440 AS INTEGER))
    ) || ' minutes') WHERE email GLOB '*[0-9]@*' AND rowid % 5 < 4";

/// Writes pictures of the main pages into `docs/images`.
#[tokio::test]
#[ignore = "writes pictures; run it with `just screenshots`"]
async fn screenshots() {
    let images = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/images");
    let db = TestDatabase::create(Engine::Sqlite).await;
    let site = Site::with(&db, &["--demo", "1204"]).await;
    let user = json!({
        "email": "jane.doe@example.com", "name": "Jane Doe", "password": PASSWORD, "email_verified": true,
        "phone": "+49301234567", "roles": ["editor", "member"], "metadata": { "plan": "team", "seats": 12 },
    });
    let jane = site.post("/admin/users", user).await["id"].as_str().unwrap().to_owned();
    for agent in
        ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "AcmeMobile/4.2 (iPhone; iOS 19.1)"]
    {
        let call = reqwest::Client::new().post(site.url("/auth/login")).header("user-agent", agent);
        let body = json!({ "email": "jane.doe@example.com", "password": PASSWORD }).to_string();
        assert!(call.header("content-type", "application/json").body(body).send().await.unwrap().status().is_success());
    }
    let ban = json!({ "reason": "Sent the same advertisement to forty people." });
    site.post(&format!("/admin/users/{jane}/ban"), ban).await;
    crate::ui_acts::sql(&db, SPREAD).await;
    let browser = Browser::start().await;
    site.sign_in(&browser).await;
    let (person, delete) = (format!("users/{jane}"), format!("users/{jane}/delete"));
    for (name, path) in [
        ("overview", "overview"),
        ("users", "users"),
        ("person", &person),
        ("delete", &delete),
        ("many", "users/bulk?role=editor&act=ban"),
        ("events", "events"),
    ] {
        browser.go(&site.url(&format!("/admin/ui/{path}"))).await;
        browser.find("h1").await;
        for theme in ["light", "dark"] {
            for (width, height) in [(1440, 900), (360, 740)] {
                browser.emulate(theme, (width, height)).await;
                let picture = browser.client.screenshot().await.unwrap();
                std::fs::write(format!("{images}/{name}-{width}-{theme}.png"), picture).unwrap();
            }
        }
    }
}
