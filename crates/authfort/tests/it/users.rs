//! Creating users, and what every operation says of one who is not there.

use authfort::{AuthFort, Error, EventId, SessionId, UserId};
use authfort_testkit::{TestDatabase, both_engines};
use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use crate::raw::Raw;
use crate::support::{PASSWORD, admin, event_types, service, user};

pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// `field code` of each fault, as they come.
pub fn faults(error: &Error) -> Vec<String> {
    match error {
        Error::Validation(faults) => faults.iter().map(|fault| format!("{} {}", fault.field, fault.code)).collect(),
        other => panic!("not a validation error: {other:?}"),
    }
}

/// The data of the newest event.
pub async fn last_event(auth: &AuthFort) -> (String, Value) {
    let event = auth.list_events().limit(1).await.unwrap().events.remove(0);
    (event.r#type, Value::Object(event.data))
}

/// The last event of all, as a mark; what is written after it is new.
pub async fn mark(auth: &AuthFort) -> EventId {
    auth.list_events().limit(1).await.unwrap().events[0].id
}

pub async fn types_after(auth: &AuthFort, mark: EventId) -> Vec<String> {
    let page = auth.list_events().after(mark).order(authfort::SortOrder::Asc).limit(200).await.unwrap();
    page.events.into_iter().map(|event| event.r#type).collect()
}

/// An administrator, so that another can be touched.
pub async fn with_admin(auth: &AuthFort) -> UserId {
    admin(auth, "root@example.com").await.id
}

/// The user with other fields.
macro_rules! but {
    ($user:ident, $($field:ident: $value:expr),+) => {{
        let mut user: User = $user.clone();
        $(user.$field = $value;)+
        user
    }};
}
pub(crate) use but;

pub async fn is_cut(auth: &AuthFort, access_token: &str) -> &'static str {
    auth.authenticate(access_token).await.map_or_else(|error| error.code(), |_| "alive")
}

both_engines! {
    async fn a_created_user_is_found_by_id_and_by_any_spelling_of_the_address(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, " Jane@Example.com ").await;
        assert_eq!(jane.email, "jane@example.com");
        assert_eq!(auth.get_user(jane.id).await.unwrap(), jane);
        assert_eq!(auth.find_user(jane.id).await.unwrap(), Some(jane.clone()));
        assert_eq!(auth.find_user_by_email("JANE@example.COM").await.unwrap(), Some(jane));
        for nobody in ["", "john@example.com", "jane@example.com\0", "jane", &"a".repeat(2000)] {
            assert_eq!(auth.find_user_by_email(nobody).await.unwrap(), None, "{nobody:?}");
        }
        assert_eq!(event_types(&auth).await, ["key_rotated", "user_created"]);
    }

    async fn a_duplicate_email_is_refused(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, "jane@example.com").await;
        let error = auth.create_user("JANE@example.com").await.unwrap_err();
        assert!(matches!(error, Error::UserExists), "{error:?}");
        assert_eq!(auth.get_user_count().await.unwrap(), 1);
        assert_eq!(event_types(&auth).await, ["key_rotated", "user_created"]);
    }

    async fn a_user_is_created_with_every_field(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let metadata = object(json!({"plan": "pro", "tags": ["a", "b"], "nested": {"ä": null, "n": 1.5}}));
        let jane = auth
            .create_user("Jane@Example.com")
            .password(PASSWORD)
            .name("  Jane Doe\u{301} ")
            .avatar_url("https://example.com/jane.png")
            .phone("+41 44 668 18 00")
            .email_verified(true)
            .role("editor")
            .role("author")
            .role("editor")
            .metadata(metadata.clone())
            .await
            .unwrap();
        let shown = serde_json::to_value(&jane).unwrap();
        let now = "2030-01-01T12:00:00Z";
        let expected = json!({
            "id": jane.id, "email": "jane@example.com", "email_verified": true, "name": "Jane Doé",
            "avatar_url": "https://example.com/jane.png", "phone": "+41 44 668 18 00", "banned": false,
            "ban_reason": null, "ban_expires_at": null, "roles": ["author", "editor"], "metadata": metadata,
            "created_at": now, "updated_at": now, "last_login_at": null, "is_deleted": false, "deleted_at": null,
        });
        assert_eq!(shown, expected);
        assert_eq!((jane.version, jane.banned_at, jane.banned_by), (1, None, None));
        assert_eq!(jane.created_at, clock.now());
        assert_eq!(auth.get_user(jane.id).await.unwrap(), jane);
        let events = auth.list_events().user_id(jane.id).order(authfort::SortOrder::Asc).await.unwrap().events;
        let events: Vec<_> = events.into_iter().map(|e| (e.r#type, Value::Object(e.data))).collect();
        assert_eq!(events, [
            ("user_created".into(), json!({"email": "jane@example.com", "name": "Jane Doé", "provider": "email"})),
            ("role_added".into(), json!({"role": "author"})),
            ("role_added".into(), json!({"role": "editor"})),
            ("email_verified".into(), json!({"email": "jane@example.com"})),
        ]);
    }

    /// What is not given is null, and `updated_at` is the time of creation.
    async fn a_user_is_created_by_an_address_alone(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let bare = auth.create_user("bare@example.com").provider("github").await.unwrap();
        assert_eq!(serde_json::to_value(&bare).unwrap(), json!({
            "id": bare.id, "email": "bare@example.com", "email_verified": false, "name": null, "avatar_url": null,
            "phone": null, "banned": false, "ban_reason": null, "ban_expires_at": null, "roles": [], "metadata": {},
            "created_at": "2030-01-01T12:00:00Z", "updated_at": "2030-01-01T12:00:00Z", "last_login_at": null,
            "is_deleted": false, "deleted_at": null,
        }));
        let created = json!({"email": "bare@example.com", "name": null, "provider": "github"});
        assert_eq!(last_event(&auth).await, ("user_created".into(), created));
        let error = auth.login("bare@example.com", PASSWORD).await.unwrap_err();
        assert_eq!(error.code(), "invalid_credentials");
    }

    async fn a_refusal_to_create_names_every_bad_field_at_once(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let error = auth
            .create_user("jane@")
            .password("short")
            .name("a\u{7}b")
            .avatar_url("javascript:alert(1)")
            .phone("call me")
            .role("Not A Role")
            .provider("Git Hub")
            .metadata(object(json!({"a": "\0"})))
            .await
            .unwrap_err();
        assert_eq!(faults(&error), [
            "email invalid_email", "password too_short", "name control_character", "avatar_url invalid_url",
            "phone invalid_phone", "provider invalid", "roles invalid_role", "metadata nul",
        ]);
        assert_eq!(auth.get_user_count().await.unwrap(), 0);
        assert_eq!(event_types(&auth).await, ["key_rotated"]);
    }

    async fn texts_have_bounds_and_hold_no_control_characters(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for (name, fault) in [
            ("", "name empty"), (" \u{a0} ", "name empty"), ("a\0b", "name control_character"),
            ("a\nb", "name control_character"), ("a\u{2028}b", "name control_character"),
            ("a\u{10ffff}", "name control_character"), (&"é".repeat(256), "name too_long"),
            (&"x".repeat(1_000_000), "name too_long"),
        ] {
            let error = auth.create_user("jane@example.com").name(name).await.unwrap_err();
            assert_eq!(faults(&error), [fault], "{:?}", name.chars().take(5).collect::<String>());
        }
        let longest = "é".repeat(255);
        let jane = auth.create_user("jane@example.com").name(&longest).await.unwrap();
        assert_eq!(jane.name, Some(longest));
        let html = "<script>alert(1)</script> {{7*7}} \u{202e}' OR 1=1 --";
        let other = auth.create_user("x@example.com").name(html).await.unwrap();
        assert_eq!(other.name.as_deref(), Some(html));
    }

    async fn what_is_pasted_is_taken_and_what_nobody_can_see_is_refused(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let pasted = "\u{202a}+41\u{a0}44\u{a0}668\u{2011}18\u{2011}00\u{202c}";
        let jane = auth.create_user("jane@example.com").phone(pasted).name("می\u{200c}خواهم").await.unwrap();
        assert_eq!((jane.phone.as_deref(), jane.name.as_deref()), (Some("+41 44 668-18-00"), Some("می\u{200c}خواهم")));
        let update = auth.update_user(jane.id).phone("\u{2066}０４４ ６６８\u{2069}").await.unwrap();
        assert_eq!(update.phone.as_deref(), Some("044 668"));
        for blank in ["\u{200b}", "\u{3164}", "\u{2800}", "\u{ad}", "\u{3000}\u{feff}"] {
            for error in [
                auth.create_user("x@example.com").name(blank).await.unwrap_err(),
                auth.update_user(jane.id).name(blank).await.unwrap_err(),
            ] {
                assert_eq!(faults(&error), ["name invisible"], "{blank:?}");
            }
        }
        let banned = auth.ban_user(jane.id).reason("Spam:\r\n\t- one\n\t- two\n").await.unwrap();
        assert_eq!(banned.ban_reason.as_deref(), Some("Spam:\n\t- one\n\t- two"));
        let data = json!({"reason": "Spam:\n\t- one\n\t- two", "expires_at": null});
        assert_eq!(last_event(&auth).await, ("user_banned".into(), data));
        assert_eq!(auth.ban_user(jane.id).reason("Spam:\n\t- one\r\n\t- two").await.unwrap(), banned);
        for control in ["one\rtwo", "\u{1b}[31mred", "a\u{2028}b"] {
            let error = auth.ban_user(jane.id).reason(control).await.unwrap_err();
            assert_eq!(faults(&error), ["reason control_character"], "{control:?}");
        }
    }

    /// Normalized first, then validated: one person has one account however the address is spelled.
    async fn spellings_of_one_address_are_one_account(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, "jane@example.com").await;
        for spelling in ["JANE@EXAMPLE.COM", "\tjane@example.com\n", "ｊａｎｅ＠ｅｘａｍｐｌｅ.com", "jane@ｅxample.com"] {
            let error = auth.create_user(spelling).await.unwrap_err();
            assert_eq!(error.code(), "user_exists", "{spelling:?}");
        }
        for bad in ["jane@example.com.", "jane@exa\u{200b}mple.com", "jane\0@example.com", "jane @example.com"] {
            let error = auth.create_user(bad).await.unwrap_err();
            assert_eq!(faults(&error), ["email invalid_email"], "{bad:?}");
        }
        assert_eq!(auth.get_user_count().await.unwrap(), 1);
    }

    /// Else whoever took the address of an erased user beforehand could not be erased.
    async fn nobody_registers_an_address_that_erased_users_are_given(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        let error = auth.create_user(format!("deleted+{}@deleted.invalid", jane.id)).await.unwrap_err();
        assert_eq!(faults(&error), ["email invalid_email"]);
        let error = auth.update_user(jane.id).email("a@Deleted.Invalid").await.unwrap_err();
        assert_eq!(faults(&error), ["email invalid_email"]);
    }

    async fn defect_41_creating_a_user_opens_no_session(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        assert_eq!(auth.list_sessions(jane.id).await.unwrap().sessions, []);
        assert_eq!(auth.get_user(jane.id).await.unwrap().last_login_at, None);
        assert_eq!(event_types(&auth).await, ["key_rotated", "user_created"]);
        let raw = Raw::open(&db, 1).await;
        assert_eq!(raw.number("SELECT count(*) FROM authfort_refresh_tokens").await, 0);
    }

    async fn defect_40_a_missing_user_is_the_same_error_everywhere(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let nobody: UserId = "0198c0de-0000-7000-8000-000000000001".parse().unwrap();
        let session: SessionId = "0198c0de-0000-7000-8000-000000000002".parse().unwrap();
        for (call, code) in each_call(&auth, nobody, session).await {
            assert_eq!(code, "user_not_found", "{call}");
        }
        assert_eq!(auth.delete_user(nobody).await.unwrap_err().code(), "user_not_found");
        assert_eq!(auth.find_user(nobody).await.unwrap(), None);
        assert_eq!(event_types(&auth).await, ["key_rotated"]);
    }

    async fn defect_11_of_parallel_sign_ups_with_one_address_one_succeeds(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for create in [false, true] {
            let calls = (0..8).map(|n| {
                let email = if n % 2 == 0 { format!("Jane{create}@Example.com") } else { format!("jane{create}@example.COM") };
                let auth = auth.clone();
                async move {
                    let outcome = if create {
                        auth.create_user(email).await.map(|_| ())
                    } else {
                        auth.sign_up(email, PASSWORD).await.map(|_| ())
                    };
                    outcome.map_err(|error| error.code())
                }
            });
            let mut outcomes = join_all(calls.map(tokio::spawn)).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
            outcomes.sort();
            let mut expected = vec![Ok(())];
            expected.resize(8, Err("user_exists"));
            assert_eq!(outcomes, expected);
        }
        assert_eq!(event_types(&auth).await, ["key_rotated", "user_created", "login", "user_created"]);
    }
}

