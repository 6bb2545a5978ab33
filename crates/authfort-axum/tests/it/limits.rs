//! How often something may be tried, through the routes.

use authfort_axum::{Action, AuthLayer, Rate, RateLimits, TrustedProxies};
use authfort_testkit::{TestDatabase, both_engines};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, App, PASSWORD};

/// So many, and none comes back while a test runs.
fn only(burst: u32) -> Rate {
    Rate::per_hour(1).burst(burst)
}

async fn app(db: &TestDatabase, limits: RateLimits, http: impl FnOnce(AuthLayer) -> AuthLayer) -> App {
    let app = App::with(db, |builder| builder, |layer| http(layer.rate_limits(limits))).await;
    app.user("jane@example.com").await;
    app
}

fn credentials(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
}

async fn try_from(app: &App, client: &str, email: &str, password: &str) -> Answer {
    app.post("/auth/login").from(client).json(&credentials(email, password)).send().await
}

#[track_caller]
fn limited(answer: &Answer) {
    answer.refused(429, "rate_limited");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&wait), "one an hour comes back: {wait}");
    assert_eq!(answer.json()["message"], "Too many attempts.");
}

both_engines! {
    async fn of_fifty_attempts_at_once_five_reach_the_hash(db: TestDatabase) {
        let app = app(&db, RateLimits::off().account(Action::Login, only(5)), |layer| layer).await;
        let before = app.event_count().await;
        let attempts = (0..50).map(|n| {
            // From as many clients, and in as many spellings.
            let email = if n % 2 == 0 { "jane@example.com" } else { " JANE@Example.com" };
            let call =
                app.post("/auth/login").from(&format!("198.51.100.{n}")).json(&credentials(email, "wrong password"));
            tokio::spawn(call.send())
        });
        let answers: Vec<Answer> = join_all(attempts).await.into_iter().map(Result::unwrap).collect();
        let (refused, tried): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 429);
        assert_eq!((tried.len(), refused.len()), (5, 45));
        for answer in tried {
            answer.refused(401, "invalid_credentials");
        }
        for answer in refused {
            limited(answer);
        }
        assert_eq!(app.event_types(before).await, ["login_failed"; 5]);

        limited(&try_from(&app, "203.0.113.7", "jane@example.com", PASSWORD).await);
        assert_eq!(app.event_types(before).await.len(), 5, "the right password was not looked at");
        let unknown = try_from(&app, "203.0.113.7", "joe@example.com", "wrong password").await;
        unknown.refused(401, "invalid_credentials");
    }

    async fn a_client_that_tries_many_accounts_is_stopped(db: TestDatabase) {
        let app = app(&db, RateLimits::off().client(Action::Login, only(3)), |layer| layer).await;
        for n in 0..3 {
            let answer = try_from(&app, "203.0.113.7", &format!("u{n}@example.com"), "wrong password").await;
            answer.refused(401, "invalid_credentials");
        }
        limited(&try_from(&app, "203.0.113.7", "jane@example.com", PASSWORD).await);
        assert_eq!(try_from(&app, "203.0.113.8", "jane@example.com", PASSWORD).await.status, 200);
    }

    async fn an_unknown_account_is_limited_like_a_known_one(db: TestDatabase) {
        let app = app(&db, RateLimits::off().account(Action::Login, only(2)), |layer| layer).await;
        for email in ["jane@example.com", "nobody@example.com"] {
            let mut answers = Vec::new();
            for _ in 0..4 {
                answers.push(try_from(&app, "203.0.113.7", email, "wrong password").await.refusal());
            }
            let (wrong, limited) = ((401, "invalid_credentials".to_owned()), (429, "rate_limited".to_owned()));
            assert_eq!(answers, [wrong.clone(), wrong, limited.clone(), limited], "{email}");
        }
    }

    async fn one_client_cannot_bar_somebody_from_their_account(db: TestDatabase) {
        let limits = RateLimits::off().account(Action::Login, only(6)).account_from_client(Action::Login, only(2));
        let app = app(&db, limits, |layer| layer).await;
        for _ in 0..2 {
            try_from(&app, "203.0.113.7", "jane@example.com", "wrong password")
                .await
                .refused(401, "invalid_credentials");
        }
        for _ in 0..100 {
            limited(&try_from(&app, "203.0.113.7", "jane@example.com", "wrong password").await);
        }
        assert_eq!(try_from(&app, "198.51.100.1", "jane@example.com", PASSWORD).await.status, 200);
        let other = try_from(&app, "203.0.113.7", "joe@example.com", "wrong password").await;
        other.refused(401, "invalid_credentials");
    }

    async fn the_defaults_let_a_person_mistype_and_stop_a_program(db: TestDatabase) {
        let app = app(&db, RateLimits::default(), |layer| layer).await;
        let mut wrong = 0;
        while try_from(&app, "203.0.113.7", "jane@example.com", "wrong password").await.status == 401 {
            wrong += 1;
            assert!(wrong < 20);
        }
        assert!(wrong >= 10, "{wrong}");
        assert_eq!(try_from(&app, "198.51.100.1", "jane@example.com", PASSWORD).await.status, 200);
    }

    async fn defect_16_an_address_that_a_client_makes_up_is_not_believed(db: TestDatabase) {
        let app = app(&db, RateLimits::off().client(Action::Login, only(2)), |layer| layer).await;
        let mut answers = Vec::new();
        for n in 0..4 {
            let address = format!("198.51.100.{n}");
            let call = app.post("/auth/login").from("203.0.113.7").header("x-forwarded-for", &address);
            let call = call.header("x-real-ip", &address).header("forwarded", format!("for={address}"));
            answers.push(call.json(&credentials("jane@example.com", PASSWORD)).send().await.status);
        }
        assert_eq!(answers, [200, 200, 429, 429]);
        for event in app.events(0).await.iter().filter(|event| event[0] == "login") {
            assert_eq!(event[3]["ip_address"], "203.0.113.7");
        }
    }

    async fn behind_a_trusted_proxy_the_right_most_untrusted_hop_counts(db: TestDatabase) {
        let app = app(&db, RateLimits::off().client(Action::Login, only(2)), |layer| {
            layer.trusted_proxies(TrustedProxies::parse(["10.0.0.0/8"]).unwrap())
        })
        .await;
        let send = async |forwarded: &str| {
            let call = app.post("/auth/login").from("10.0.0.1").header("x-forwarded-for", forwarded);
            call.json(&credentials("jane@example.com", PASSWORD)).send().await.status
        };
        let made_up = [
            send("1.1.1.1, 203.0.113.7").await,
            send("2.2.2.2, 203.0.113.7, 10.0.0.2").await,
            send("3.3.3.3, 203.0.113.7").await,
        ];
        assert_eq!(made_up, [200, 200, 429]);
        assert_eq!(send("203.0.113.7, 198.51.100.1").await, 200, "another client behind the same proxy");
        let addresses: Vec<Value> = app
            .events(0)
            .await
            .into_iter()
            .filter(|event| event[0] == "login")
            .map(|event| event[3]["ip_address"].clone())
            .collect();
        assert_eq!(addresses, ["203.0.113.7", "203.0.113.7", "198.51.100.1"]);
        let sessions =
            app.auth.list_sessions(app.auth.find_user_by_email("jane@example.com").await.unwrap().unwrap().id);
        assert_eq!(sessions.await.unwrap().sessions[0].ip_address.as_deref(), Some("198.51.100.1"));
    }

    async fn a_household_is_one_client_and_the_unknown_share_a_bucket(db: TestDatabase) {
        let app = app(&db, RateLimits::off().client(Action::Login, only(1)), |layer| layer).await;
        let from = async |address: &str| try_from(&app, address, "jane@example.com", PASSWORD).await.status;
        assert_eq!(
            [from("2001:db8:1:2::1").await, from("2001:DB8:1:2:ffff::9").await, from("2001:db8:1:3::1").await],
            [200, 429, 200]
        );
        assert_eq!([from("::ffff:192.0.2.9").await, from("192.0.2.9").await], [200, 429]);

        // Served without the peer's address: everybody is the same unknown client.
        let body = credentials("jane@example.com", PASSWORD).to_string();
        let unknown = async || {
            let request = axum::http::Request::post("/auth/login").header("content-type", "application/json");
            let request = request.body(axum::body::Body::from(body.clone())).unwrap();
            tower::ServiceExt::oneshot(app.router.clone(), request).await.unwrap().status().as_u16()
        };
        assert_eq!([unknown().await, unknown().await], [200, 429]);
    }

    async fn signing_up_is_limited_for_client_and_address(db: TestDatabase) {
        let limits = RateLimits::off().client(Action::SignUp, only(3)).account(Action::SignUp, only(1));
        let app = app(&db, limits, |layer| layer).await;
        let sign_up = async |client: &str, email: &str| {
            app.post("/auth/signup").from(client).json(&credentials(email, PASSWORD)).send().await
        };
        assert_eq!(sign_up("203.0.113.7", "a@example.com").await.status, 201);
        limited(&sign_up("203.0.113.7", "A@example.com").await);
        assert_eq!(sign_up("203.0.113.7", "b@example.com").await.status, 201);
        limited(&sign_up("203.0.113.7", "c@example.com").await);
        assert_eq!(sign_up("203.0.113.8", "c@example.com").await.status, 201);
        assert_eq!(app.auth.get_user_count().await.unwrap(), 4);
    }

    async fn refreshing_is_limited_for_client_and_user(db: TestDatabase) {
        let limits = RateLimits::off().client(Action::Refresh, only(4)).account(Action::Refresh, only(2));
        let app = app(&db, limits, |layer| layer).await;
        let refresh = async |client: &str, token: &str| {
            app.post("/auth/refresh").from(client).json(&json!({"refresh_token": token})).send().await
        };
        let mut token = app.nobody().await.refresh;
        let stranger = app.nobody().await.refresh;
        for client in ["203.0.113.7", "203.0.113.8"] {
            let answer = refresh(client, &token).await.json();
            token = answer["tokens"]["refresh_token"].as_str().unwrap().to_owned();
        }
        limited(&refresh("203.0.113.9", &token).await);
        assert_eq!(refresh("203.0.113.9", &stranger).await.status, 200, "another user's bucket");
        for _ in 0..3 {
            refresh("203.0.113.7", "afr_garbage").await.refused(401, "refresh_token_invalid");
        }
        limited(&refresh("203.0.113.7", "afr_garbage").await);
    }

    async fn guessing_the_current_password_counts_as_a_login(db: TestDatabase) {
        let app = app(&db, RateLimits::off().account(Action::Login, only(3)), |layer| layer).await;
        let session = app.login("jane@example.com").await;
        let token = session["tokens"]["access_token"].as_str().unwrap();
        let guess = async || {
            let body = json!({"current_password": "wrong password", "new_password": PASSWORD});
            app.post("/auth/change-password").bearer(token).json(&body).send().await
        };
        guess().await.refused(401, "invalid_credentials");
        guess().await.refused(401, "invalid_credentials");
        limited(&guess().await);
        limited(&try_from(&app, "203.0.113.7", "jane@example.com", PASSWORD).await);
        assert_eq!(app.get("/profile").bearer(token).send().await.status, 200, "what is open stays open");
    }

    async fn a_48_is_limited_as_well_and_its_neighbours_are_not(db: TestDatabase) {
        let app = app(&db, RateLimits::off().client(Action::Login, only(1)), |layer| layer).await;
        let mut tried = 0;
        for n in 0..40 {
            let answer = try_from(&app, &format!("2001:db8:1:{n:x}::1"), "jane@example.com", "wrong password").await;
            tried += usize::from(answer.status == 401);
        }
        assert_eq!(tried, 16);
        assert_eq!(try_from(&app, "2001:db8:2::1", "jane@example.com", PASSWORD).await.status, 200);
    }

    async fn a_body_that_is_refused_takes_no_attempt_of_any_route(db: TestDatabase) {
        let limits = [Action::Login, Action::SignUp, Action::Refresh, Action::Mail].into_iter().fold(RateLimits::off(), |limits, action| {
            limits.client(action, only(1)).account(action, only(1)).account_from_client(action, only(1))
        });
        let app = app(&db, limits, |layer| layer).await;
        // Changing a password counts as a login, so that is somebody else's.
        app.user("joe@example.com").await;
        let jane = app.auth.find_user_by_email("jane@example.com").await.unwrap().unwrap().id;
        let session = authfort_axum::testing::bearer(&app.auth.create_session(jane).await.unwrap());
        let new = |email: &str, password: &str| json!({"email": email, "password": password});
        let change = |new: &str| json!({"current_password": PASSWORD, "new_password": new});
        let routes = [
            ("/auth/login", vec![json!({"email": "joe@example.com"})], new("joe@example.com", PASSWORD), 200),
            (
                "/auth/signup",
                vec![new("ann", PASSWORD), new("ann@example.com", "short"), {
                    let mut body = new("ann@example.com", PASSWORD);
                    body["phone"] = json!("none");
                    body
                }],
                new("ann@example.com", PASSWORD),
                201,
            ),
            ("/auth/refresh", vec![json!({"refresh_token": 1})], json!({"refresh_token": "afr_x"}), 401),
            ("/auth/request-password-reset", vec![json!({"email": 1})], json!({"email": "nobody@example.com"}), 202),
            (
                "/auth/reset-password",
                vec![json!({"token": "x", "new_password": "short"})],
                json!({"token": "x", "new_password": PASSWORD}),
                422,
            ),
            ("/auth/change-password", vec![change("short"), change(&"x".repeat(2_000))], change("a new password"), 204),
        ];
        for (client, (path, refused, accepted, status)) in routes.into_iter().enumerate() {
            let client = format!("198.51.100.{client}");
            let call = || {
                let call = app.post(path).from(&client);
                if path == "/auth/change-password" { call.header("authorization", &session) } else { call }
            };
            for _ in 0..3 {
                call().header("content-type", "application/json").body("{").send().await.refused(400, "invalid_request");
                call().json(&json!([])).send().await.refused(422, "validation_failed");
                call().json(&json!({"x": 1})).send().await.refused(422, "validation_failed");
                call().body("x").header("content-type", "text/plain").send().await.refused(415, "unsupported_media_type");
                let large = " ".repeat(70_000);
                call().header("content-type", "application/json").body(large).send().await.refused(413, "payload_too_large");
                for body in &refused {
                    call().json(body).send().await.refused(422, "validation_failed");
                }
            }
            // The only attempt is there still, and then it is gone.
            let answer = call().json(&accepted).send().await;
            assert_eq!(answer.status, status, "{path} {}", answer.text);
            if path != "/auth/change-password" {
                limited(&call().json(&accepted).send().await);
            }
        }
    }

    async fn what_cannot_be_read_takes_no_attempt(db: TestDatabase) {
        let app = app(&db, RateLimits::off().client(Action::Login, only(1)), |layer| layer).await;
        for _ in 0..5 {
            app.post("/auth/login")
                .json(&json!({"email": "jane@example.com"}))
                .send()
                .await
                .refused(422, "validation_failed");
        }
        app.login("jane@example.com").await;
    }
}
