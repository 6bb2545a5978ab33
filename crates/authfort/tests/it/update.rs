//! Changing users.

use authfort::secrecy::ExposeSecret;
use authfort::{Error, User};
use authfort_testkit::{TestDatabase, both_engines};
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use crate::support::{PASSWORD, builder, clock, service, user};
use crate::users::*;

both_engines! {
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

    async fn metadata_cannot_hold_names_that_a_parser_of_json_reserves(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let hidden = object(json!({"m": [{"b": 1, "$serde_json::private::RawValue": "x"}]}));
        let error = auth.create_user("jane@example.com").metadata(hidden.clone()).await.unwrap_err();
        assert_eq!(faults(&error), ["metadata reserved"]);
        let jane = user(&auth, "jane@example.com").await.id;
        for call in [auth.update_user(jane).metadata(hidden.clone()), auth.update_user(jane).merge_metadata(hidden)] {
            assert_eq!(faults(&call.await.unwrap_err()), ["metadata reserved"]);
        }
        assert!(auth.get_user(jane).await.unwrap().metadata.is_empty());
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
}
