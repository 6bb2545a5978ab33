//! Creating, reading, changing, banning, deleting.

use authfort::secrecy::ExposeSecret;
use authfort::{Actor, AuthFort, DeletedFilter, Error, EventId, SessionId, User, UserId};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use chrono::{TimeDelta, TimeZone, Utc};
use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use crate::raw::Raw;
use crate::support::{PASSWORD, admin, builder, clock, event_types, service, user};

fn object(value: Value) -> Map<String, Value> {
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
async fn last_event(auth: &AuthFort) -> (String, Value) {
    let event = auth.list_events().limit(1).await.unwrap().events.remove(0);
    (event.r#type, Value::Object(event.data))
}

/// The last event of all, as a mark; what is written after it is new.
async fn mark(auth: &AuthFort) -> EventId {
    auth.list_events().limit(1).await.unwrap().events[0].id
}

async fn types_after(auth: &AuthFort, mark: EventId) -> Vec<String> {
    let page = auth.list_events().after(mark).order(authfort::SortOrder::Asc).limit(200).await.unwrap();
    page.events.into_iter().map(|event| event.r#type).collect()
}

/// An administrator, so that another can be touched.
async fn with_admin(auth: &AuthFort) -> UserId {
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

async fn is_cut(auth: &AuthFort, access_token: &str) -> &'static str {
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

    async fn absent_is_unchanged_and_cleared_is_null(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = auth
            .create_user("jane@example.com")
            .name("Jane")
            .avatar_url("https://example.com/jane.png")
            .phone("+41 44 668 18 00")
            .metadata(object(json!({"plan": "pro"})))
            .await
            .unwrap();
        clock.advance(TimeDelta::minutes(1));
        let named = auth.update_user(jane.id).name(" Janet ").await.unwrap();
        let expected = but!(jane, name: Some("Janet".into()), updated_at: clock.now(), version: 2);
        assert_eq!(named, expected);
        assert_eq!(last_event(&auth).await, ("user_updated".into(), json!({"fields": ["name"]})));

        clock.advance(TimeDelta::minutes(1));
        let bare = auth
            .update_user(jane.id).clear_name().clear_avatar_url().clear_phone().metadata(Map::new()).await.unwrap();
        let expected = but!(
            jane, name: None, avatar_url: None, phone: None, metadata: Map::new(), updated_at: clock.now(), version: 3
        );
        assert_eq!(bare, expected);
        let fields = json!({"fields": ["name", "avatar_url", "phone", "metadata"]});
        assert_eq!(last_event(&auth).await, ("user_updated".into(), fields));
        assert_eq!(auth.get_user(jane.id).await.unwrap(), bare);
    }

    async fn a_refusal_to_update_names_every_bad_field_at_once(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        let before = mark(&auth).await;
        let error = auth
            .update_user(jane.id)
            .email("nobody")
            .name("")
            .avatar_url("ftp://example.com")
            .phone("12")
            .metadata(object(json!({"big": "x".repeat(20_000)})))
            .await
            .unwrap_err();
        assert_eq!(faults(&error), [
            "email invalid_email", "name empty", "avatar_url invalid_url", "phone invalid_phone", "metadata too_long",
        ]);
        assert_eq!(auth.get_user(jane.id).await.unwrap(), jane);
        assert_eq!(types_after(&auth, before).await, Vec::<String>::new());
    }

    /// RFC 7396, with the examples of its appendix that an object can be the target of.
    async fn metadata_merges_after_rfc_7396(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({"a": "foo"}), json!({"a": {"b": null, "c": 1}}), json!({"a": {"c": 1}})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            auth.update_user(jane.id).metadata(object(target.clone())).await.unwrap();
            let merged = auth.update_user(jane.id).merge_metadata(object(patch.clone())).await.unwrap();
            assert_eq!(Value::Object(merged.metadata), result, "{target} merged with {patch}");
        }
    }

    async fn metadata_has_a_size_and_a_depth(db: TestDatabase) {
        let clock = clock();
        let auth = builder(&clock).metadata_max_bytes(100).connect(db.url()).await.unwrap();
        // {"k":"…"} has eight bytes around the text.
        let fits = object(json!({"k": "x".repeat(92)}));
        let jane = auth.create_user("jane@example.com").metadata(fits.clone()).await.unwrap();
        assert_eq!(jane.metadata, fits);
        let over = object(json!({"k": "x".repeat(93)}));
        let error = auth.create_user("john@example.com").metadata(over.clone()).await.unwrap_err();
        assert_eq!(faults(&error), ["metadata too_long"]);
        let error = auth.update_user(jane.id).metadata(over).await.unwrap_err();
        assert_eq!(faults(&error), ["metadata too_long"]);
        // The bound is on the result of a merge.
        let error = auth.update_user(jane.id).merge_metadata(object(json!({"l": 1}))).await.unwrap_err();
        assert_eq!(faults(&error), ["metadata too_long"]);
        let error = auth.update_user(jane.id).merge_metadata(object(json!({"k": {"\0": 1}}))).await.unwrap_err();
        assert_eq!(faults(&error), ["metadata nul"]);
        assert_eq!(auth.get_user(jane.id).await.unwrap(), jane);

        let roomy = builder(&clock).connect(db.url()).await.unwrap();
        let deep = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        let error = roomy.create_user("john@example.com").metadata(object(json!({"d": deep(200)}))).await.unwrap_err();
        assert_eq!(faults(&error), ["metadata too_deep"]);
        let error = roomy.update_user(jane.id).merge_metadata(object(json!({"d": deep(200)}))).await.unwrap_err();
        assert_eq!(faults(&error), ["metadata too_deep"]);
        let john = roomy.create_user("john@example.com").metadata(object(json!({"d": deep(60)}))).await.unwrap();
        assert_eq!(roomy.get_user(john.id).await.unwrap(), john);

        // A smaller bound leaves what is there alone, and does not stand in the way of other fields.
        let strict = builder(&clock).metadata_max_bytes(10).connect(db.url()).await.unwrap();
        let renamed = strict.update_user(jane.id).name("Jane").await.unwrap();
        assert_eq!(renamed.metadata, fits);
    }

    async fn an_update_happens_only_at_the_version_that_it_names(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        let second = auth.update_user(jane.id).name("One").if_version(jane.version).await.unwrap();
        let error = auth.update_user(jane.id).name("Two").if_version(jane.version).await.unwrap_err();
        assert_eq!(error.code(), "precondition_failed");
        assert_eq!(auth.get_user(jane.id).await.unwrap(), second);

        // Of eight who read the same version one writes.
        let calls = (0..8).map(|n| {
            let call = auth.update_user(jane.id).name(format!("Name {n}")).if_version(second.version);
            async move { call.await.map(|user| user.version).map_err(|error| error.code()) }
        });
        let mut outcomes = join_all(calls).await;
        outcomes.sort();
        let mut expected = vec![Ok(second.version + 1)];
        expected.resize(8, Err("precondition_failed"));
        assert_eq!(outcomes, expected);
    }

    async fn another_address_is_unverified_and_ends_sessions(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = auth.create_user("jane@example.com").password(PASSWORD).email_verified(true).await.unwrap();
        let signed_in = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        let reset = auth.request_password_reset("jane@example.com").await.unwrap().unwrap();
        let before = mark(&auth).await;
        clock.advance(TimeDelta::minutes(1));
        let moved = auth.update_user(jane.id).email("Janet@Example.com").await.unwrap();
        let expected = but!(
            jane, email: "janet@example.com".into(), email_verified: false, updated_at: clock.now(), version: 2,
            last_login_at: Some(jane.created_at)
        );
        assert_eq!(moved, expected);
        assert_eq!(types_after(&auth, before).await, ["user_updated"]);
        assert_eq!(last_event(&auth).await.1, json!({"fields": ["email", "email_verified"]}));
        assert_eq!(is_cut(&auth, signed_in.tokens.access_token.expose_secret()).await, "session_revoked");
        let refresh = auth.refresh(signed_in.tokens.refresh_token.expose_secret()).await.unwrap_err();
        assert_eq!(refresh.code(), "refresh_token_invalid");
        let reset = auth.reset_password(reset.token, "another password").await.unwrap_err();
        assert!(matches!(reset, Error::VerificationTokenInvalid), "{reset:?}");
        // The old address is free, the new one is the login.
        assert!(auth.find_user_by_email("jane@example.com").await.unwrap().is_none());
        assert!(auth.login("janet@example.com", PASSWORD).await.is_ok());

        // The same patch may say that the new one is verified.
        let before = mark(&auth).await;
        let proven = auth.update_user(jane.id).email("j@example.com").email_verified(true).await.unwrap();
        assert!(proven.email_verified);
        assert_eq!(types_after(&auth, before).await, ["user_updated", "email_verified"]);
        // Another spelling is no other address.
        let before = mark(&auth).await;
        assert_eq!(auth.update_user(jane.id).email(" J@EXAMPLE.com").await.unwrap(), proven);
        assert_eq!(types_after(&auth, before).await, Vec::<String>::new());
    }

    async fn nobody_is_given_an_address_that_is_taken(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        user(&auth, "john@example.com").await;
        let before = mark(&auth).await;
        let error = auth.update_user(jane.id).name("Jane").email("JOHN@example.com").await.unwrap_err();
        assert_eq!(error.code(), "user_exists");
        assert_eq!(auth.get_user(jane.id).await.unwrap(), jane);
        assert_eq!(types_after(&auth, before).await, Vec::<String>::new());
    }

    async fn defect_36_an_update_to_what_is_so_already_does_nothing(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = auth
            .create_user("jane@example.com")
            .password(PASSWORD)
            .name("Jané")
            .metadata(object(json!({"b": 1, "a": {"y": 1, "x": 2}})))
            .await
            .unwrap();
        let signed_in = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        let before = (mark(&auth).await, auth.get_user(jane.id).await.unwrap());
        clock.advance(TimeDelta::minutes(1));
        for same in [
            auth.update_user(jane.id),
            auth.update_user(jane.id).name("Jane\u{301}").clear_phone().email_verified(false),
            auth.update_user(jane.id).metadata(object(json!({"a": {"x": 2, "y": 1}, "b": 1}))),
            auth.update_user(jane.id).merge_metadata(object(json!({"c": null, "b": 1}))),
        ] {
            assert_eq!(same.await.unwrap(), before.1);
        }
        assert_eq!(types_after(&auth, before.0).await, Vec::<String>::new());
        assert_eq!(is_cut(&auth, signed_in.tokens.access_token.expose_secret()).await, "alive");
    }

    async fn defect_29_last_login_and_updated_at_are_true(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        let born = clock.now();
        assert_eq!((jane.last_login_at, jane.updated_at), (None, born));
        let times = async || {
            let user = auth.get_user(jane.id).await.unwrap();
            (user.created_at, user.updated_at, user.last_login_at)
        };
        clock.advance(TimeDelta::hours(1));
        let first = clock.now();
        let answered = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap().user.last_login_at;
        assert_eq!(answered, Some(first));
        assert_eq!(times().await, (born, born, Some(first)));

        clock.advance(TimeDelta::hours(1));
        assert!(auth.login("jane@example.com", "wrong password").await.is_err());
        assert_eq!(times().await, (born, born, Some(first)));

        clock.advance(TimeDelta::hours(1));
        auth.create_session(jane.id).await.unwrap();
        let second = clock.now();
        assert_eq!(times().await, (born, born, Some(second)));

        // Each change of the user is one of `updated_at`, and no login.
        for step in 0..7 {
            clock.advance(TimeDelta::hours(1));
            match step {
                0 => drop(auth.update_user(jane.id).name("Jane").await.unwrap()),
                1 => drop(auth.ban_user(jane.id).await.unwrap()),
                2 => drop(auth.unban_user(jane.id).await.unwrap()),
                3 => drop(auth.add_role(jane.id, "editor").await.unwrap()),
                4 => drop(auth.remove_role(jane.id, "editor").immediate(false).await.unwrap()),
                5 => auth.set_password(jane.id, "another password").await.unwrap(),
                _ => drop(auth.update_user(jane.id).email("j@example.com").await.unwrap()),
            }
            assert_eq!(times().await, (born, clock.now(), Some(second)), "step {step}");
        }
        let signed_up = auth.sign_up("john@example.com", PASSWORD).await.unwrap().user;
        assert_eq!((signed_up.created_at, signed_up.last_login_at), (clock.now(), Some(clock.now())));
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

    async fn defect_44_a_ban_has_reason_expiry_actor_and_time(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let root = with_admin(&auth).await;
        let jane = user(&auth, "jane@example.com").await;
        let signed_in = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        clock.advance(TimeDelta::minutes(1));
        // More digits than either engine keeps.
        let until = Utc.with_ymd_and_hms(2030, 1, 8, 0, 0, 0).unwrap() + TimeDelta::nanoseconds(123_456_789);
        let kept = Utc.with_ymd_and_hms(2030, 1, 8, 0, 0, 0).unwrap() + TimeDelta::microseconds(123_456);
        let banned = auth.by(root).ban_user(jane.id).reason(" spam ").expires_at(until).await.unwrap();
        let expected = but!(
            jane, banned: true, ban_reason: Some("spam".into()), ban_expires_at: Some(kept),
            banned_at: Some(clock.now()), banned_by: Some(root), updated_at: clock.now(), version: 2,
            last_login_at: Some(jane.created_at)
        );
        assert_eq!(banned, expected);
        assert_eq!(auth.get_user(jane.id).await.unwrap(), banned);
        let data = json!({"reason": "spam", "expires_at": "2030-01-08T00:00:00.123456Z"});
        assert_eq!(last_event(&auth).await, ("user_banned".into(), data));
        assert_eq!(is_cut(&auth, signed_in.tokens.access_token.expose_secret()).await, "user_banned");
        assert!(auth.refresh(signed_in.tokens.refresh_token.expose_secret()).await.is_err());
        assert_eq!(auth.login("jane@example.com", PASSWORD).await.unwrap_err().code(), "user_banned");
        assert_eq!(auth.login("jane@example.com", "wrong").await.unwrap_err().code(), "invalid_credentials");
        assert_eq!(auth.create_session(jane.id).await.unwrap_err().code(), "user_banned");

        let free = auth.by(root).unban_user(jane.id).await.unwrap();
        let expected = but!(jane, last_login_at: Some(jane.created_at), updated_at: clock.now(), version: 3);
        assert_eq!(free, expected);
        assert_eq!(last_event(&auth).await, ("user_unbanned".into(), json!({})));
        // What the ban ended stays ended.
        assert_eq!(is_cut(&auth, signed_in.tokens.access_token.expose_secret()).await, "session_revoked");
        assert!(auth.login("jane@example.com", PASSWORD).await.is_ok());
    }

    async fn defect_44_an_expired_ban_ends_by_itself(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        let until = clock.now() + TimeDelta::hours(1);
        auth.ban_user(jane.id).reason("cool down").expires_at(until).await.unwrap();
        clock.advance(TimeDelta::hours(1) - TimeDelta::microseconds(1));
        assert!(auth.get_user(jane.id).await.unwrap().banned);
        assert_eq!(auth.get_user_count().banned(true).await.unwrap(), 1);
        assert_eq!(auth.get_user_count().banned(false).await.unwrap(), 0);
        assert!(auth.login("jane@example.com", PASSWORD).await.is_err());

        clock.advance(TimeDelta::microseconds(1));
        let free = auth.get_user(jane.id).await.unwrap();
        let shown = (free.banned, free.ban_reason.clone(), free.ban_expires_at, free.banned_at, free.banned_by);
        assert_eq!(shown, (false, None, None, None, None));
        assert_eq!(auth.list_users().banned(true).await.unwrap().users, []);
        assert_eq!(auth.list_users().banned(false).await.unwrap().users, std::slice::from_ref(&free));
        assert!(auth.login("jane@example.com", PASSWORD).await.is_ok());
        // There is nothing to lift any more, and a ban of the same kind is a new one.
        let before = mark(&auth).await;
        auth.unban_user(jane.id).await.unwrap();
        assert_eq!(types_after(&auth, before).await, Vec::<String>::new());
        let again = auth.ban_user(jane.id).reason("cool down").await.unwrap();
        assert_eq!((again.banned_at, again.ban_expires_at), (Some(clock.now()), None));
        assert_eq!(types_after(&auth, before).await, ["user_banned"]);
    }

    async fn a_ban_that_could_not_last_or_has_no_shape_is_refused(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        let now = clock.now();
        for at in [now, now - TimeDelta::days(1), now + TimeDelta::nanoseconds(1), now + TimeDelta::days(365 * 9000)] {
            let error = auth.ban_user(jane.id).expires_at(at).reason("").await.unwrap_err();
            assert_eq!(faults(&error), ["reason empty", "expires_at out_of_range"], "{at}");
        }
        let error = auth.ban_user(jane.id).reason("x".repeat(1001)).await.unwrap_err();
        assert_eq!(faults(&error), ["reason too_long"]);
        assert_eq!(auth.get_user(jane.id).await.unwrap(), jane);
        assert_eq!(event_types(&auth).await, ["key_rotated", "user_created"]);
    }

    async fn the_same_ban_twice_is_one_and_another_ban_is_one_more_event(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        let until = clock.now() + TimeDelta::days(1);
        let banned = auth.ban_user(jane.id).reason("spam").expires_at(until).await.unwrap();
        let before = mark(&auth).await;
        clock.advance(TimeDelta::minutes(1));
        assert_eq!(auth.ban_user(jane.id).reason("spam ").expires_at(until).await.unwrap(), banned);
        assert_eq!(types_after(&auth, before).await, Vec::<String>::new());

        let changed = auth.ban_user(jane.id).reason("fraud").await.unwrap();
        assert_eq!(
            (changed.ban_reason.as_deref(), changed.ban_expires_at, changed.banned_at),
            (Some("fraud"), None, Some(clock.now()))
        );
        assert_eq!(types_after(&auth, before).await, ["user_banned"]);
        let parallel = join_all((0..8).map(|_| auth.unban_user(jane.id).into_future())).await;
        assert!(parallel.iter().all(Result::is_ok), "{parallel:?}");
        assert_eq!(types_after(&auth, before).await, ["user_banned", "user_unbanned"]);
    }

    async fn defect_38_a_deletion_leaves_nothing_and_says_what_went(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let root = with_admin(&auth).await;
        let jane = auth.create_user("jane@example.com").password(PASSWORD).role("editor").role("author").await.unwrap();
        let signed_in = auth.by(Actor::user(jane.id)).login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        auth.refresh(signed_in.tokens.refresh_token.expose_secret()).await.unwrap();
        auth.create_session(jane.id).await.unwrap();
        auth.link_account(jane.id, "github", "583231").await.unwrap();
        auth.request_email_verification("jane@example.com").await.unwrap().unwrap();
        auth.request_password_reset("jane@example.com").await.unwrap().unwrap();
        // Somebody whom the user banned.
        let john = user(&auth, "john@example.com").await;
        let john = auth.by(jane.id).ban_user(john.id).await.unwrap();
        assert_eq!(john.banned_by, Some(jane.id));
        let raw = Raw::open(&db, 1).await;
        assert_eq!(raw.columns_that_hold(jane.id).await, [
            "authfort_events.user_id", "authfort_events.actor_id", "authfort_oauth_accounts.user_id",
            "authfort_refresh_tokens.user_id", "authfort_sessions.user_id", "authfort_user_roles.user_id",
            "authfort_users.id", "authfort_users.banned_by", "authfort_verification_tokens.user_id",
        ].map(ToOwned::to_owned));

        let receipt = auth.by(root).delete_user(jane.id).await.unwrap();
        assert_eq!(serde_json::to_value(receipt).unwrap(), json!({
            "roles": 2, "refresh_tokens": 3, "sessions": 2, "oauth_accounts": 1, "verification_tokens": 2, "users": 1,
        }));
        let left = raw.columns_that_hold(jane.id).await;
        assert_eq!(left, ["authfort_events.user_id", "authfort_events.actor_id"].map(ToOwned::to_owned));
        assert_eq!(last_event(&auth).await, ("user_deleted".into(), json!({"email": "jane@example.com", "mode": "delete"})));
        assert_eq!(auth.find_user(jane.id).deleted(true).await.unwrap(), None);
        assert!(auth.get_user(john.id).await.unwrap().banned);
        assert_eq!(is_cut(&auth, signed_in.tokens.access_token.expose_secret()).await, "user_not_found");
        assert_eq!(auth.login("jane@example.com", PASSWORD).await.unwrap_err().code(), "invalid_credentials");
    }

    async fn an_anonymised_user_keeps_row_and_id_and_nothing_of_the_person(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = auth
            .create_user("jane@example.com")
            .password(PASSWORD)
            .name("Jane Doe")
            .avatar_url("https://example.com/jane.png")
            .phone("+41 44 668 18 00")
            .email_verified(true)
            .role("editor")
            .metadata(object(json!({"ssn": "123"})))
            .await
            .unwrap();
        auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        auth.link_account(jane.id, "github", "583231").await.unwrap();
        auth.request_password_reset("jane@example.com").await.unwrap().unwrap();
        auth.ban_user(jane.id).reason("spam").await.unwrap();
        clock.advance(TimeDelta::minutes(1));
        let receipt = auth.delete_user(jane.id).anonymize().await.unwrap();
        // The ban took the reset token with it.
        assert_eq!(serde_json::to_value(receipt).unwrap(), json!({
            "roles": 1, "refresh_tokens": 1, "sessions": 1, "oauth_accounts": 1, "verification_tokens": 0, "users": 0,
        }));
        let data = json!({"email": "jane@example.com", "mode": "anonymize"});
        assert_eq!(last_event(&auth).await, ("user_deleted".into(), data));

        assert_eq!(auth.find_user(jane.id).await.unwrap(), None);
        let row = auth.get_user(jane.id).deleted(true).await.unwrap();
        assert_eq!(serde_json::to_value(&row).unwrap(), json!({
            "id": jane.id, "email": format!("deleted+{}@deleted.invalid", jane.id), "email_verified": false,
            "name": "Deleted user", "avatar_url": null, "phone": null, "banned": false, "ban_reason": null,
            "ban_expires_at": null, "roles": [], "metadata": {}, "created_at": jane.created_at,
            "updated_at": clock.now(), "last_login_at": null, "is_deleted": true, "deleted_at": clock.now(),
        }));
        let raw = Raw::open(&db, 1).await;
        assert_eq!(raw.columns_that_hold(jane.id).await, ["authfort_events.user_id", "authfort_users.id"].map(ToOwned::to_owned));
        for term in ["jane", "example", "doe"] {
            assert_eq!(auth.get_user_count().deleted(DeletedFilter::With).query(term).await.unwrap(), 0, "{term}");
        }
        // What is shown of such a user finds them, for whoever asks for them.
        for term in [&row.email, "deleted+", "Deleted.INVALID", "DELETED USER", &jane.id.to_string()] {
            assert_eq!(auth.get_user_count().query(term).await.unwrap(), 0, "{term}");
            for asked in [DeletedFilter::With, DeletedFilter::Only] {
                let found = auth.list_users().deleted(asked).query(term).await.unwrap().users;
                assert_eq!(found, vec![row.clone()], "{term}");
            }
        }
        // The address can register again, and that is somebody else.
        let again = user(&auth, "jane@example.com").await;
        assert_ne!(again.id, jane.id);
        // What was anonymized can still be deleted.
        let receipt = auth.delete_user(jane.id).await.unwrap();
        assert_eq!(receipt.users, 1);
        assert_eq!(raw.columns_that_hold(jane.id).await, ["authfort_events.user_id"].map(ToOwned::to_owned));
    }

    async fn defect_09_an_erased_user_is_not_found_by_anything(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let root = with_admin(&auth).await;
        let jane = user(&auth, "jane@example.com").await;
        let signed_in = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        let verification = auth.request_email_verification("jane@example.com").await.unwrap().unwrap();
        let reset = auth.request_password_reset("jane@example.com").await.unwrap().unwrap();
        auth.delete_user(jane.id).anonymize().await.unwrap();
        let row = auth.get_user(jane.id).deleted(true).await.unwrap();
        let before = mark(&auth).await;
        for (call, code) in each_call(&auth.by(root), jane.id, signed_in.session_id).await {
            assert_eq!(code, "user_not_found", "{call}");
        }
        let receipt = auth.delete_user(jane.id).anonymize().block_email(true).await.unwrap();
        assert_eq!(serde_json::to_value(receipt).unwrap(), json!({
            "roles": 0, "refresh_tokens": 0, "sessions": 0, "oauth_accounts": 0, "verification_tokens": 0, "users": 0,
        }));
        assert_eq!(types_after(&auth, before).await, Vec::<String>::new());

        // Row 39: every way in fails as it does for somebody unknown.
        for email in ["jane@example.com", &row.email] {
            assert_eq!(auth.login(email, PASSWORD).await.unwrap_err().code(), "invalid_credentials");
            assert!(auth.request_email_verification(email).await.unwrap().is_none());
            assert!(auth.request_password_reset(email).await.unwrap().is_none());
            assert!(auth.find_user_by_email(email).await.unwrap().is_none());
        }
        assert!(auth.verify_email(verification.token).await.is_err());
        assert!(auth.reset_password(reset.token, "another password").await.is_err());
        let refresh = signed_in.tokens.refresh_token.expose_secret();
        assert_eq!(auth.refresh(refresh).await.unwrap_err().code(), "refresh_token_invalid");
        assert!(!auth.logout(refresh).await.unwrap());
        assert_eq!(is_cut(&auth, signed_in.tokens.access_token.expose_secret()).await, "user_not_found");
        assert_eq!(auth.get_user(jane.id).deleted(true).await.unwrap(), row);
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

    async fn who_registers_while_the_address_is_deleted_and_blocked_does_not_get_it(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        let john = user(&auth, "john@example.com").await;
        let raw = Raw::open(&db, 1).await;
        let mut tx = raw.begin().await;
        auth.delete_user(jane.id).block_email(true).in_tx(tx.conn()).await.unwrap();
        let creating = tokio::spawn(auth.create_user("Jane@example.com").into_future());
        let changing = tokio::spawn(auth.update_user(john.id).email("jane@example.com").into_future());
        match db.engine() {
            Engine::Postgres => crate::tools::lock_waiters(&db, 2).await,
            // It cannot tell who waits; whoever comes later finds the address blocked as well.
            Engine::Sqlite => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
        tx.commit().await.unwrap();
        assert_eq!(faults(&creating.await.unwrap().unwrap_err()), ["email email_blocked"]);
        assert_eq!(faults(&changing.await.unwrap().unwrap_err()), ["email email_blocked"]);
        assert_eq!(auth.get_user(john.id).await.unwrap().email, "john@example.com");
    }

    async fn defect_10_whether_a_deleted_address_may_return_is_said_explicitly(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        // Unless it is said, the address is free: of a banned user too, as documented.
        let jane = user(&auth, "jane@example.com").await;
        auth.ban_user(jane.id).await.unwrap();
        auth.delete_user(jane.id).await.unwrap();
        let jane = user(&auth, "jane@example.com").await;
        auth.ban_user(jane.id).await.unwrap();
        auth.delete_user(jane.id).block_email(true).await.unwrap();

        let john = user(&auth, "john@example.com").await;
        let before = mark(&auth).await;
        for error in [
            auth.create_user(" JANE@Example.com").await.unwrap_err(),
            auth.sign_up("jane@example.com", PASSWORD).await.unwrap_err(),
            auth.update_user(john.id).email("jane@example.com").await.unwrap_err(),
        ] {
            assert_eq!(faults(&error), ["email email_blocked"]);
        }
        assert_eq!(types_after(&auth, before).await, Vec::<String>::new());
        // Only a hash of it is kept.
        let raw = Raw::open(&db, 1).await;
        assert_eq!(raw.number("SELECT count(*) FROM authfort_blocked_emails").await, 1);
        assert_eq!(raw.number("SELECT length(email_hash)::bigint FROM authfort_blocked_emails".replace("::bigint", match raw {
            Raw::Sqlite(_) => "",
            Raw::Postgres(_) => "::bigint",
        })).await, 32);

        assert!(auth.unblock_email("Jane@example.com ").await.unwrap());
        assert!(!auth.unblock_email("jane@example.com").await.unwrap());
        // Anonymizing blocks as well, where it is asked for.
        let jane = user(&auth, "jane@example.com").await;
        auth.delete_user(jane.id).anonymize().block_email(true).await.unwrap();
        assert_eq!(faults(&auth.create_user("jane@example.com").await.unwrap_err()), ["email email_blocked"]);
    }

    async fn a_table_of_the_application_can_hold_a_user_back(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        raw.execute(format!(
            "CREATE TABLE app_orders (id integer PRIMARY KEY, customer {0} NOT NULL REFERENCES authfort_users (id));
             CREATE TABLE app_notes (id integer PRIMARY KEY, author {0} REFERENCES authfort_users (id) ON DELETE CASCADE);
             CREATE TABLE app_likes (id integer PRIMARY KEY, fan {0} REFERENCES authfort_users (id) ON DELETE SET NULL)",
            raw.id_type()
        )).await.unwrap();
        let jane = auth.create_user("jane@example.com").password(PASSWORD).role("editor").await.unwrap();
        let signed_in = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        auth.link_account(jane.id, "github", "583231").await.unwrap();
        let id = raw.literal(jane.id);
        raw.execute(format!(
            "INSERT INTO app_orders VALUES (1, {id}); INSERT INTO app_notes VALUES (1, {id});
             INSERT INTO app_likes VALUES (1, {id})"
        )).await.unwrap();
        let before = (mark(&auth).await, auth.get_user(jane.id).await.unwrap(), raw.columns_that_hold(jane.id).await);

        let error = auth.delete_user(jane.id).block_email(true).await.unwrap_err();
        assert_eq!(error.code(), "blocked_by_reference");
        assert!(matches!(&error, Error::BlockedByReference { table: Some(table) } if table == "app_orders"), "{error:?}");
        let after = (mark(&auth).await, auth.get_user(jane.id).await.unwrap(), raw.columns_that_hold(jane.id).await);
        assert_eq!(after, before);
        assert_eq!(is_cut(&auth, signed_in.tokens.access_token.expose_secret()).await, "alive");
        assert_eq!(raw.number("SELECT count(*) FROM authfort_blocked_emails").await, 0);

        // Erasing the person is always possible: the row stays.
        auth.delete_user(jane.id).anonymize().await.unwrap();
        raw.execute("DELETE FROM app_orders").await.unwrap();
        assert_eq!(auth.delete_user(jane.id).await.unwrap().users, 1);
        assert_eq!(raw.number("SELECT count(*) FROM app_notes").await, 0);
        assert_eq!(raw.number("SELECT count(*) FROM app_likes WHERE fan IS NULL").await, 1);
    }

    /// A reference that is checked at the commit, and one to a session instead of a user.
    async fn a_reference_that_is_not_seen_beforehand_holds_a_user_back_too(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        raw.execute(format!(
            "CREATE TABLE app_late (customer {0} REFERENCES authfort_users (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TABLE app_carts (session {0} REFERENCES authfort_sessions (id))",
            raw.id_type()
        )).await.unwrap();
        let jane = user(&auth, "jane@example.com").await;
        let session = UserId(auth.create_session(jane.id).await.unwrap().session_id.0);
        for insert in [
            format!("INSERT INTO app_carts VALUES ({})", raw.literal(session)),
            format!("INSERT INTO app_late VALUES ({})", raw.literal(jane.id)),
        ] {
            raw.execute("DELETE FROM app_carts; DELETE FROM app_late").await.unwrap();
            raw.execute(insert.clone()).await.unwrap();
            let before = raw.columns_that_hold(jane.id).await;
            let error = auth.delete_user(jane.id).await.unwrap_err();
            assert_eq!(error.code(), "blocked_by_reference", "{insert}: {error:?}");
            assert_eq!(raw.columns_that_hold(jane.id).await, before, "{insert}");
        }
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

    async fn of_parallel_deletions_one_has_an_effect(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for anonymize in [false, true] {
            let jane = user(&auth, "jane@example.com").await;
            let before = mark(&auth).await;
            let calls = (0..8).map(|_| {
                let call = auth.delete_user(jane.id);
                let call = if anonymize { call.anonymize() } else { call };
                tokio::spawn(async move { call.await.map(|_| ()).map_err(|error| error.code()) })
            });
            let mut outcomes: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
            outcomes.sort();
            let mut expected = vec![Ok(())];
            // What is anonymized already is no error, and what is gone is not found.
            expected.resize(8, if anonymize { Ok(()) } else { Err("user_not_found") });
            assert_eq!(outcomes, expected);
            assert_eq!(types_after(&auth, before).await, ["user_deleted"]);
        }
    }
}

/// Every operation that is given a user's id, with the code that it fails with.
async fn each_call(auth: &AuthFort, id: UserId, session: SessionId) -> Vec<(&'static str, &'static str)> {
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
