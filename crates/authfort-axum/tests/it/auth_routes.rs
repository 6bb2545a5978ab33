//! Signing up, in and out, and refreshing.

use authfort_testkit::{TestDatabase, both_engines};
use serde_json::{Value, json};

use crate::support::{Answer, App, Call, Caller, NOW, PASSWORD, PEER, over, user_json};

/// The answer to a sign-up, login or refresh: its tokens are taken out and checked for their shape, the rest is
/// compared.
#[track_caller]
fn signed_in(answer: &Answer, status: u16, user: Value) -> (String, String) {
    let mut body = answer.json();
    let take = |body: &mut Value, member: &str| body["tokens"][member].take().as_str().unwrap().to_owned();
    let (access, refresh) = (take(&mut body, "access_token"), take(&mut body, "refresh_token"));
    assert_eq!(access.split('.').count(), 3);
    assert!(refresh.starts_with("afr_"), "{refresh}");
    let session = body["user"]["session_id"].take();
    assert_eq!(session.as_str().unwrap().len(), 36);
    assert_eq!(answer.status, status);
    let mine = json!({"session_id": null, "mfa_enabled": false});
    let tokens = json!({"access_token": null, "refresh_token": null, "expires_in": 900});
    assert_eq!(body, json!({"user": over(user, mine), "tokens": tokens}));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.cookies().is_empty(), "without cookie mode there are no cookies");
    (access, refresh)
}

async fn exchange(app: &App, caller: &Caller) -> Answer {
    app.post("/auth/refresh").json(&json!({"refresh_token": caller.refresh})).send().await
}

