//! The admin routes of roles, passwords, sessions, accounts, keys and events.

use authfort_testkit::{TestDatabase, both_engines};
use serde_json::{Value, json};

use crate::support::{App, NOW, PASSWORD, PEER, Raw, UNKNOWN_ID};

both_engines! {
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
