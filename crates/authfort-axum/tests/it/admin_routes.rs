//! The admin routes of a user: list, create, read, change, ban, delete.

use authfort_testkit::{TestDatabase, both_engines};
use serde_json::{Value, json};

use crate::support::{App, Call, Caller, NOW, PASSWORD, Raw, UNKNOWN_ID, user_json};

const LATER: &str = "2031-01-01T00:00:00Z";

/// A call of each write to a user that the document names, and which succeeds.
async fn writes(app: &App, admin: &Caller, id: &str, session: &str) -> Vec<(String, Call)> {
    let document = app.get("/admin/openapi.json").by(admin).send().await.json();
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(method, _)| *method != "get") {
            let name = format!("{} {path}", method.to_uppercase());
            if !path.starts_with("/users/{id}") {
                continue;
            }
            let headers = operation["parameters"].as_array().unwrap().iter();
            assert!(headers.clone().any(|one| one["name"] == "If-Match" && one["required"] == false), "{name}");
            assert!(operation["responses"]["412"].is_object(), "{name}");
            let body = match name.as_str() {
                "PATCH /users/{id}" => json!({"name": "Jane"}),
                "PUT /users/{id}/password" => json!({"password": "another long password"}),
                "PUT /users/{id}/accounts/{provider}" => json!({"provider_account_id": "2"}),
                _ => Value::Null,
            };
            let values = [("{id}", id), ("{session_id}", session), ("{role}", "editor"), ("{provider}", "github")];
            let path = values.iter().fold(path.clone(), |path, (name, value)| path.replace(name, value));
            let mut call = app.call(&method.to_uppercase(), &format!("/admin{path}")).by(admin);
            if !body.is_null() {
                call = call.json(&body);
            }
            calls.push((name, call));
        }
    }
    assert!(calls.len() >= 11, "{}", calls.len());
    calls
}