/// Every operation that is given a user's id, with the code that it fails with.
pub async fn each_call(auth: &AuthFort, id: UserId, session: SessionId) -> Vec<(&'static str, &'static str)> {
    let mut calls = Vec::new();
    macro_rules! call {
        ($name:literal, $call:expr) => {
            calls.push(($name, $call.await.map_or_else(|error| error.code(), |_| "done")));
        };
    }
    call!("get_user", auth.get_user(id));
    call!("update_user", auth.update_user(id).name("X"));
    call!("update_user without a change", auth.update_user(id));
    call!("ban_user", auth.ban_user(id));
    call!("unban_user", auth.unban_user(id));
    call!("add_role", auth.add_role(id, "editor"));
    call!("add_role admin", auth.add_role(id, "admin"));
    call!("remove_role", auth.remove_role(id, "editor"));
    call!("get_roles", auth.get_roles(id));
    call!("has_role", auth.has_role(id, "editor"));
    call!("set_password", auth.set_password(id, "another password"));
    call!("create_session", auth.create_session(id));
    call!("list_sessions", auth.list_sessions(id));
    call!("revoke_session", auth.revoke_session(id, session));
    call!("revoke_sessions", auth.revoke_sessions(id));
    call!("link_account", auth.link_account(id, "github", "1"));
    call!("unlink_account", auth.unlink_account(id, "github"));
    call!("list_accounts", auth.list_accounts(id));
    calls
}
