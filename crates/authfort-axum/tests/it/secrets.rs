//! What must be in no log, event or answer.

use authfort_axum::CookieOptions;
use authfort_testkit::{TestDatabase, both_engines};
use serde_json::{Value, json};

use crate::support::App;
use crate::trace::Capture;

both_engines! {
    async fn a_whole_run_logs_no_secret_at_any_level(db: TestDatabase) {
        const PLANTED: [&str; 6] = [
            "planted-password-1",
            "planted-password-2",
            "planted-password-3",
            "planted-introspection-secret",
            "planted-wrapping-secret-of-the-keys",
            "planted-wrong-password",
        ];
        let [first, second, third, introspection, wrapping, wrong] = PLANTED;
        let capture = Capture::start();
        tracing::trace!("the lowest level is heard");
        let mut secrets: Vec<String> = PLANTED.iter().map(ToString::to_string).collect();

        let app = App::with(
            &db,
            |options| options.secret(wrapping),
            |layer| layer.cookies(CookieOptions::default()).unwrap().introspection_secret(introspection),
        )
        .await;
        let admin = app.admin().await;
        secrets.extend([admin.token.clone(), admin.refresh.clone()]);
        let mut keep = |body: &Value| {
            for name in ["access_token", "refresh_token"] {
                secrets.push(body["tokens"][name].as_str().unwrap().to_owned());
            }
        };

        let body = json!({"email": "jane@example.com", "password": first});
        let signed_up = app.post("/auth/signup").json(&body).send().await.json();
        keep(&signed_up);
        let id = signed_up["user"]["id"].as_str().unwrap().to_owned();
        let access = signed_up["tokens"]["access_token"].as_str().unwrap();
        let bad = json!({"email": "jane@example.com", "password": wrong});
        app.post("/auth/login").json(&bad).send().await.refused(401, "invalid_credentials");
        // Secrets where they do not belong.
        app.post("/auth/login")
            .json(&json!({"email": "jane@example.com", "pasword": wrong}))
            .send()
            .await
            .refused(422, "validation_failed");
        app.post("/auth/login")
            .json(&json!({"email": "jane@example.com", "password": [wrong]}))
            .send()
            .await
            .refused(422, "validation_failed");
        app.post("/auth/login")
            .header("content-type", "application/json")
            .body(format!("{{\"password\": \"{wrong}\""))
            .send()
            .await
            .refused(400, "invalid_request");
        app.get(&format!("/auth/me?token={wrong}")).by(&admin).send().await.refused(422, "validation_failed");
        app.get("/profile").bearer(wrong).send().await.refused(401, "token_invalid");

        let cookie = format!(
            "__Host-access_token={access}; __Host-refresh_token={}",
            signed_up["tokens"]["refresh_token"].as_str().unwrap()
        );
        assert_eq!(app.get("/profile").header("cookie", &cookie).send().await.status, 200);
        let change = json!({"current_password": first, "new_password": second});
        app.post("/auth/change-password").bearer(access).json(&change).send().await.is_empty(204);
        let refreshed = app.post("/auth/refresh").header("cookie", &cookie).send().await.json();
        keep(&refreshed);
        let introspected =
            app.post("/auth/introspect").bearer(introspection).json(&json!({"token": access})).send().await;
        assert_eq!(introspected.status, 200);
        let path = format!("/admin/users/{id}");
        let put = app.call("PUT", &format!("{path}/password")).by(&admin).json(&json!({"password": third}));
        put.send().await.is_empty(204);
        app.post("/admin/keys/rotate").by(&admin).send().await;
        let body = json!({"email": "jane@example.com", "password": third});
        keep(&app.post("/auth/login").json(&body).send().await.json());
        assert_eq!(app.post(&format!("{path}/ban")).by(&admin).send().await.status, 200);
        assert_eq!(app.call("DELETE", &path).by(&admin).send().await.status, 200);
        app.post("/auth/logout")
            .header("cookie", format!("__Host-refresh_token={}", admin.refresh))
            .send()
            .await
            .is_empty(204);

        let log = capture.text();
        assert!(log.contains("the lowest level is heard") && log.contains("INSERT INTO authfort_users"), "{log}");
        drop(capture);
        let events = json!(app.events(0).await).to_string();
        let keys = app.get("/.well-known/jwks.json").send().await.text;
        for secret in secrets {
            // The signature of a token is the secret part of it.
            let part = secret.rsplit('.').next().unwrap();
            for (place, text) in [("log", &log), ("events", &events), ("keys", &keys)] {
                assert!(!text.contains(part), "{secret} is in the {place}");
            }
        }
        for shape in ["$argon2", "PRIVATE KEY", "\"d\":"] {
            assert!(!log.contains(shape) && !events.contains(shape) && !keys.contains(shape), "{shape}");
        }
    }

    async fn no_answer_shows_a_hash_or_a_key(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        app.login("jane@example.com").await;
        let mut shown = String::new();
        for path in ["/admin/users", "/admin/events?limit=200", "/admin/keys", "/auth/me", "/.well-known/jwks.json"] {
            shown.push_str(&app.get(path).by(&admin).send().await.text);
        }
        for path in ["", "/roles", "/sessions", "/accounts"] {
            shown.push_str(&app.get(&format!("/admin/users/{}{path}", jane.id)).by(&admin).send().await.text);
        }
        assert!(shown.contains("jane@example.com"));
        for secret in ["$argon2", "password_hash", "token_version", "token_hash", "private_key", "\"d\""] {
            assert!(!shown.contains(secret), "{secret}");
        }
    }

    async fn the_public_types_show_no_secret(db: TestDatabase) {
        let app = App::with(
            &db,
            |options| options.secret("planted-wrapping-secret-of-the-keys"),
            |layer| layer.introspection_secret("planted-secret"),
        )
        .await;
        let signed_in = authfort_axum::testing::signed_in(&app.auth, ["admin"]).await.unwrap();
        let shown = format!("{:?} {:?} {:?}", app.layer, app.auth, signed_in);
        assert!(!shown.contains("planted") && !shown.contains("afr_") && !shown.contains("eyJ"), "{shown}");
    }
}