async fn raw(address: std::net::SocketAddr, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

both_engines! {
    async fn signing_up_creates_a_user_and_signs_them_in(db: TestDatabase) {
        let app = App::new(&db).await;
        let body = json!({
            "email": " Jane@Example.com", "password": PASSWORD, "name": " Jane ",
            "avatar_url": "https://example.com/jane.png", "phone": "+41 44 668 18 00",
        });
        let answer = app.post("/auth/signup").header("user-agent", "curl/8").json(&body).send().await;
        let id = answer.json()["user"]["id"].clone();
        let user = user_json(
            "",
            "jane@example.com",
            json!({
                "id": id, "name": "Jane", "avatar_url": "https://example.com/jane.png", "phone": "+41 44 668 18 00",
                "last_login_at": NOW,
            }),
        );
        let (access, _) = signed_in(&answer, 201, user);
        assert_eq!(app.get("/profile").bearer(&access).send().await.text, "jane@example.com");
        assert_eq!(
            app.events(1).await,
            [
                json!(["user_created", id, null, {"email": "jane@example.com", "name": "Jane", "provider": "email"}]),
                json!(["login", id, null, {
                    "email": "jane@example.com", "provider": "email", "ip_address": PEER, "user_agent": "curl/8",
                }]),
            ]
        );

        let again =
            app.post("/auth/signup").json(&json!({"email": "JANE@example.com", "password": PASSWORD})).send().await;
        again.refused(409, "user_exists");
        assert_eq!(app.event_count().await, 3);
    }

    async fn defect_11_of_eight_who_sign_up_with_one_address_at_once_one_succeeds(db: TestDatabase) {
        let app = App::new(&db).await;
        let attempts = (0..8).map(|n| {
            let email = if n % 2 == 0 { "jane@example.com" } else { "JANE@example.com" };
            let call = app.post("/auth/signup").json(&json!({"email": email, "password": PASSWORD}));
            tokio::spawn(call.send())
        });
        let mut answers = Vec::new();
        for attempt in attempts.collect::<Vec<_>>() {
            let answer = attempt.await.unwrap();
            answers.push((answer.status, answer.json()["error"].as_str().map(ToOwned::to_owned)));
        }
        answers.sort();
        let mut expected = vec![(409, Some("user_exists".to_owned())); 8];
        expected[0] = (201, None);
        assert_eq!(answers, expected);
        assert_eq!(app.event_types(1).await, ["user_created", "login"]);
    }

    async fn a_client_describes_itself_as_it_likes_and_stays_on_one_line(db: TestDatabase) {
        let app = App::new(&db).await;
        app.user("jane@example.com").await;
        let body = json!({"email": "jane@example.com", "password": PASSWORD});
        for (agent, kept) in [
            (b"tab\there".to_vec(), "tabhere".to_owned()),
            (b"\xff\xfe latin".to_vec(), "\u{fffd}\u{fffd} latin".to_owned()),
            ("\u{85}next line".into(), "next line".to_owned()),
            ("é".repeat(600).into(), "é".repeat(512)),
        ] {
            let answer = app.post("/auth/login").header("user-agent", agent).json(&body).send().await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(app.events(0).await.last().unwrap()[3]["user_agent"], json!(kept));
        }
    }

    async fn signing_up_can_be_switched_off(db: TestDatabase) {
        let app = App::with(&db, |options| options.signup(false), |layer| layer).await;
        let body = json!({"email": "jane@example.com", "password": PASSWORD});
        app.post("/auth/signup").json(&body).send().await.refused(403, "signup_disabled");
        assert_eq!(app.auth.get_user_count().await.unwrap(), 0);
    }

    async fn all_faults_of_a_sign_up_are_named_at_once(db: TestDatabase) {
        let app = App::new(&db).await;
        let body = json!({"email": "jane", "password": "short", "phone": "none", "avatar_url": "javascript:alert(1)"});
        let answer = app.post("/auth/signup").json(&body).send().await;
        answer.refused(422, "validation_failed");
        let fields = answer.json()["fields"].clone();
        let named: Vec<&str> =
            fields.as_array().unwrap().iter().map(|fault| fault["field"].as_str().unwrap()).collect();
        assert_eq!(named.len(), 4, "{fields}");
        for field in ["email", "password", "phone", "avatar_url"] {
            assert!(named.contains(&field), "{field} in {fields}");
        }
        assert!(fields.as_array().unwrap().iter().all(|fault| fault.as_object().unwrap().len() == 3), "{fields}");
    }

    async fn a_login_has_one_answer_for_every_reason_it_fails(db: TestDatabase) {
        let app = App::new(&db).await;
        let jane = app.user("jane@example.com").await;
        let banned = app.user("banned@example.com").await;
        app.auth.ban_user(banned.id).await.unwrap();
        let deleted = app.user("deleted@example.com").await;
        app.auth.delete_user(deleted.id).anonymize().await.unwrap();
        app.auth.create_user("passwordless@example.com").await.unwrap();

        let before = app.event_count().await;
        let mut answers = Vec::new();
        for (email, password) in [
            ("jane@example.com", "wrong"),
            ("nobody@example.com", PASSWORD),
            ("banned@example.com", "wrong"),
            ("deleted@example.com", PASSWORD),
            ("passwordless@example.com", PASSWORD),
            ("no address", PASSWORD),
            ("", ""),
        ] {
            let body = json!({"email": email, "password": password});
            let mut answer = app.post("/auth/login").json(&body).send().await;
            answer.headers.remove("x-request-id");
            answers.push(format!("{answer:?}"));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:#?}");
        assert!(answers[0].contains("401") && answers[0].contains("invalid_credentials"), "{}", answers[0]);
        assert!(!answers[0].contains("www-authenticate"), "a bearer token would not help: {}", answers[0]);
        let details: Vec<Value> =
            app.events(before).await.into_iter().map(|event| event[3]["detail"].clone()).collect();
        let (unknown, wrong) = ("unknown_user", "wrong_password");
        assert_eq!(details, [wrong, unknown, wrong, unknown, "no_password", unknown, unknown]);
        assert_eq!(
            app.events(before).await[0],
            json!(["login_failed", jane.id, null, {
                "email": "jane@example.com", "reason": "invalid_credentials", "detail": "wrong_password",
                "ip_address": PEER, "user_agent": null,
            }])
        );
        // Who knows the password of a banned user hears of the ban.
        let body = json!({"email": "banned@example.com", "password": PASSWORD});
        app.post("/auth/login").json(&body).send().await.refused(403, "user_banned");
        let last = app.events(0).await.pop().unwrap();
        assert_eq!((&last[3]["reason"], &last[3]["detail"]), (&json!("user_banned"), &json!("banned")));
    }

    async fn a_login_answers_the_user_and_new_tokens(db: TestDatabase) {
        let app = App::new(&db).await;
        let jane = app.user("jane@example.com").await;
        let body = json!({"email": "JANE@example.com ", "password": PASSWORD});
        let answer = app.post("/auth/login").json(&body).send().await;
        let (access, _) =
            signed_in(&answer, 200, user_json(jane.id, "jane@example.com", json!({"last_login_at": NOW})));
        assert_eq!(app.get("/profile").bearer(&access).send().await.status, 200);
    }

    async fn a_refresh_answers_as_a_login_and_the_session_stays(db: TestDatabase) {
        let app = App::new(&db).await;
        let jane = app.user("jane@example.com").await;
        let first = app.login("jane@example.com").await;
        let before = app.event_count().await;
        let token = &first["tokens"]["refresh_token"];
        let answer = app.post("/auth/refresh").json(&json!({"refresh_token": token})).send().await;
        assert_eq!(answer.json()["user"]["session_id"], first["user"]["session_id"]);
        let (access, refresh) =
            signed_in(&answer, 200, user_json(jane.id, "jane@example.com", json!({"last_login_at": NOW})));
        assert_ne!(token, &json!(refresh));
        assert_eq!(app.get("/profile").bearer(&access).send().await.status, 200);
        let refreshed = json!(["token_refreshed", jane.id, null, {"ip_address": PEER, "user_agent": null}]);
        assert_eq!(app.events(before).await, [refreshed]);
    }

    async fn a_refresh_token_that_comes_back_ends_its_session(db: TestDatabase) {
        let app = App::with(&db, |options| options.refresh_grace(std::time::Duration::ZERO), |layer| layer).await;
        app.user("jane@example.com").await;
        let first = app.login("jane@example.com").await;
        let refresh = |token: Value| app.post("/auth/refresh").json(&json!({"refresh_token": token})).send();
        let child = refresh(first["tokens"]["refresh_token"].clone()).await.json();
        let before = app.event_count().await;
        refresh(first["tokens"]["refresh_token"].clone()).await.refused(401, "refresh_token_reused");
        refresh(child["tokens"]["refresh_token"].clone()).await.refused(401, "refresh_token_invalid");
        let access = child["tokens"]["access_token"].as_str().unwrap();
        app.get("/profile").bearer(access).send().await.refused(401, "session_revoked");
        assert_eq!(app.event_types(before).await, ["session_revoked"]);
    }

    async fn a_refresh_without_a_token_and_with_a_wrong_one_are_told_apart(db: TestDatabase) {
        let app = App::new(&db).await;
        app.post("/auth/refresh").send().await.refused(401, "refresh_token_missing");
        app.post("/auth/refresh").json(&json!({})).send().await.refused(401, "refresh_token_missing");
        app.post("/auth/refresh")
            .json(&json!({"refresh_token": null}))
            .send()
            .await
            .refused(401, "refresh_token_missing");
        let wrong = app.post("/auth/refresh").json(&json!({"refresh_token": "afr_x"})).send().await;
        wrong.refused(401, "refresh_token_invalid");
        assert_eq!(wrong.header("www-authenticate"), None);
    }

    async fn logging_out_answers_204_whether_or_not_there_was_a_session(db: TestDatabase) {
        let app = App::new(&db).await;
        let jane = app.user("jane@example.com").await;
        let session = app.login("jane@example.com").await;
        let before = app.event_count().await;
        let body = json!({"refresh_token": session["tokens"]["refresh_token"]});
        app.post("/auth/logout").json(&body).send().await.is_empty(204);
        app.post("/auth/logout").json(&body).send().await.is_empty(204);
        app.post("/auth/logout").json(&json!({"refresh_token": "garbage"})).send().await.is_empty(204);
        app.post("/auth/logout").send().await.is_empty(204);
        assert_eq!(app.events(before).await, [json!(["logout", jane.id, null, {}])]);
        let access = session["tokens"]["access_token"].as_str().unwrap();
        app.get("/auth/me").bearer(access).send().await.refused(401, "session_revoked");
    }

    async fn logging_out_needs_one_token_of_any_kind(db: TestDatabase) {
        let app = App::with_cookies(&db).await;
        let ends = async |how: &dyn Fn(&Caller) -> Call| {
            let caller = app.nobody().await;
            let before = app.event_count().await;
            how(&caller).send().await.is_empty(204);
            let ended = app.get("/profile").by(&caller).send().await;
            if ended.status == 200 {
                assert_eq!(app.event_count().await, before);
                return false;
            }
            ended.refused(401, "session_revoked");
            assert_eq!(app.events(before).await, [json!(["logout", caller.id, null, {}])]);
            true
        };
        let out = || app.post("/auth/logout");
        let refresh = |token: &str| format!("__Host-refresh_token={token}");
        let access = |token: &str| format!("__Host-access_token={token}");
        assert!(ends(&|c| out().json(&json!({"refresh_token": c.refresh}))).await);
        assert!(ends(&|c| out().header("cookie", refresh(&c.refresh))).await);
        assert!(ends(&|c| out().header("cookie", access(&c.token))).await);
        assert!(ends(&|c| out().by(c)).await);
        // Any of several that is good.
        assert!(ends(&|c| out().header("cookie", refresh("x")).header("cookie", refresh(&c.refresh))).await);
        assert!(ends(&|c| out().header("cookie", refresh("x")).header("cookie", access(&c.token))).await);
        assert!(ends(&|c| out().header("cookie", access("x")).header("cookie", access(&c.token))).await);
        assert!(ends(&|c| out().header("cookie", refresh("x")).header("cookie", access("\u{e9}")).by(c)).await);
        // The body says which session is meant.
        assert!(!ends(&|c| out().json(&json!({"refresh_token": "x"})).by(c)).await);
        // What is no token ends nothing.
        assert!(!ends(&|c| out().bearer(&format!("{}x", c.token))).await);
        assert!(!ends(&|c| out().bearer("x").by(c)).await);
        assert!(!ends(&|_| out()).await);

        // Whatever became of the user, as long as the token is one of ours.
        let caller = app.nobody().await;
        app.auth.add_role(caller.id, "editor").await.unwrap();
        app.get("/profile").by(&caller).send().await.refused(401, "token_version_mismatch");
        out().by(&caller).send().await.is_empty(204);
        exchange(&app, &caller).await.refused(401, "refresh_token_invalid");
        let caller = app.nobody().await;
        app.clock.advance(chrono::TimeDelta::hours(1));
        out().by(&caller).send().await.is_empty(204);
        assert_eq!(exchange(&app, &caller).await.status, 200, "an expired token ends nothing");
    }

    async fn a_bearer_token_may_follow_any_number_of_spaces(db: TestDatabase) {
        let app = App::with(&db, |builder| builder, |layer| layer.introspection_secret("s3cret")).await;
        let caller = app.nobody().await;
        let address = app.serve().await;
        for (before, after) in [(" ", ""), ("  ", ""), ("     ", ""), (" ", " "), ("  ", " \t "), (" ", "\t")] {
            let value = |token: &str| format!(" \t bEaReR{before}{token}{after}");
            let profile = app.get("/profile").header("authorization", value(&caller.token)).send().await;
            assert_eq!(profile.text, caller.email);
            let token = json!({"token": caller.token});
            let introspect = app.post("/auth/introspect").header("authorization", value("s3cret")).json(&token);
            assert_eq!(introspect.send().await.json()["active"], true);
            let request = format!(
                "GET /profile HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization:{}\r\n\r\n",
                value(&caller.token)
            );
            let answer = raw(address, &request).await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&caller.email), "{answer}");
        }
        for value in ["Bearer", "Bearer ", "Bearer   \t", &format!("Bearer {0} {0}", caller.token)] {
            app.get("/profile").header("authorization", value).send().await.refused(401, "token_invalid");
            let introspect = app.post("/auth/introspect").header("authorization", value);
            introspect.json(&json!({"token": "x"})).send().await.refused(401, "unauthorized");
        }
    }

    async fn me_is_the_user_with_session_and_second_factor(db: TestDatabase) {
        let app = App::new(&db).await;
        let caller = app.nobody().await;
        let me = user_json(
            caller.id,
            &caller.email,
            json!({
                "last_login_at": NOW, "session_id": caller.session, "mfa_enabled": false,
            }),
        );
        app.get("/auth/me").by(&caller).send().await.is(200, &me);
        let nobody = app.get("/auth/me").send().await;
        nobody.refused(401, "token_missing");
        assert_eq!(nobody.header("www-authenticate"), Some("Bearer"));
    }
}
