//! Bad queries, paths and addresses.

use authfort_testkit::{TestDatabase, both_engines};
use serde_json::{Value, json};

use crate::bad_input::*;
use crate::support::{App, PASSWORD, UNKNOWN_ID};

both_engines! {
    async fn a_parameter_is_what_it_must_be_or_refused(db: TestDatabase) {
        let (app, admin, id, raw, before) = set_up(&db).await;
        let (bad, out) = ((400, "invalid_request"), (422, "validation_failed"));
        let cases = [
            ("limit=-1", out),
            ("limit=0", out),
            ("limit=201", out),
            ("limit=1000000000", out),
            ("limit=9223372036854775807", out),
            ("limit=9223372036854775808", out),
            ("limit=abc", bad),
            ("limit=", bad),
            ("limit=1.5", bad),
            ("limit=+5", bad),
            ("limit=0x10", bad),
            ("limit=5&limit=5", bad),
            ("limit=1e2", bad),
            ("offset=-1", out),
            ("offset=9223372036854775808", out),
            ("offset=abc", bad),
            ("offset=", bad),
            ("offset=1&offset=2", bad),
            ("offset=1&cursor=x", out),
            ("sort_by=", out),
            ("sort_by=id", out),
            ("sort_by=EMAIL", out),
            ("sort_by=email;drop", out),
            ("sort_by=email&sort_by=name", bad),
            ("sort_order=ASC", out),
            ("sort_order=up", out),
            ("sort_order=asc,desc", out),
            ("total=all", out),
            ("total=exact&total=none", bad),
            ("cursor=", bad),
            ("cursor=%C3%BC", bad),
            ("banned=1", bad),
            ("banned=TRUE", bad),
            ("banned=true&banned=false", bad),
            ("email_verified=yes", bad),
            ("deleted=maybe", out),
            ("deleted=only&deleted=only", bad),
            ("role=Admin", out),
            ("foo=", out),
            ("role=a%2Cb", out),
            ("role=a%0Ab", out),
            ("role=%D0%B0dmin", out),
            ("created_after=yesterday", bad),
            ("created_after=2030-01-01", bad),
            ("created_before=1893456000", bad),
            ("created_before=2030-01-01T00:00:00", bad),
            ("created_after=+99999-01-01T00:00:00Z", bad),
            ("signed_in=never", bad),
            ("last_login_after=yesterday", bad),
            ("last_login_after=2030-13-01", bad),
            ("last_login_before=2030-01-01T00:00:00Z", bad),
            ("last_login_before=%2B99999-01-01", bad),
            ("last_login_before=26-01-01", bad),
            ("last_login_before=2026-1-1", bad),
            ("last_login_before=%202026-01-01", bad),
            ("query=a&query=b", bad),
            ("query=%00", bad),
            ("query=a%00b", bad),
            ("query=%FF", bad),
            ("query=%C3", bad),
            ("query=%", bad),
            ("query=%zz", bad),
            ("query=%ED%A0%80", bad),
            ("query=a%1Bb", out),
            ("query=a%0Ab", out),
            ("q=a", out),
            ("Limit=5", out),
            ("limit[]=5", out),
            ("__proto__=1", out),
            ("%00=1", bad),
            ("access_token=x", out),
        ];
        for (query, (status, code)) in cases {
            let answer = app.get(&format!("/admin/users?{query}")).by(&admin).send().await;
            assert_eq!(answer.refusal(), (status, code.into()), "{query}");
        }
        let longest = app.get(&format!("/admin/users?query={}", "x".repeat(257))).by(&admin).send().await;
        longest.refused(422, "validation_failed");
        let last = app.get("/admin/users?offset=9223372036854775807").by(&admin).send().await;
        assert_eq!((last.status, &last.json()["users"]), (200, &json!([])));
        for query in ["limit=0", "limit=201", "limit=-1", "limit=9223372036854775808"] {
            app.get(&format!("/admin/events?{query}")).by(&admin).send().await.refused(422, "validation_failed");
        }
        for (method, path) in [
            ("GET", format!("/admin/users/{id}?deleted=only")),
            ("GET", format!("/admin/users/{id}/sessions?active_only=1")),
            ("DELETE", format!("/admin/users/{id}/sessions?except=me")),
            ("DELETE", format!("/admin/users/{id}?mode=anonymize&mode=delete")),
            ("PUT", format!("/admin/users/{id}/roles/editor?immediate=0")),
        ] {
            app.call(method, &path).by(&admin).send().await.refused(400, "invalid_request");
        }
        let unknown = app.call("DELETE", &format!("/admin/users/{id}?mode=soft")).by(&admin).send().await;
        unknown.refused(422, "validation_failed");
        assert_eq!(raw.dump().await, before);
    }

    async fn the_search_takes_every_character_literally(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        for name in ["100%", "a_b", "back\\slash", "O'Neil", "plain", "\"quoted\"", "Straße ÄÖ"] {
            let email = format!("u{}@example.com", name.len());
            app.auth
                .create_user(format!("{}{email}", name.chars().filter(char::is_ascii_alphanumeric).collect::<String>()))
                .name(name)
                .await
                .unwrap();
        }
        for (query, names) in [
            // One or two characters find what begins with them.
            ("%25", vec![]),
            ("_", vec![]),
            ("%5C", vec![]),
            ("'", vec![]),
            ("%22", vec!["\"quoted\""]),
            ("00%25", vec!["100%"]),
            ("o'n", vec!["O'Neil"]),
            ("%20äö", vec![]),
            ("e%20äö", vec!["Straße ÄÖ"]),
            ("st", vec!["Straße ÄÖ"]),
            ("STRASSE", vec![]),
            ("ck%5C", vec!["back\\slash"]),
            ("a_b", vec!["a_b"]),
            ("%25%25", vec![]),
            ("*", vec![]),
            ("AND", vec![]),
        ] {
            let query: String = query
                .chars()
                .map(|c| {
                    if c.is_ascii() {
                        c.to_string()
                    } else {
                        c.to_string().bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"))
                    }
                })
                .collect();
            let body = app.get(&format!("/admin/users?query={query}")).by(&admin).send().await.json();
            let found: Vec<&str> =
                body["users"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect();
            assert_eq!(found, names, "{query}");
        }
    }

    async fn a_path_that_names_nothing_is_refused(db: TestDatabase) {
        let (app, admin, id, raw, before) = set_up(&db).await;
        for segment in [
            "me",
            "1",
            "%00",
            "%FF",
            "%C3",
            "..%2F..%2Fetc",
            "'%20OR%201=1--",
            "%7B7*7%7D",
            &id.replace('-', ""),
            &format!("{id}%00"),
            &format!("%20{id}"),
            &"x".repeat(5_000),
        ] {
            for (method, path) in [
                ("GET", format!("/admin/users/{segment}")),
                ("DELETE", format!("/admin/users/{segment}")),
                ("GET", format!("/admin/users/{segment}/roles")),
                ("DELETE", format!("/admin/users/{id}/sessions/{segment}")),
                ("PUT", format!("/admin/users/{segment}/roles/editor")),
            ] {
                app.call(method, &path).by(&admin).send().await.refused(400, "invalid_request");
            }
        }
        for (segment, status) in
            [("%00", 400), ("%FF", 400), ("a%00", 400), ("a%2Fb", 422), ("A", 422), ("%0D%0Aa", 422)]
        {
            for path in [format!("/admin/users/{id}/roles/{segment}"), format!("/admin/users/{id}/accounts/{segment}")]
            {
                assert_eq!(app.call("DELETE", &path).by(&admin).send().await.refusal().0, status, "{path}");
            }
        }
        for path in ["", "/roles", "/sessions", "/accounts"] {
            app.get(&format!("/admin/users/{UNKNOWN_ID}{path}")).by(&admin).send().await.refused(404, "user_not_found");
        }
        assert_eq!(raw.dump().await, before);
    }

    async fn a_parameter_that_a_route_does_not_know_is_refused_by_every_route(db: TestDatabase) {
        let (app, admin, id, raw, before) = set_up(&db).await;
        let mut routes: Vec<(&str, String, Value)> =
            bodies(&id).into_iter().map(|(method, path, _, body)| (method, path, body)).collect();
        for (method, path) in [
            ("GET", "/auth/me"),
            ("GET", "/admin/keys"),
            ("POST", "/admin/keys/rotate"),
            ("GET", "/admin/events"),
            ("GET", "/admin/events/stream"),
            ("GET", "/admin/users"),
            ("GET", "/admin/users/count"),
        ] {
            routes.push((method, path.into(), Value::Null));
        }
        for (method, path) in [
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/unban"),
            ("GET", "/roles"),
            ("PUT", "/roles/editor"),
            ("DELETE", "/roles/editor"),
            ("GET", "/sessions"),
            ("DELETE", "/sessions"),
            ("GET", "/accounts"),
            ("DELETE", "/accounts/github"),
        ] {
            routes.push((method, format!("/admin/users/{id}{path}"), Value::Null));
        }
        routes.push(("DELETE", format!("/admin/users/{id}/sessions/{UNKNOWN_ID}"), Value::Null));
        for (method, path, body) in routes {
            let call = |query: &str| {
                let call = app.call(method, &format!("{path}?{query}")).by(&admin);
                if body.is_null() { call } else { call.json(&body) }
            };
            let answer = call("nonsense=1").send().await;
            assert_eq!(answer.refusal(), (422, "validation_failed".into()), "{method} {path}");
            assert_eq!(answer.json()["fields"][0]["field"], "nonsense");
            assert_eq!(call("a=%00").send().await.refusal(), (400, "invalid_request".into()), "{method} {path}");
        }
        assert_eq!(raw.dump().await, before);
    }

    async fn every_spelling_of_an_address_is_one_account(db: TestDatabase) {
        let (app, _, _, raw, before) = set_up(&db).await;
        for (email, expected) in [
            ("JANE@EXAMPLE.COM", (409, "user_exists")),
            ("  jane@example.com\t", (409, "user_exists")),
            ("jane＠example.com", (409, "user_exists")),
            ("ｊａｎｅ@example.com", (409, "user_exists")),
            ("jane@example.com.", (422, "validation_failed")),
            ("ja\u{200b}ne@example.com", (422, "validation_failed")),
            ("jane@example.com\r\nBcc: x@y.z", (422, "validation_failed")),
            ("\u{202e}jane@example.com", (422, "validation_failed")),
            ("jane@@example.com", (422, "validation_failed")),
            ("Jane <jane@example.com>", (422, "validation_failed")),
            ("", (422, "validation_failed")),
            ("jane", (422, "validation_failed")),
        ] {
            let body = json!({"email": email, "password": PASSWORD});
            let answer = app.post("/auth/signup").json(&body).send().await;
            assert_eq!(answer.refusal(), (expected.0, expected.1.into()), "{email:?}");
        }
        let long = json!({"email": format!("{}@example.com", "x".repeat(60_000)), "password": PASSWORD});
        app.post("/auth/signup").json(&long).send().await.refused(422, "validation_failed");
        assert_eq!(raw.dump().await, before);
    }

    async fn a_long_password_is_refused_without_hashing_and_a_strange_one_accepted(db: TestDatabase) {
        let app = App::new(&db).await;
        let sign_up = async |email: &str, password: &str| {
            app.post("/auth/signup").json(&json!({"email": email, "password": password})).send().await
        };
        sign_up("a@example.com", &"x".repeat(1_000_000)).await.refused(413, "payload_too_large");
        sign_up("a@example.com", &"x".repeat(1_025)).await.refused(422, "validation_failed");
        for (email, password) in [
            ("b@example.com", "x".repeat(256)),
            ("c@example.com", " spaces around ".into()),
            ("d@example.com", "😀😀😀😀😀😀😀😀".into()),
            ("e@example.com", "x".repeat(1_024)),
        ] {
            assert_eq!(sign_up(email, &password).await.status, 201, "{email}");
            let login =
                |password: &str| app.post("/auth/login").json(&json!({"email": email, "password": password})).send();
            assert_eq!(login(&password).await.status, 200, "{email}");
            let last = password.char_indices().last().unwrap().0;
            login(&password[..last]).await.refused(401, "invalid_credentials");
        }
    }
}