both_engines! {
    async fn a_false_if_match_stops_every_write_to_a_user(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        app.auth.link_account(jane.id, "github", "1").await.unwrap();
        let session = app.auth.create_session(jane.id).await.unwrap().session_id.to_string();
        let id = jane.id.to_string();
        let raw = Raw::open(&db).await;
        let before = (raw.dump().await, app.event_count().await);
        let current = app.auth.get_user(jane.id).await.unwrap().version;
        for tags in ["\"v0\"", &format!("W/\"v{current}\""), &format!("v{current}"), "", "\"v0\", \"v999\"", "\"*\""] {
            for (name, call) in writes(&app, &admin, &id, &session).await {
                let answer = call.header("if-match", tags).send().await;
                assert_eq!(answer.refusal(), (412, "precondition_failed".into()), "{name} {tags}");
            }
        }
        // Also where nothing would change.
        app.post(&format!("/admin/users/{id}/unban")).by(&admin).header("if-match", "\"v0\"").send().await.refused(412, "precondition_failed");
        assert_eq!((raw.dump().await, app.event_count().await), before);
        for (name, call) in writes(&app, &admin, UNKNOWN_ID, &session).await {
            let answer = call.header("if-match", "\"v0\"").send().await;
            assert_eq!(answer.refusal(), (404, "user_not_found".into()), "{name}");
        }
    }

    async fn a_true_if_match_lets_every_write_through(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        for any in [true, false] {
            for n in 0.. {
                let jane = app.user(&format!("jane{n}{any}@example.com")).await;
                app.auth.link_account(jane.id, "github", jane.email).await.unwrap();
                let session = app.auth.create_session(jane.id).await.unwrap().session_id.to_string();
                let Some((name, call)) = writes(&app, &admin, &jane.id.to_string(), &session).await.into_iter().nth(n)
                else {
                    break;
                };
                let version = app.auth.get_user(jane.id).await.unwrap().version;
                let tags = if any { "*".to_owned() } else { format!("\"v0\", \"v{version}\"") };
                let answer = call.header("if-match", tags).send().await;
                assert!([200, 204].contains(&answer.status), "{name} {}", answer.text);
                // The next one is linked to the same account.
                app.auth.delete_user(jane.id).await.ok();
            }
        }
    }

    async fn of_several_who_write_at_one_version_one_succeeds(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        let version = app.auth.get_user(jane.id).await.unwrap().version;
        let calls = ["a", "b", "c", "d", "e", "f"].map(|role| {
            let call = app.call("PUT", &format!("/admin/users/{}/roles/{role}", jane.id)).by(&admin);
            tokio::spawn(call.header("if-match", format!("\"v{version}\"")).send())
        });
        let mut statuses = Vec::new();
        for call in calls {
            statuses.push(call.await.unwrap().status);
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412, 412, 412, 412]);
        assert_eq!(app.auth.get_roles(jane.id).await.unwrap().len(), 1);
    }

    async fn a_user_is_created_with_everything_at_once_and_opens_no_session(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let before = app.event_count().await;
        let body = json!({
            "email": " Jane@Example.com", "password": PASSWORD, "name": "Jane", "avatar_url": "https://example.com/j.png",
            "phone": "+41 44 668 18 00", "email_verified": true, "roles": ["writer", "editor"],
            "metadata": {"plan": {"seats": 3}},
        });
        let answer = app.post("/admin/users").by(&admin).json(&body).send().await;
        let id = answer.json()["id"].clone();
        let user = user_json(
            "",
            "jane@example.com",
            json!({
                "id": id, "name": "Jane", "avatar_url": "https://example.com/j.png", "phone": "+41 44 668 18 00",
                "email_verified": true, "roles": ["editor", "writer"], "metadata": {"plan": {"seats": 3}},
            }),
        );
        answer.is(201, &user);
        let location = answer.header("location").unwrap();
        assert_eq!(location, format!("/admin/users/{}", id.as_str().unwrap()));
        let read = app.get(location).by(&admin).send().await;
        read.is(200, &user);
        assert_eq!(read.header("etag"), answer.header("etag"));

        let mut events = app.events(before).await;
        events.sort_by_key(ToString::to_string);
        assert_eq!(
            events,
            [
                json!(["email_verified", id, admin.id, {"email": "jane@example.com"}]),
                json!(["role_added", id, admin.id, {"role": "editor"}]),
                json!(["role_added", id, admin.id, {"role": "writer"}]),
                json!(["user_created", id, admin.id, {"email": "jane@example.com", "name": "Jane", "provider": "email"}]),
            ]
        );
        app.login("jane@example.com").await;
        app.post("/admin/users")
            .by(&admin)
            .json(&json!({"email": "jane@EXAMPLE.com"}))
            .send()
            .await
            .refused(409, "user_exists");
    }

    async fn a_user_needs_no_more_than_an_address(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let answer = app.post("/admin/users").by(&admin).json(&json!({"email": "jane@example.com"})).send().await;
        let id = answer.json()["id"].clone();
        answer.is(201, &user_json("", "jane@example.com", json!({"id": id})));
        let nulls = json!({
            "email": "joe@example.com", "password": null, "name": null, "avatar_url": null, "phone": null,
            "email_verified": null, "roles": null, "metadata": null,
        });
        assert_eq!(app.post("/admin/users").by(&admin).json(&nulls).send().await.status, 201);
        let missing = app.post("/admin/users").by(&admin).json(&json!({})).send().await;
        missing.refused(422, "validation_failed");
        assert_eq!(missing.json()["fields"][0]["field"], "email");
    }

    async fn the_list_has_its_page_and_the_count_agrees(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        for name in ["Ada", "Bob", "Cleo"] {
            let email = format!("{}@list.example", name.to_lowercase());
            app.auth.create_user(email).name(name).role("writer").await.unwrap();
        }
        let list = async |query: &str| app.get(&format!("/admin/users?{query}")).by(&admin).send().await;
        let names = |body: &Value| -> Vec<String> {
            body["users"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap().to_owned()).collect()
        };

        let first = list("role=writer&sort_by=name&sort_order=asc&limit=2").await;
        let body = first.json();
        assert_eq!(names(&body), ["Ada", "Bob"]);
        let ada = &body["users"][0];
        let expected = user_json("", "ada@list.example", json!({"id": ada["id"], "name": "Ada", "roles": ["writer"]}));
        assert_eq!(*ada, expected);
        let next = body["next_cursor"].as_str().unwrap();
        first.is(
            200,
            &json!({
                "users": body["users"], "total": 3, "limit": 2, "offset": 0, "next_cursor": next, "prev_cursor": null,
            }),
        );
        let second = list(&format!("role=writer&sort_by=name&sort_order=asc&limit=2&cursor={next}")).await.json();
        assert_eq!(names(&second), ["Cleo"]);
        assert_eq!(second["next_cursor"], Value::Null);
        let back = second["prev_cursor"].as_str().unwrap();
        let back = list(&format!("role=writer&sort_by=name&sort_order=asc&limit=2&cursor={back}")).await.json();
        assert_eq!(names(&back), ["Ada", "Bob"]);
        assert_eq!(names(&list("role=writer&sort_by=name&offset=1&limit=200").await.json()), ["Bob", "Ada"]);
        assert_eq!(list("total=none").await.json()["total"], Value::Null);
        list(&format!("role=editor&limit=2&cursor={next}")).await.refused(400, "invalid_request");
        list("cursor=garbage").await.refused(400, "invalid_request");

        for (filter, count) in [
            ("", 4),
            ("role=writer", 3),
            ("role=writer&role=admin", 4),
            ("role=nobody", 0),
            ("query=LIST.example", 3),
            ("query=cle", 1),
            ("query=%25", 0),
            ("banned=true", 0),
            ("banned=false&email_verified=false", 4),
            ("created_after=2030-01-01T12:00:00Z", 4),
            ("created_after=2030-01-01T13:00:00%2B01:00", 4),
            ("created_before=2030-01-01T12:00:00Z", 0),
            ("signed_in=true", 1),
            ("signed_in=false", 3),
            ("last_login_after=2030-01-01", 1),
            ("last_login_after=2030-01-02", 0),
            ("last_login_before=2030-01-01", 0),
            ("last_login_before=2030-01-02", 1),
            ("deleted=only", 0),
            ("deleted=true", 4),
            // A form that nobody filled in, or in part.
            ("query=&banned=&role=&email_verified=&deleted=&created_after=&created_before=&signed_in=&last_login_after=&last_login_before=", 4),
            ("query=&banned&role=&role=writer&email_verified=&deleted=&created_after=&created_before=", 3),
            // A pasted term brings its line break along, a pasted id its spaces.
            ("query=cle%0D%0A", 1),
            (&format!("query=%20{}%0A", admin.id.to_string().to_uppercase()), 1),
        ] {
            let answer = app.get(&format!("/admin/users/count?{filter}")).by(&admin).send().await;
            answer.is(200, &json!({"count": count}));
            assert_eq!(list(filter).await.json()["total"], count, "{filter}");
        }
    }

    async fn a_patch_changes_what_it_names_and_null_clears(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app
            .auth
            .create_user("jane@example.com")
            .name("Jane")
            .phone("+1 555")
            .email_verified(true)
            .metadata(json!({"a": 1, "b": {"c": 2, "d": 3}}).as_object().unwrap().clone())
            .await
            .unwrap();
        let path = format!("/admin/users/{}", jane.id);
        let patch = async |body: Value| app.call("PATCH", &path).by(&admin).json(&body).send().await;
        let before = app.event_count().await;
        app.clock.advance(chrono::TimeDelta::minutes(1));

        let same = json!({"name": "Jane", "phone": "+1 555", "email": "JANE@example.com"});
        let unchanged = patch(same).await;
        let metadata = json!({"a": 1, "b": {"c": 2, "d": 3}});
        unchanged.is(
            200,
            &user_json(
                jane.id,
                "jane@example.com",
                json!({
                    "name": "Jane", "phone": "+1 555", "email_verified": true, "metadata": metadata,
                }),
            ),
        );
        assert_eq!(app.event_count().await, before, "nothing changed");

        let answer =
            patch(json!({"name": null, "phone": "+1 777", "metadata": {"a": null, "b": {"c": 9}, "e": []}})).await;
        let later = "2030-01-01T12:01:00Z";
        let changed = json!({
            "phone": "+1 777", "email_verified": true, "metadata": {"b": {"c": 9, "d": 3}, "e": []}, "updated_at": later,
        });
        answer.is(200, &user_json(jane.id, "jane@example.com", changed));
        let events = app.events(before).await;
        assert_eq!(events, [json!(["user_updated", jane.id, admin.id, {"fields": ["name", "phone", "metadata"]}])]);

        let moved = patch(json!({"email": "Janet@example.com"})).await.json();
        assert_eq!((&moved["email"], &moved["email_verified"]), (&json!("janet@example.com"), &json!(false)));
        let both = patch(json!({"email": "jane@example.com", "email_verified": true, "metadata": null})).await.json();
        assert_eq!((&both["email_verified"], &both["metadata"]), (&json!(true), &json!({})));
        for field in ["email", "email_verified"] {
            let answer = patch(json!({field: null})).await;
            answer.refused(422, "validation_failed");
            assert_eq!(answer.json()["fields"][0]["field"], field);
        }
        app.user("taken@example.com").await;
        patch(json!({"email": "Taken@example.com"})).await.refused(409, "user_exists");
        let merge = app.call("PATCH", &path).by(&admin).header("content-type", "application/merge-patch+json");
        assert_eq!(merge.body(r#"{"name": "J"}"#).send().await.json()["name"], "J");
    }

    async fn if_match_keeps_updates_from_being_lost(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        let path = format!("/admin/users/{}", jane.id);
        let patch = async |tag: &str, name: &str| {
            app.call("PATCH", &path).by(&admin).header("if-match", tag).json(&json!({"name": name})).send().await
        };
        let etag = app.get(&path).by(&admin).send().await.header("etag").unwrap().to_owned();
        let changed = patch(&etag, "Jane").await;
        assert_eq!(changed.status, 200);
        let newer = changed.header("etag").unwrap().to_owned();
        assert_ne!(etag, newer);
        for tag in
            [etag.as_str(), "\"x\"", &format!("W/{newer}"), &newer.replace('v', "v0"), &newer.replace('"', ""), ""]
        {
            patch(tag, "Joe").await.refused(412, "precondition_failed");
        }
        assert_eq!(app.get(&path).by(&admin).send().await.json()["name"], "Jane");
        assert_eq!(patch(&format!("\"x\", {newer}"), "Joe").await.status, 200, "one of several");
        assert_eq!(patch("*", "Jim").await.status, 200);
        let gone = format!("/admin/users/{UNKNOWN_ID}");
        let call = app.call("PATCH", &gone).by(&admin).header("if-match", "*").json(&json!({"name": "x"}));
        call.send().await.refused(404, "user_not_found");
    }

    async fn deleting_takes_everything_and_is_told_once(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        app.auth.add_role(jane.id, "editor").await.unwrap();
        app.auth.link_account(jane.id, "github", "1").await.unwrap();
        app.auth.request_password_reset("jane@example.com").await.unwrap();
        let session = app.login("jane@example.com").await;
        let path = format!("/admin/users/{}", jane.id);
        let before = app.event_count().await;
        app.call("DELETE", &path).by(&admin).send().await.is(200, &json!({"deleted": true}));
        app.call("DELETE", &path).by(&admin).send().await.refused(404, "user_not_found");
        app.get(&path).by(&admin).send().await.refused(404, "user_not_found");
        app.get(&format!("{path}?deleted=true")).by(&admin).send().await.refused(404, "user_not_found");
        let token = session["tokens"]["access_token"].as_str().unwrap();
        app.get("/profile").bearer(token).send().await.refused(401, "user_not_found");
        let data = json!({"email": "jane@example.com", "mode": "delete"});
        assert_eq!(app.events(before).await, [json!(["user_deleted", jane.id, admin.id, data])]);
        let dump = Raw::open(&db).await.dump().await.join("\n").to_lowercase();
        let id = jane.id.to_string();
        assert!(!dump.contains(&id) && !dump.contains(&id.replace('-', "")) && !dump.contains("jane"), "{dump}");
    }

    async fn anonymizing_keeps_the_row_and_scrubs_the_person(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.auth.create_user("jane@example.com").name("Jane").phone("+1 555").role("editor").await.unwrap();
        let path = format!("/admin/users/{}", jane.id);
        app.call("DELETE", &format!("{path}?mode=anonymize"))
            .by(&admin)
            .send()
            .await
            .is(200, &json!({"deleted": true}));
        app.get(&path).by(&admin).send().await.refused(404, "user_not_found");
        let scrubbed = user_json(
            jane.id,
            &format!("deleted+{}@deleted.invalid", jane.id),
            json!({
                "name": "Deleted user", "is_deleted": true, "deleted_at": NOW,
            }),
        );
        app.get(&format!("{path}?deleted=true")).by(&admin).send().await.is(200, &scrubbed);
        let list = app.get("/admin/users?deleted=only").by(&admin).send().await.json();
        assert_eq!(list["users"], json!([scrubbed]));
        for (method, path, body) in [
            ("PATCH", path.clone(), json!({"name": "Jane"})),
            ("POST", format!("{path}/ban"), json!({})),
            ("POST", format!("{path}/unban"), json!({})),
            ("PUT", format!("{path}/password"), json!({"password": PASSWORD})),
            ("PUT", format!("{path}/roles/editor"), json!({})),
            ("GET", format!("{path}/roles"), json!({})),
            ("GET", format!("{path}/sessions"), json!({})),
            ("GET", format!("{path}/accounts"), json!({})),
        ] {
            app.call(method, &path).by(&admin).json(&body).send().await.refused(404, "user_not_found");
        }
        let before = app.event_count().await;
        let again = app.call("DELETE", &format!("{path}?mode=anonymize")).by(&admin).send().await;
        again.is(200, &json!({"deleted": true}));
        app.get(&format!("{path}?deleted=true")).by(&admin).send().await.is(200, &scrubbed);
        assert_eq!(app.event_count().await, before, "what was anonymized is so already");
    }

    async fn rows_of_the_application_keep_a_user_from_being_deleted(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        let raw = Raw::open(&db).await;
        let kind = if matches!(raw, Raw::Sqlite(_)) { "BLOB" } else { "UUID" };
        raw.execute(&format!("CREATE TABLE orders (user_id {kind} REFERENCES authfort_users (id))")).await;
        let hex = jane.id.to_string().replace('-', "");
        let literal = if matches!(raw, Raw::Sqlite(_)) { format!("x'{hex}'") } else { format!("'{}'", jane.id) };
        raw.execute(&format!("INSERT INTO orders VALUES ({literal})")).await;
        let before = (raw.dump().await, app.event_count().await);
        let answer = app.call("DELETE", &format!("/admin/users/{}", jane.id)).by(&admin).send().await;
        answer.refused(409, "blocked_by_reference");
        assert_eq!((raw.dump().await, app.event_count().await), before);
    }

    async fn a_ban_cuts_at_once_and_is_lifted(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        let session = app.login("jane@example.com").await;
        let path = format!("/admin/users/{}/ban", jane.id);
        let before = app.event_count().await;
        let ban = json!({"reason": "spam", "expires_at": "2031-01-01T01:00:00+01:00"});
        let banned = user_json(
            jane.id,
            "jane@example.com",
            json!({
                "banned": true, "ban_reason": "spam", "ban_expires_at": LATER, "last_login_at": NOW,
            }),
        );
        let answer = app.post(&path).by(&admin).json(&ban).send().await;
        answer.is(200, &banned);
        assert!(answer.header("etag").is_some());
        app.post(&path).by(&admin).json(&ban).send().await.is(200, &banned);
        let event = json!(["user_banned", jane.id, admin.id, {"reason": "spam", "expires_at": LATER}]);
        assert_eq!(app.events(before).await, [event], "banning a banned user is no event");
        let token = session["tokens"]["access_token"].as_str().unwrap();
        app.get("/profile").bearer(token).send().await.refused(403, "user_banned");
        let refresh = json!({"refresh_token": session["tokens"]["refresh_token"]});
        app.post("/auth/refresh").json(&refresh).send().await.refused(401, "refresh_token_invalid");

        let before = app.event_count().await;
        let unban = format!("/admin/users/{}/unban", jane.id);
        let plain = user_json(jane.id, "jane@example.com", json!({"last_login_at": NOW}));
        app.post(&unban).by(&admin).send().await.is(200, &plain);
        app.post(&unban).by(&admin).send().await.is(200, &plain);
        assert_eq!(app.events(before).await, [json!(["user_unbanned", jane.id, admin.id, {}])]);

        let lines = json!({"reason": "\tSpam:\r\n\t- one\n\t- two\n"});
        let answer = app.post(&path).by(&admin).json(&lines).send().await;
        assert_eq!(answer.json()["ban_reason"], "Spam:\n\t- one\n\t- two");
        let events = app.get("/admin/events?type=user_banned&limit=1").by(&admin).send().await.json();
        assert_eq!(events["events"][0]["data"]["reason"], answer.json()["ban_reason"]);
        app.post(&unban).by(&admin).send().await.is(200, &plain);

        let answer = app.post(&path).by(&admin).send().await;
        assert_eq!(answer.json()["banned"], true, "no body is a ban without reason and end");
        for body in [
            json!({"expires_at": "2029-01-01T00:00:00Z"}),
            json!({"expires_at": "+12345-01-01T00:00:00Z"}),
            json!({"expires_at": "tomorrow"}),
            json!({"expires_at": 1_893_456_000}),
            json!({"reason": "x".repeat(1001)}),
            json!({"until": LATER}),
        ] {
            app.post(&path).by(&admin).json(&body).send().await.refused(422, "validation_failed");
        }
    }
}
