//! One's own account: password, address, sessions; introspection.

use authfort::events::{EmailVerificationRequested, PasswordResetRequested};
use authfort::secrecy::ExposeSecret;
use authfort_axum::{Action, Rate, RateLimits};
use authfort_testkit::{TestDatabase, both_engines};
use serde_json::{Value, json};

use crate::support::{App, PASSWORD, user_json};

both_engines! {
    async fn changing_the_password_needs_the_current_one_and_ends_the_other_sessions(db: TestDatabase) {
        let app = App::new(&db).await;
        let jane = app.user("jane@example.com").await;
        let (here, there) = (app.login("jane@example.com").await, app.login("jane@example.com").await);
        let change = |current: &str, new: &str| {
            let token = here["tokens"]["access_token"].as_str().unwrap();
            let body = json!({"current_password": current, "new_password": new});
            app.post("/auth/change-password").bearer(token).json(&body).send()
        };
        let before = app.event_count().await;
        change("wrong", "a new password").await.refused(401, "invalid_credentials");
        let short = change(PASSWORD, "short").await;
        short.refused(422, "validation_failed");
        assert_eq!(short.json()["fields"][0]["field"], "new_password");
        let quiet = app.event_types(before).await;
        assert!(!quiet.iter().any(|name| name == "password_changed"), "{quiet:?}");

        change(PASSWORD, "a new password").await.is_empty(204);
        assert!(app.events(before).await.contains(&json!(["password_changed", jane.id, jane.id, {}])));
        let refresh = |session: &Value| {
            app.post("/auth/refresh").json(&json!({"refresh_token": session["tokens"]["refresh_token"]})).send()
        };
        refresh(&there).await.refused(401, "refresh_token_invalid");
        assert_eq!(refresh(&here).await.status, 200, "this session lives on");
        app.post("/auth/login")
            .json(&json!({"email": "jane@example.com", "password": PASSWORD}))
            .send()
            .await
            .refused(401, "invalid_credentials");
    }

    /// The answers say nothing, and the tokens come by hooks.
    async fn a_password_is_reset_and_an_address_verified_by_tokens_that_leave_by_event_alone(db: TestDatabase) {
        let app = App::new(&db).await;
        let (sender, mut mails) = tokio::sync::mpsc::unbounded_channel();
        let reset = sender.clone();
        app.auth.on(move |e: PasswordResetRequested| {
            let sender = reset.clone();
            async move { sender.send((e.email, e.token.unwrap().expose_secret().to_owned())).unwrap() }
        });
        app.auth.on(move |e: EmailVerificationRequested| {
            let sender = sender.clone();
            async move { sender.send((e.email, e.token.unwrap().expose_secret().to_owned())).unwrap() }
        });
        let jane = app.user("jane@example.com").await;
        let ask = async |email: &str| {
            app.post("/auth/request-password-reset").json(&json!({"email": email})).send().await.is_empty(202);
        };
        for email in ["nobody@example.com", "no address", "", "JANE@example.com"] {
            ask(email).await;
        }
        let (to, token) = mails.recv().await.unwrap();
        assert_eq!(to, "jane@example.com");
        let redeem = |token: &str, password: &str| {
            app.post("/auth/reset-password").json(&json!({"token": token, "new_password": password})).send()
        };
        let short = redeem(&token, "short").await;
        short.refused(422, "validation_failed");
        assert_eq!(short.json()["fields"][0]["field"], "new_password");
        redeem("afv_wrong", "a new password").await.refused(422, "validation_failed");
        redeem(&token, "a new password").await.is_empty(204);
        redeem(&token, "another password").await.refused(422, "validation_failed");
        let login = json!({"email": "jane@example.com", "password": "a new password"});
        let session = app.post("/auth/login").json(&login).send().await.json();
        let access = session["tokens"]["access_token"].as_str().unwrap().to_owned();

        app.post("/auth/request-email-verification").send().await.refused(401, "token_missing");
        // The reset proved the address: there is nothing to verify.
        app.post("/auth/request-email-verification").bearer(&access).send().await.is_empty(202);
        app.auth.update_user(jane.id).email_verified(false).await.unwrap();
        app.post("/auth/request-email-verification").bearer(&access).send().await.is_empty(202);
        let (to, token) = mails.recv().await.unwrap();
        assert_eq!(to, "jane@example.com");
        let verified = app.post("/auth/verify-email").bearer(&access).json(&json!({"token": token})).send().await;
        assert_eq!((verified.status, &verified.json()["email_verified"]), (200, &json!(true)));
        // No log shows a token.
        let log = format!("{:?}", app.auth.list_events().limit(200).await.unwrap());
        assert!(!log.contains("afv_") && !log.contains(&token), "{log}");
    }

    async fn asking_for_mail_is_limited_per_client_and_per_account(db: TestDatabase) {
        let limits = RateLimits::off()
            .client(Action::Mail, Rate::per_hour(5))
            .account(Action::Mail, Rate::per_hour(2));
        let app = App::with(&db, |options| options, |layer| layer.rate_limits(limits)).await;
        let ask = async |email: &str| {
            app.post("/auth/request-password-reset").json(&json!({"email": email})).send().await.status
        };
        // Whether or not there is such a user.
        let answers = [ask("a@example.com").await, ask("A@example.com").await, ask("a@example.com").await];
        assert_eq!(answers, [202, 202, 429]);
        assert_eq!([ask("b@example.com").await, ask("c@example.com").await, ask("d@example.com").await], [202, 202, 429]);
        // What is refused for its body takes nothing, and what cannot be read is no attempt.
        let broken = app.post("/auth/request-password-reset").json(&json!({"mail": "e@example.com"})).send().await;
        assert_eq!(broken.status, 422);
    }

    async fn a_user_lists_and_ends_their_own_sessions_and_nobody_elses(db: TestDatabase) {
        let app = App::new(&db).await;
        app.user("jane@example.com").await;
        app.user("john@example.com").await;
        let login = async |email: &str| {
            let body = json!({"email": email, "password": PASSWORD});
            let session = app.post("/auth/login").json(&body).send().await.json();
            let id = session["user"]["session_id"].as_str().unwrap().to_owned();
            (id, session["tokens"]["access_token"].as_str().unwrap().to_owned())
        };
        let (first, _) = login("jane@example.com").await;
        let (here, access) = login("jane@example.com").await;
        let (johns, _) = login("john@example.com").await;
        app.get("/auth/sessions").send().await.refused(401, "token_missing");
        let page = app.get("/auth/sessions").bearer(&access).send().await.json();
        let ids: Vec<_> = page["sessions"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
        assert_eq!(ids, [here.as_str(), first.as_str()]);
        let end = |id: &str| app.call("DELETE", &format!("/auth/sessions/{id}")).bearer(&access).send();
        end(&johns).await.refused(404, "session_not_found");
        end("x").await.refused(400, "invalid_request");
        end(&first).await.is(200, &json!({"revoked": 1}));
        end(&first).await.is(200, &json!({"revoked": 0}));
        let active = app.get("/auth/sessions?active_only=true&limit=1").bearer(&access).send().await.json();
        assert_eq!((active["sessions"][0]["id"].as_str(), &active["next_cursor"]), (Some(here.as_str()), &Value::Null));
        end(&here).await.is(200, &json!({"revoked": 1}));
        app.get("/auth/me").bearer(&access).send().await.refused(401, "session_revoked");
    }

    async fn who_verifies_an_address_in_their_session_keeps_session_and_password(db: TestDatabase) {
        let app = App::new(&db).await;
        app.user("jane@example.com").await;
        let body = json!({"email": "jane@example.com", "password": PASSWORD});
        let session = app.post("/auth/login").json(&body).send().await.json();
        let access = session["tokens"]["access_token"].as_str().unwrap().to_owned();
        for token in [access.as_str(), "not a token"] {
            app.auth.update_user(session["user"]["id"].as_str().unwrap().parse().unwrap()).email_verified(false).await.unwrap();
            let issued = app.auth.request_email_verification("jane@example.com").await.unwrap().unwrap();
            let redeem = app.post("/auth/verify-email").json(&json!({"token": issued.token.expose_secret()}));
            assert_eq!(redeem.bearer(token).send().await.status, 200);
            let keeps = token == access;
            assert_eq!(app.post("/auth/login").json(&body).send().await.status == 200, keeps);
            let me = app.get("/auth/me").bearer(&access).send().await;
            assert_eq!(me.status == 200, keeps);
        }
    }

    async fn an_address_is_verified_by_its_token_once(db: TestDatabase) {
        let app = App::new(&db).await;
        let jane = app.user("jane@example.com").await;
        let issued = app.auth.request_email_verification("jane@example.com").await.unwrap().unwrap();
        let before = app.event_count().await;
        let body = json!({"token": issued.token.expose_secret()});
        let verified = user_json(jane.id, "jane@example.com", json!({"email_verified": true}));
        app.post("/auth/verify-email").json(&body).send().await.is(200, &verified);
        // By nobody who is in one of the user's sessions: the password may be of somebody else.
        assert_eq!(
            app.events(before).await,
            [
                json!(["email_verified", jane.id, null, {"email": "jane@example.com"}]),
                json!(["user_updated", jane.id, null, {"fields": ["password"]}]),
            ]
        );
        let again = app.post("/auth/verify-email").json(&body).send().await;
        again.refused(422, "validation_failed");
        assert_eq!(
            again.json()["fields"],
            json!([
                {"field": "token", "code": "invalid", "message": "is unknown, expired or used"},
            ])
        );
        app.post("/auth/verify-email").json(&json!({"token": "x"})).send().await.refused(422, "validation_failed");
    }

    async fn defect_02_introspection_and_guard_agree_also_after_a_refresh(db: TestDatabase) {
        let app = App::with(&db, |options| options, |layer| layer.introspection_secret("s3cret")).await;
        let jane = app.user("jane@example.com").await;
        let first = app.login("jane@example.com").await;
        let body = json!({"refresh_token": first["tokens"]["refresh_token"]});
        let second = app.post("/auth/refresh").json(&body).send().await.json();
        let tokens = [first, second].map(|body| body["tokens"]["access_token"].as_str().unwrap().to_owned());
        let introspect = async |token: &str| {
            let answer = app.post("/auth/introspect").bearer("s3cret").json(&json!({"token": token})).send().await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            answer.json()
        };
        for token in &tokens {
            assert_eq!(app.get("/profile").bearer(token).send().await.status, 200);
            let now = app.clock.now().timestamp();
            assert_eq!(
                introspect(token).await,
                json!({
                    "active": true, "sub": jane.id, "email": "jane@example.com", "name": null, "roles": [],
                    "token_version": 0, "exp": now + 900, "iat": now, "iss": "authfort",
                })
            );
        }
        app.auth.ban_user(jane.id).await.unwrap();
        for token in tokens.iter().map(String::as_str).chain(["", "garbage"]) {
            assert_ne!(app.get("/profile").bearer(token).send().await.status, 200);
            assert_eq!(introspect(token).await, json!({"active": false}));
        }
    }

    async fn introspection_takes_a_form_as_well(db: TestDatabase) {
        let app = App::with(&db, |options| options, |layer| layer.introspection_secret("s3cret")).await;
        let caller = app.nobody().await;
        let form = |body: String| {
            let call = app.post("/auth/introspect").bearer("s3cret");
            call.header("content-type", "application/x-www-form-urlencoded; charset=utf-8").body(body).send()
        };
        let answer = form(format!("token={}&token_type_hint=access_token", caller.token)).await;
        assert_eq!(answer.json()["active"], true);
        form("token_type_hint=access_token".into()).await.refused(422, "validation_failed");
        form("token=a&token=b".into()).await.refused(400, "invalid_request");
        let extended = form(format!("client_id=x&token={}&client_secret=y&client_id=x", caller.token)).await;
        assert_eq!(extended.json()["active"], true, "what is not known is ignored");
        form("token=%FF".into()).await.refused(400, "invalid_request");
        form("x".repeat(100_000)).await.refused(413, "payload_too_large");
    }

    async fn introspection_needs_the_secret_and_an_empty_one_is_none(db: TestDatabase) {
        let app = App::with(&db, |options| options, |layer| layer.introspection_secret("s3cret")).await;
        let caller = app.admin().await;
        let body = json!({"token": caller.token});
        for header in ["Bearer wrong", "Bearer s3cre", "Bearer s3cret2", "Bearer ", "Bearer", "Basic s3cret"] {
            // Before the body, which is none.
            let answer = app.post("/auth/introspect").header("authorization", header).body("[").send().await;
            answer.refused(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{header}");
        }
        app.post("/auth/introspect").json(&body).send().await.refused(401, "unauthorized");
        app.post("/auth/introspect").by(&caller).json(&body).send().await.refused(401, "unauthorized");
        let twice = app.post("/auth/introspect").bearer("s3cret").bearer("s3cret").json(&body).send().await;
        twice.refused(401, "unauthorized");

        for app in
            [App::new(&db).await, App::with(&db, |options| options, |layer| layer.introspection_secret("")).await]
        {
            for header in ["Bearer ", "Bearer", "Bearer s3cret"] {
                let answer = app.post("/auth/introspect").header("authorization", header).json(&body).send().await;
                answer.refused(401, "unauthorized");
            }
        }
    }
}
