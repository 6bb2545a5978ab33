//! The routes of the admin router, as the contract has them.

use authfort_testkit::{TestDatabase, both_engines};
use serde_json::{Value, json};

use crate::support::{App, Call, Caller, NOW, PASSWORD, PEER, Raw, UNKNOWN_ID, user_json};

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
            ("deleted=only", 0),
            ("deleted=true", 4),
            // A form that nobody filled in, or in part.
            ("query=&banned=&role=&email_verified=&deleted=&created_after=&created_before=", 4),
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

    async fn roles_are_given_and_taken_and_a_no_op_is_200_without_an_event(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        let path = format!("/admin/users/{}/roles", jane.id);
        let change =
            async |method: &str, role: &str| app.call(method, &format!("{path}/{role}")).by(&admin).send().await;
        let token = app.login("jane@example.com").await["tokens"]["access_token"].as_str().unwrap().to_owned();
        let before = app.event_count().await;
        change("DELETE", "writer").await.is(200, &json!({"roles": []}));
        assert_eq!(app.event_count().await, before);
        assert_eq!(app.get("/profile").bearer(&token).send().await.status, 200, "a no-op cuts no token");
        change("PUT", "writer?immediate=false").await.is(200, &json!({"roles": ["writer"]}));
        assert_eq!(app.get("/profile").bearer(&token).send().await.status, 200, "it lives on");
        change("PUT", "editor").await.is(200, &json!({"roles": ["editor", "writer"]}));
        change("PUT", "editor").await.is(200, &json!({"roles": ["editor", "writer"]}));
        app.get("/profile").bearer(&token).send().await.refused(401, "token_version_mismatch");
        app.get(&path).by(&admin).send().await.is(200, &json!({"roles": ["editor", "writer"]}));
        change("DELETE", "writer").await.is(200, &json!({"roles": ["editor"]}));
        assert_eq!(
            app.events(before).await,
            [
                json!(["role_added", jane.id, admin.id, {"role": "writer"}]),
                json!(["role_added", jane.id, admin.id, {"role": "editor"}]),
                json!(["role_removed", jane.id, admin.id, {"role": "writer"}]),
            ]
        );
        for role in ["Admin", "a%20b", "%0A", "a,b", "%D0%B0dmin", &"a".repeat(51), "%E2%80%AEadmin"] {
            for method in ["PUT", "DELETE"] {
                change(method, role).await.refused(422, "validation_failed");
            }
        }
        change("PUT", "writer?immediate=maybe").await.refused(400, "invalid_request");
        for method in ["PUT", "DELETE"] {
            let unknown = format!("/admin/users/{UNKNOWN_ID}/roles/writer");
            app.call(method, &unknown).by(&admin).send().await.refused(404, "user_not_found");
        }
    }

    async fn a_role_that_nobody_declared_is_refused_where_roles_are_declared(db: TestDatabase) {
        let app = App::with(&db, |options| options.roles(["editor"]), |layer| layer).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        let path = format!("/admin/users/{}/roles", jane.id);
        app.call("PUT", &format!("{path}/writer")).by(&admin).send().await.refused(422, "validation_failed");
        app.call("PUT", &format!("{path}/editor")).by(&admin).send().await.is(200, &json!({"roles": ["editor"]}));
        let body = json!({"email": "joe@example.com", "roles": ["writer"]});
        app.post("/admin/users").by(&admin).json(&body).send().await.refused(422, "validation_failed");
    }

    async fn nobody_acts_on_themself_and_the_last_admin_stays(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let raw = Raw::open(&db).await;
        let me = format!("/admin/users/{}", admin.id);
        let attempts = [
            ("DELETE", me.clone()),
            ("DELETE", format!("{me}?mode=anonymize")),
            ("POST", format!("{me}/ban")),
            ("DELETE", format!("{me}/roles/admin")),
        ];
        let before = raw.dump().await;
        for (method, path) in &attempts {
            app.call(method, path).by(&admin).send().await.refused(409, "cannot_act_on_self");
        }
        let other = app.admin().await;
        for (method, path) in &attempts {
            app.call(method, path).by(&admin).send().await.refused(409, "cannot_act_on_self");
        }
        app.auth.ban_user(other.id).await.unwrap();
        // A banned administrator can be unmade; one who is usable remains.
        let demote = format!("/admin/users/{}/roles/admin", other.id);
        app.call("DELETE", &demote).by(&admin).send().await.is(200, &json!({"roles": []}));
        app.auth.delete_user(other.id).await.unwrap();
        assert_eq!(raw.dump().await, before);
        // Beside the router the rule of the core holds: somebody has to remain.
        assert_eq!(app.auth.remove_role(admin.id, "admin").await.unwrap_err().code(), "last_admin");
    }

    async fn setting_a_password_ends_the_sessions(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.auth.create_user("jane@example.com").await.unwrap();
        let path = format!("/admin/users/{}/password", jane.id);
        let before = app.event_count().await;
        let put =
            async |password: &str| app.call("PUT", &path).by(&admin).json(&json!({"password": password})).send().await;
        put(PASSWORD).await.is_empty(204);
        assert_eq!(app.events(before).await, [json!(["password_set", jane.id, admin.id, {}])]);
        let session = app.login("jane@example.com").await;
        let before = app.event_count().await;
        put("another password").await.is_empty(204);
        assert!(app.event_types(before).await.contains(&"password_changed".to_owned()));
        let token = session["tokens"]["access_token"].as_str().unwrap();
        assert_eq!(app.get("/profile").bearer(token).send().await.status, 401);
        put("short").await.refused(422, "validation_failed");
        put(&"x".repeat(1025)).await.refused(422, "validation_failed");
        let unknown = format!("/admin/users/{UNKNOWN_ID}/password");
        let call = app.call("PUT", &unknown).by(&admin).json(&json!({"password": PASSWORD}));
        call.send().await.refused(404, "user_not_found");
    }

    async fn sessions_are_listed_and_ended(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        let body = json!({"email": "jane@example.com", "password": PASSWORD});
        let mut ids = Vec::new();
        for agent in ["one", "two", "three"] {
            let answer = app.post("/auth/login").header("user-agent", agent).json(&body).send().await.json();
            ids.push(answer["user"]["session_id"].as_str().unwrap().to_owned());
        }
        let path = format!("/admin/users/{}/sessions", jane.id);
        let shown = |index: usize, agent: &str, revoked: bool| {
            json!({
                "id": ids[index], "user_agent": agent, "ip_address": PEER, "created_at": NOW, "last_seen_at": NOW,
                "expires_at": "2030-01-31T12:00:00Z", "revoked": revoked,
            })
        };
        let all = [shown(2, "three", false), shown(1, "two", false), shown(0, "one", false)];
        app.get(&path).by(&admin).send().await.is(200, &json!({"sessions": all, "next_cursor": null}));
        let first = app.get(&format!("{path}?limit=2")).by(&admin).send().await.json();
        assert_eq!(first["sessions"], json!(all[..2]));
        let next = format!("{path}?limit=2&cursor={}", first["next_cursor"].as_str().unwrap());
        app.get(&next).by(&admin).send().await.is(200, &json!({"sessions": all[2..], "next_cursor": null}));
        app.get(&format!("{path}?limit=0")).by(&admin).send().await.refused(422, "validation_failed");
        app.get(&format!("{path}?cursor=x")).by(&admin).send().await.refused(400, "invalid_request");

        let before = app.event_count().await;
        let one = format!("{path}/{}", ids[1]);
        app.call("DELETE", &one).by(&admin).send().await.is(200, &json!({"revoked": 1}));
        app.call("DELETE", &one).by(&admin).send().await.is(200, &json!({"revoked": 0}));
        let event = json!(["session_revoked", jane.id, admin.id, {"session_id": ids[1], "revoke_all": false}]);
        assert_eq!(app.events(before).await, [event]);
        let listed = [shown(2, "three", false), shown(1, "two", true), shown(0, "one", false)];
        let listed = json!({"sessions": listed, "next_cursor": null});
        app.get(&path).by(&admin).send().await.is(200, &listed);
        let active = json!({"sessions": [shown(2, "three", false), shown(0, "one", false)], "next_cursor": null});
        app.get(&format!("{path}?active_only=true")).by(&admin).send().await.is(200, &active);

        let before = app.event_count().await;
        let but_one = format!("{path}?except={}", ids[0]);
        app.call("DELETE", &but_one).by(&admin).send().await.is(200, &json!({"revoked": 1}));
        app.call("DELETE", &path).by(&admin).send().await.is(200, &json!({"revoked": 1}));
        app.call("DELETE", &path).by(&admin).send().await.is(200, &json!({"revoked": 0}));
        let event = json!(["session_revoked", jane.id, admin.id, {"session_id": null, "revoke_all": true}]);
        assert_eq!(app.events(before).await, [event.clone(), event]);

        for foreign in [UNKNOWN_ID, &admin.session] {
            let path = format!("{path}/{foreign}");
            app.call("DELETE", &path).by(&admin).send().await.refused(404, "session_not_found");
        }
        let foreign = format!("{path}?except={}", admin.session);
        app.call("DELETE", &foreign).by(&admin).send().await.refused(404, "session_not_found");
        assert_eq!(app.get("/profile").by(&admin).send().await.status, 200);
    }

    async fn accounts_are_linked_listed_and_unlinked(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.auth.create_user("jane@example.com").await.unwrap();
        let path = format!("/admin/users/{}/accounts", jane.id);
        let link = async |provider: &str, id: &str| {
            let call = app.call("PUT", &format!("{path}/{provider}")).by(&admin);
            call.json(&json!({"provider_account_id": id})).send().await
        };
        let before = app.event_count().await;
        let github = json!({"provider": "github", "provider_account_id": "583231", "created_at": NOW});
        link("github", "583231").await.is(200, &github);
        link("github", "583231").await.is(200, &github);
        let data = json!({"email": "jane@example.com", "provider": "github"});
        assert_eq!(app.events(before).await, [json!(["oauth_link", jane.id, admin.id, data])]);
        app.get(&path).by(&admin).send().await.is(200, &json!({"accounts": [github]}));

        let unlink = async |provider: &str| app.call("DELETE", &format!("{path}/{provider}")).by(&admin).send().await;
        unlink("github").await.refused(409, "last_credential");
        unlink("google").await.refused(404, "account_not_found");
        assert_eq!(link("google", "7").await.status, 200);
        let before = app.event_count().await;
        unlink("github").await.is(200, &json!({"deleted": true}));
        assert_eq!(app.events(before).await, [json!(["oauth_unlink", jane.id, admin.id, {"provider": "github"}])]);

        let joe = app.user("joe@example.com").await;
        let taken = format!("/admin/users/{}/accounts/google", joe.id);
        let call = app.call("PUT", &taken).by(&admin).json(&json!({"provider_account_id": "7"}));
        call.send().await.refused(409, "account_linked_elsewhere");
        link("Git%20Hub", "1").await.refused(422, "validation_failed");
        link("github", "").await.refused(422, "validation_failed");
    }

    async fn keys_are_listed_and_rotated_without_their_secrets(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let old = app.get("/admin/keys").by(&admin).send().await;
        let old_kid = old.json()["keys"][0]["kid"].clone();
        let first =
            json!({"kid": old_kid, "algorithm": "EdDSA", "current": true, "created_at": NOW, "expires_at": null});
        old.is(200, &json!({"keys": [first]}));
        let before = app.event_count().await;
        let new = app.post("/admin/keys/rotate").by(&admin).send().await;
        let new_kid = new.json()["kid"].clone();
        let second =
            json!({"kid": new_kid, "algorithm": "EdDSA", "current": false, "created_at": NOW, "expires_at": null});
        new.is(200, &second);
        assert_ne!(old_kid, new_kid);
        let data = json!({"old_kid": old_kid, "new_kid": new_kid});
        assert_eq!(app.events(before).await, [json!(["key_rotated", null, admin.id, data])]);

        let keys = app.get("/admin/keys").by(&admin).send().await.json();
        assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
        let signs = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == old_kid).unwrap();
        assert_eq!(signs["current"], true, "until all who keep the public keys have fetched the new one");
        // Those five minutes, as long as a token lives, and twice the half minute by which nodes may differ.
        assert_eq!(signs["expires_at"], "2030-01-01T12:21:00Z");
        app.post("/admin/keys/rotate").by(&admin).send().await.is(200, &second);
        assert_eq!(app.event_count().await, before + 1, "while one waits, there is no other");
        app.clock.advance(chrono::TimeDelta::seconds(330));
        let keys = app.get("/admin/keys").by(&admin).send().await.json();
        let current: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| (&key["kid"], &key["current"])).collect();
        assert!(current.contains(&(&old_kid, &json!(false))) && current.contains(&(&new_kid, &json!(true))), "{keys}");
        assert_eq!(app.get("/profile").by(&admin).send().await.status, 200, "the old key's token is good");
    }

    async fn the_log_is_read_in_pages(db: TestDatabase) {
        let app = App::new(&db).await;
        let admin = app.admin().await;
        let jane = app.user("jane@example.com").await;
        let call = app.post(&format!("/admin/users/{}/ban", jane.id)).by(&admin).header("x-request-id", "req-7");
        call.json(&json!({"reason": "spam"})).send().await;
        let list = async |query: &str| app.get(&format!("/admin/events?{query}")).by(&admin).send().await;

        let answer = list(&format!("user_id={}&type=user_banned", jane.id)).await;
        let id = answer.json()["events"][0]["id"].clone();
        answer.is(
            200,
            &json!({"next_cursor": null, "events": [{
                "id": id, "type": "user_banned", "timestamp": NOW, "user_id": jane.id, "actor_id": admin.id,
                "request_id": "req-7", "data": {"reason": "spam", "expires_at": null},
            }]}),
        );

        let types = |body: &Value| -> Vec<String> {
            body["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
        };
        let everything = types(&list("order=asc&limit=200").await.json());
        assert_eq!(everything, app.event_types(0).await);
        let mut walked = Vec::new();
        let mut query = "limit=2".to_owned();
        loop {
            let page = list(&query).await.json();
            walked.extend(types(&page));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            query = format!("limit=2&before={cursor}");
        }
        walked.reverse();
        assert_eq!(walked, everything);
        let two = list("order=asc&limit=2").await.json();
        let rest = list(&format!("order=asc&after={}", two["next_cursor"].as_str().unwrap())).await.json();
        assert_eq!([types(&two), types(&rest)].concat(), everything);
        assert_eq!(types(&list("type=user_banned&type=key_rotated").await.json()), ["user_banned", "key_rotated"]);

        list("type=nonsense").await.refused(422, "validation_failed");
        list("order=ASC").await.refused(422, "validation_failed");
        list("user_id=me").await.refused(400, "invalid_request");
        list("after=1").await.refused(400, "invalid_request");
    }

    async fn an_admin_role_of_another_name_opens_the_router(db: TestDatabase) {
        let app = App::with(&db, |options| options.admin_role("owner"), |layer| layer).await;
        let admin = app.admin().await;
        let refused = app.get("/admin/users").by(&admin).send().await;
        refused.refused(403, "insufficient_role");
        assert_eq!(refused.json()["message"], "This needs the role owner.");
        app.auth.add_role(admin.id, "owner").immediate(false).await.unwrap();
        let body = json!({"refresh_token": admin.refresh});
        let token = app.post("/auth/refresh").json(&body).send().await.json()["tokens"]["access_token"].clone();
        assert_eq!(app.get("/admin/users").bearer(token.as_str().unwrap()).send().await.status, 200);
    }
}
