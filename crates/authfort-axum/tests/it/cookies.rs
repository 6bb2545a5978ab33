//! Cookie mode, as a browser sees it.

use std::collections::BTreeMap;

use authfort_axum::{CookieOptions, SameSite, testing};
use authfort_testkit::{TestDatabase, both_engines};
use serde_json::{Value, json};

use crate::support::{Answer, App, Call, Caller, PASSWORD};

/// Keeps cookies as a browser does (RFC 6265, section 5.3), but for times.
#[derive(Default)]
struct Jar(BTreeMap<String, String>);

impl Jar {
    fn keep(&mut self, answer: &Answer) {
        for line in answer.cookies() {
            let (pair, attributes) = line.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.split("; ").any(|attribute| attribute == "Max-Age=0") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    async fn send(&mut self, call: Call) -> Answer {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let call = if pairs.is_empty() { call } else { call.header("cookie", pairs.join("; ")) };
        let answer = call.send().await;
        self.keep(&answer);
        answer
    }
}

fn credentials() -> Value {
    json!({"email": "jane@example.com", "password": PASSWORD})
}

/// Each cookie with its value taken out, and the values.
fn parts(answer: &Answer) -> (Vec<String>, Vec<String>) {
    let split = |line: &&str| {
        let (name, rest) = line.split_once('=').unwrap();
        let (value, attributes) = rest.split_once(';').unwrap();
        (format!("{name}=…;{attributes}"), value.to_owned())
    };
    answer.cookies().iter().map(split).unzip()
}

/// Each cookie twice: a value, and another before or after it.
fn twice(access: (&str, &str), refresh: (&str, &str), in_order: bool) -> (String, String) {
    let pair = |name: &str, (first, second): (&str, &str)| {
        let (first, second) = if in_order { (first, second) } else { (second, first) };
        format!("__Host-{name}={first}; other=1; __Host-{name}={second}")
    };
    (pair("access_token", access), pair("refresh_token", refresh))
}

async fn exchange_status(app: &App, token: &str) -> u16 {
    app.post("/auth/refresh").json(&json!({"refresh_token": token})).send().await.status
}

both_engines! {
    async fn a_browser_signs_up_refreshes_and_signs_out_by_cookie_alone(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let mut jar = Jar::default();
        let answer = jar.send(app.post("/auth/signup").json(&credentials())).await;
        assert_eq!(answer.status, 201);
        let (shapes, values) = parts(&answer);
        assert_eq!(
            shapes,
            [
                "__Host-access_token=…; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=900",
                "__Host-refresh_token=…; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=2592000",
            ]
        );
        let tokens = answer.json()["tokens"].clone();
        assert_eq!(json!(values), json!([tokens["access_token"], tokens["refresh_token"]]));

        let me = jar.send(app.get("/auth/me")).await;
        assert_eq!(me.json()["email"], "jane@example.com");
        assert!(me.cookies().is_empty());

        let refreshed = jar.send(app.post("/auth/refresh")).await;
        assert_eq!(refreshed.status, 200, "{}", refreshed.text);
        assert_eq!(refreshed.json()["user"]["session_id"], answer.json()["user"]["session_id"]);
        assert_eq!(parts(&refreshed).0, shapes);
        assert_ne!(parts(&refreshed).1, values);
        assert_eq!(jar.send(app.get("/profile")).await.text, "jane@example.com");

        let kept = jar.0.clone();
        let out = jar.send(app.post("/auth/logout")).await;
        out.is_empty(204);
        // The very attributes they were set with, or else a browser would keep them.
        assert_eq!(
            out.cookies(),
            [
                "__Host-access_token=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0",
                "__Host-refresh_token=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0",
            ]
        );
        assert_eq!(jar.names(), [""; 0]);
        jar.send(app.get("/auth/me")).await.refused(401, "token_missing");
        jar.send(app.post("/auth/refresh")).await.refused(401, "refresh_token_missing");
        let mut thief = Jar(kept);
        thief.send(app.get("/auth/me")).await.refused(401, "session_revoked");
        thief.send(app.post("/auth/refresh")).await.refused(401, "refresh_token_invalid");
    }

    async fn names_domain_and_same_site_are_as_configured(db: TestDatabase) {
        for (options, shapes) in [
            (
                CookieOptions::default().names("at", "rt").same_site(SameSite::Strict),
                [
                    "__Host-at=…; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=900",
                    "__Host-rt=…; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=2592000",
                ],
            ),
            (
                CookieOptions::default().domain("example.com").same_site(SameSite::None),
                [
                    "access_token=…; HttpOnly; SameSite=None; Secure; Path=/; Domain=example.com; Max-Age=900",
                    "refresh_token=…; HttpOnly; SameSite=None; Secure; Path=/; Domain=example.com; Max-Age=2592000",
                ],
            ),
            (
                CookieOptions::default().insecure_allow_http(),
                [
                    "access_token=…; HttpOnly; SameSite=Lax; Path=/; Max-Age=900",
                    "refresh_token=…; HttpOnly; SameSite=Lax; Path=/; Max-Age=2592000",
                ],
            ),
        ] {
            let app = App::with(&db, |builder| builder, |layer| layer.cookies(options).unwrap()).await;
            if app.auth.get_user_count().await.unwrap() == 0 {
                app.user("jane@example.com").await;
            }
            let mut jar = Jar::default();
            let login = jar.send(app.post("/auth/login").json(&credentials())).await;
            assert_eq!(parts(&login).0, shapes);
            assert_eq!(jar.send(app.get("/profile")).await.text, "jane@example.com");
            let out = jar.send(app.post("/auth/logout")).await;
            let cleared = |shape: &str| {
                let end = shape.rfind("Max-Age=").unwrap();
                format!("{}Max-Age=0", shape[..end].replace('…', ""))
            };
            assert_eq!(out.cookies(), shapes.map(cleared));
            assert_eq!(jar.names(), [""; 0]);
        }
    }

    async fn without_cookie_mode_a_cookie_is_nothing(db: TestDatabase) {
        let app = App::new(&db).await;
        app.user("jane@example.com").await;
        let login = app.login("jane@example.com").await;
        let text = |name: &str| login["tokens"][name].as_str().unwrap().to_owned();
        let (access, refresh) = (text("access_token"), text("refresh_token"));
        let cookies = format!("__Host-access_token={access}; access_token={access}; refresh_token={refresh}");
        app.get("/auth/me").header("cookie", &cookies).send().await.refused(401, "token_missing");
        app.post("/auth/refresh").header("cookie", &cookies).send().await.refused(401, "refresh_token_missing");
        // And no site is foreign: a bearer token is nothing that a browser attaches by itself.
        let foreign =
            app.post("/auth/login").header("origin", "https://evil.example").json(&credentials()).send().await;
        assert_eq!((foreign.status, foreign.cookies().len()), (200, 0));
        assert!(app.post("/auth/logout").send().await.cookies().is_empty());
    }

    async fn a_page_of_another_site_can_use_no_cookie_and_sign_nobody_in(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        app.user("jane@example.com").await;
        let mut jar = Jar::default();
        jar.send(app.post("/auth/login").json(&credentials())).await;
        let before = app.event_count().await;
        let change = json!({"current_password": PASSWORD, "new_password": "another password"});
        let new = json!({"email": "new@example.com", "password": PASSWORD});
        let foreign: [&[(&str, &str)]; 7] = [
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site"), ("origin", "https://sub.app.example")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", "http://app.example:8080")],
            &[("origin", "https://app.example"), ("origin", "https://evil.example")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://app.example")],
        ];
        for headers in foreign {
            for (path, body) in [
                ("/auth/login", credentials()),
                ("/auth/signup", new.clone()),
                ("/auth/refresh", json!({})),
                ("/auth/logout", json!({})),
                ("/auth/change-password", change.clone()),
                ("/auth/verify-email", json!({"token": "x"})),
            ] {
                let mut call = app.post(path).header("host", "app.example").json(&body);
                for (name, value) in headers {
                    call = call.header(if *name == "origin" { "origin" } else { "sec-fetch-site" }, value);
                }
                let answer = jar.send(call).await;
                assert_eq!(answer.refusal(), (403, "cross_site_request".into()), "{path} {headers:?}");
                assert!(answer.cookies().is_empty());
            }
        }
        assert_eq!(app.event_count().await, before);

        let own: [&[(&str, &str)]; 5] = [
            &[("sec-fetch-site", "same-origin"), ("origin", "https://app.example")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://app.example")],
            &[("origin", "http://app.example")],
            &[],
        ];
        for headers in own {
            let mut call = app.post("/auth/refresh").header("host", "app.example");
            for (name, value) in headers {
                call = call.header(if *name == "origin" { "origin" } else { "sec-fetch-site" }, value);
            }
            assert_eq!(jar.send(call).await.status, 200, "{headers:?}");
        }
        let link = jar.send(app.get("/profile").header("sec-fetch-site", "cross-site")).await;
        assert_eq!(link.status, 200, "a link from elsewhere changes nothing");
    }

    async fn an_origin_that_is_allowed_may_use_the_cookies(db: TestDatabase) {
        let app = App::with(
            &db,
            |builder| builder,
            |layer| layer.cookies(CookieOptions::default()).unwrap().allow_origin("https://spa.example").unwrap(),
        )
        .await;
        app.user("jane@example.com").await;
        let login = |origin: &str| {
            app.post("/auth/login")
                .header("sec-fetch-site", "cross-site")
                .header("origin", origin)
                .json(&credentials())
                .send()
        };
        assert_eq!(login("https://spa.example").await.status, 200);
        login("https://spa.example.evil.example").await.refused(403, "cross_site_request");
        login("http://spa.example").await.refused(403, "cross_site_request");
    }

    async fn a_bearer_token_is_looked_at_before_the_cookie(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let (by_header, by_cookie) = (app.nobody().await, app.nobody().await);
        let cookie = format!("__Host-access_token={}", by_cookie.token);
        let ask = |token: &str| app.get("/profile").header("cookie", &cookie).bearer(token).send();
        assert_eq!(ask(&by_header.token).await.text, by_header.email);
        ask("garbage").await.refused(401, "token_invalid");
        ask("").await.refused(401, "token_invalid");
        let basic = app.get("/profile").header("cookie", &cookie).header("authorization", "Basic eDp5").send().await;
        assert_eq!(basic.text, by_cookie.email, "another scheme is somebody else's");

        // What a bearer token authenticates is no browser's doing, wherever it comes from.
        let admin = app.admin().await;
        let body = json!({"email": "new@example.com"});
        let call = app.post("/admin/users").header("cookie", &cookie).header("sec-fetch-site", "cross-site");
        assert_eq!(call.by(&admin).json(&body).send().await.status, 201);
        let jane = app.user("jane@example.com").await;
        let session = authfort_axum::testing::bearer(&app.auth.create_session(jane.id).await.unwrap());
        let change = json!({"current_password": PASSWORD, "new_password": "another password"});
        let call = app.post("/auth/change-password").header("origin", "https://evil.example");
        call.header("authorization", session).json(&change).send().await.is_empty(204);
    }

    async fn a_second_cookie_locks_nobody_out(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        app.user("jane@example.com").await;
        let ended = app.nobody().await;
        app.auth.logout(&ended.refresh).await.unwrap();
        let forged = format!("{}x", ended.token);
        for other in ["planted", "a.b.c", "\u{e9}", "", &ended.token, &forged] {
            for other_first in [true, false] {
                let caller = Caller::from(testing::signed_in(&app.auth, [""; 0]).await.unwrap());
                let (access, refresh) = twice((other, &caller.token), (&ended.refresh, &caller.refresh), other_first);
                let profile = app.get("/profile").header("cookie", &access).send().await;
                assert_eq!((profile.status, profile.text), (200, caller.email.clone()), "{access}");
                let me = app.get("/auth/me").header("cookie", &access).header("cookie", "__Host-access_token=x");
                assert_eq!(me.send().await.json()["session_id"], caller.session);
                let refreshed = app.post("/auth/refresh").header("cookie", &refresh).send().await;
                assert_eq!(refreshed.json()["user"]["session_id"], caller.session, "{}", refreshed.text);
                // Whoever has two must be able to sign in and to sign out.
                let both = format!("{refresh}; {access}");
                let login = app.post("/auth/login").header("cookie", &both).json(&credentials()).send().await;
                assert_eq!((login.status, login.cookies().len()), (200, 2), "{}", login.text);
                let out = app.post("/auth/logout").header("cookie", &both).send().await;
                out.is_empty(204);
                assert_eq!(out.cookies().len(), 2);
                app.get("/profile").header("cookie", &access).send().await.refused(401, "session_revoked");
            }
        }
    }

    async fn of_two_cookies_that_count_the_newest_sign_in_is_the_caller(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let older = app.nobody().await;
        app.clock.advance(chrono::TimeDelta::seconds(1));
        let newer = app.nobody().await;
        for older_first in [true, false] {
            let (access, _) = twice((&older.token, &newer.token), ("", ""), older_first);
            assert_eq!(app.get("/profile").header("cookie", &access).send().await.text, newer.email);
        }
        let (_, refresh) = twice(("", ""), (&older.refresh, &newer.refresh), true);
        let refreshed = app.post("/auth/refresh").header("cookie", &refresh).send().await;
        assert_eq!(refreshed.json()["user"]["email"], newer.email);
        // The other one was left alone.
        let body = json!({"refresh_token": older.refresh});
        assert_eq!(app.post("/auth/refresh").json(&body).send().await.status, 200);
    }

    async fn of_two_cookies_that_do_not_count_the_refusal_is_that_of_the_better_one(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let (ended, changed) = (app.nobody().await, app.nobody().await);
        app.auth.logout(&ended.refresh).await.unwrap();
        app.auth.add_role(changed.id, "editor").await.unwrap();
        let refusal = async |tokens: [&str; 3]| {
            let pairs = tokens.map(|token| format!("__Host-access_token={token}"));
            app.get("/profile").header("cookie", pairs.join("; ")).send().await.refusal()
        };
        let better = "token_version_mismatch".to_owned();
        assert_eq!(refusal(["x", &ended.token, &changed.token]).await, (401, better.clone()));
        assert_eq!(refusal([&changed.token, &ended.token, "x"]).await, (401, better));
        assert_eq!(refusal(["x", "y", &ended.token]).await, (401, "session_revoked".into()));
        app.clock.advance(chrono::TimeDelta::hours(1));
        assert_eq!(refusal(["x", &changed.token, &ended.token]).await, (401, "token_expired".into()));
        assert_eq!(refusal(["x", "\u{e9}", ""]).await, (401, "token_invalid".into()));
    }

    async fn more_cookies_than_four_are_not_looked_at(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let caller = app.nobody().await;
        let send = async |planted: usize| {
            let mut pairs: Vec<String> = (0..planted).map(|n| format!("__Host-access_token={n}")).collect();
            pairs.push(format!("__Host-access_token={}", caller.token));
            app.get("/profile").header("cookie", pairs.join("; ")).send().await.status
        };
        assert_eq!((send(3).await, send(4).await), (200, 401));
    }

    async fn a_spent_cookie_beside_a_good_one_ends_nothing(db: TestDatabase) {
        let app = App::with(
            &db,
            |options| options.refresh_grace(std::time::Duration::ZERO),
            |layer| layer.cookies(CookieOptions::default()).unwrap(),
        )
        .await;
        let caller = app.nobody().await;
        let other = app.nobody().await;
        let exchange = async |token: &str| {
            let answer = app.post("/auth/refresh").header("cookie", format!("__Host-refresh_token={token}")).send();
            answer.await.json()["tokens"]["refresh_token"].as_str().unwrap().to_owned()
        };
        // Spent ones of the same session, and of another that lives on elsewhere.
        let (spent, mut good) = (caller.refresh.clone(), exchange(&caller.refresh).await);
        let foreign_good = exchange(&other.refresh).await;
        for spent_first in [true, false] {
            for spent in [&spent, &other.refresh] {
                let before = app.event_count().await;
                let (_, refresh) = twice(("", ""), (spent, &good), spent_first);
                let answer = app.post("/auth/refresh").header("cookie", &refresh).send().await;
                assert_eq!(answer.json()["user"]["session_id"], caller.session, "{}", answer.text);
                assert_eq!(app.event_types(before).await, ["token_refreshed"]);
                good = answer.json()["tokens"]["refresh_token"].as_str().unwrap().to_owned();
            }
        }
        // Where no good one came it is a replay, and of one session alone.
        let before = app.event_count().await;
        let (_, refresh) = twice(("", ""), (&other.refresh, &spent), true);
        let replay = app.post("/auth/refresh").header("cookie", &refresh).send().await;
        replay.refused(401, "refresh_token_reused");
        assert_eq!(app.event_types(before).await, ["session_revoked"]);
        let alive = [exchange_status(&app, &foreign_good).await, exchange_status(&app, &good).await];
        assert!(alive == [200, 401] || alive == [401, 200], "{alive:?}");
    }

    async fn an_answer_that_was_lost_is_given_again_beside_an_older_spent_cookie(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let caller = app.nobody().await;
        let exchange = async |cookie: String| app.post("/auth/refresh").header("cookie", cookie).send().await;
        let first = exchange(format!("__Host-refresh_token={}", caller.refresh)).await.json();
        let second = first["tokens"]["refresh_token"].as_str().unwrap();
        let lost = exchange(format!("__Host-refresh_token={second}")).await.json();
        for older_first in [true, false] {
            // The oldest is spent and its child too; alone it would end the session.
            let again = exchange(twice(("", ""), (&caller.refresh, second), older_first).1).await;
            assert_eq!(again.json()["tokens"]["refresh_token"], lost["tokens"]["refresh_token"], "{}", again.text);
        }
    }

    async fn a_session_that_was_chosen_beforehand_is_not_taken_over(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        app.user("jane@example.com").await;
        let attacker = app.nobody().await;
        let planted = format!("__Host-access_token={}; __Host-refresh_token={}", attacker.token, attacker.refresh);
        let login = app.post("/auth/login").header("cookie", &planted).json(&credentials()).send().await;
        assert_eq!(login.json()["user"]["email"], "jane@example.com");
        assert_ne!(login.json()["user"]["session_id"], attacker.session);
        let values = parts(&login).1;
        assert!(!values.contains(&attacker.token) && !values.contains(&attacker.refresh));
    }

    async fn the_token_of_the_body_goes_before_the_cookie(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let (body, cookie) = (app.nobody().await, app.nobody().await);
        let header = format!("__Host-refresh_token={}", cookie.refresh);
        let json = json!({"refresh_token": body.refresh});
        let answer = app.post("/auth/refresh").header("cookie", &header).json(&json).send().await;
        assert_eq!(answer.json()["user"]["email"], body.email);
        app.post("/auth/logout").header("cookie", &header).json(&json).send().await.is_empty(204);
        app.get("/profile").by(&body).send().await.refused(401, "session_revoked");
        assert_eq!(app.get("/profile").by(&cookie).send().await.status, 200);
    }

    async fn no_origin_is_reflected_and_no_preflight_granted(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let admin = app.admin().await;
        for path in ["/auth/login", "/auth/me", "/admin/users", "/.well-known/jwks.json"] {
            let preflight = app.call("OPTIONS", path).header("origin", "https://evil.example");
            let preflight = preflight.header("access-control-request-method", "POST").send().await;
            preflight.refused(405, "method_not_allowed");
            let plain = app.get(path).by(&admin).header("origin", "https://evil.example").send().await;
            for answer in [preflight, plain] {
                let cors = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
                assert_eq!(cors, None, "{path}");
            }
        }
    }
}
