//! Access tokens and the keys that sign them: what the guard says, what cuts, rotation, keys at rest, other verifiers.

use std::time::Duration;

use authfort::secrecy::ExposeSecret;
use authfort::{Algorithm, AuthFort, Error, Introspection, SignedIn, UserId};
use authfort_testkit::{Engine, TestDatabase, both_engines, run};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{PASSWORD, admin, builder, clock, service, user};
use crate::tools::{Raw, access, code, guard, lock_waiters, log, refresh};

const EMAIL: &str = "jane@example.com";
const SECRET: &str = "a configured secret of enough bytes";
const OTHER_SECRET: &str = "another configured secret, as long";

async fn is_active(auth: &AuthFort, token: &str) -> bool {
    matches!(auth.introspect(token).await.unwrap(), Introspection::Active(_))
}

/// The header and the claims of a token, unverified.
fn parts(token: &str) -> [Value; 2] {
    use base64::Engine as _;
    let read = |segment: &str| {
        let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(segment).unwrap();
        serde_json::from_slice(&json).unwrap()
    };
    let mut segments = token.split('.');
    [read(segments.next().unwrap()), read(segments.next().unwrap())]
}

fn kid(token: &str) -> String {
    parts(token)[0]["kid"].as_str().unwrap().to_owned()
}

/// The token under a `kid` that no key has.
fn with_kid(token: &str, kid: &str) -> String {
    use base64::Engine as _;
    let header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid}).to_string();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header);
    format!("{header}.{}", token.split_once('.').unwrap().1)
}

fn kids(jwks: &Value) -> Vec<String> {
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Reads a token by another implementation, with nothing but our JWKS.
fn decode(token: &str, jwks: &Value, validate: impl FnOnce(&mut jsonwebtoken::Validation)) -> Option<Value> {
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(jwks.clone()).unwrap();
    let jwk = set.find(&kid(token))?;
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::decode_header(token).unwrap().alg);
    // The clock of the tests stands still, years from now.
    validation.validate_exp = false;
    validate(&mut validation);
    let key = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
    jsonwebtoken::decode::<Value>(token, &key, &validation).ok().map(|data| data.claims)
}

async fn config_error(builder: authfort::Builder, db: &TestDatabase) -> (&'static str, String) {
    match builder.connect(db.url()).await {
        Err(Error::Config { field, message }) => (field, message),
        other => panic!("{other:?}"),
    }
}

both_engines! {
    async fn defect_18_an_access_token_says_what_verifiers_need(db: TestDatabase) {
        let clock = clock();
        let auth = builder(&clock).issuer("https://id.example.com").audience("shop").connect(db.url()).await.unwrap();
        let jane = auth.create_user(EMAIL).name("Jane").role("editor").role("author").await.unwrap();
        let (one, two) = (auth.create_session(jane.id).await.unwrap(), auth.create_session(jane.id).await.unwrap());
        let [header, mut claims] = parts(access(&one));
        assert_eq!(header, json!({"typ": "at+jwt", "alg": "EdDSA", "kid": auth.list_keys().await.unwrap()[0].kid}));
        let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
        assert_ne!(jti, parts(access(&two))[1]["jti"]);
        let now = clock.now().timestamp();
        let expected = json!({
            "sub": jane.id, "email": EMAIL, "name": "Jane", "roles": ["author", "editor"], "ver": 0,
            "sid": one.session_id, "iat": now, "exp": now + 900, "iss": "https://id.example.com", "aud": "shop",
        });
        assert_eq!(claims, expected);
    }

    async fn defect_02_guard_and_introspection_never_differ(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let mut cases: Vec<(String, &'static str)> = Vec::new();
        let fresh = async |email: &str| {
            let id = user(&auth, email).await.id;
            (id, auth.create_session(id).await.unwrap())
        };

        let (_, expired) = fresh("expired@example.com").await;
        clock.advance(TimeDelta::minutes(15));
        cases.push((access(&expired).to_owned(), "token_expired"));

        let (_, live) = fresh("live@example.com").await;
        cases.push((access(&live).to_owned(), "ok"));
        let (_, refreshed) = fresh("refreshed@example.com").await;
        cases.push((access(&refreshed).to_owned(), "ok"));
        cases.push((access(&auth.refresh(refresh(&refreshed)).await.unwrap()).to_owned(), "ok"));
        let (_, out) = fresh("out@example.com").await;
        auth.logout(refresh(&out)).await.unwrap();
        cases.push((access(&out).to_owned(), "session_revoked"));
        let (id, banned) = fresh("banned@example.com").await;
        auth.ban_user(id).await.unwrap();
        cases.push((access(&banned).to_owned(), "user_banned"));
        let (id, unbanned) = fresh("unbanned@example.com").await;
        auth.ban_user(id).expires_at(clock.now() + TimeDelta::seconds(1)).await.unwrap();
        cases.push((access(&unbanned).to_owned(), "user_banned"));
        let (id, deleted) = fresh("deleted@example.com").await;
        auth.delete_user(id).await.unwrap();
        cases.push((access(&deleted).to_owned(), "user_not_found"));
        let (id, erased) = fresh("erased@example.com").await;
        auth.delete_user(id).anonymize().await.unwrap();
        cases.push((access(&erased).to_owned(), "user_not_found"));
        let (id, promoted) = fresh("promoted@example.com").await;
        auth.add_role(id, "editor").await.unwrap();
        cases.push((access(&promoted).to_owned(), "token_version_mismatch"));
        for text in ["", ".", "..", "no token", refresh(&live), &with_kid(access(&live), &"A".repeat(43)), "\0"] {
            cases.push((text.to_owned(), "token_invalid"));
        }

        for (token, expected) in &cases {
            assert_eq!(guard(&auth, token).await, *expected, "{token}");
            assert_eq!(is_active(&auth, token).await, *expected == "ok", "{token}");
        }
        // The ban runs out by itself; what it cut stays cut.
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(guard(&auth, access(&unbanned)).await, "session_revoked");
        // A key that does not count any more.
        auth.rotate_keys().cut_old_tokens().await.unwrap();
        for (token, expected) in &cases {
            let expected = if *expected == "token_expired" { "token_expired" } else { "token_invalid" };
            assert!([expected, "token_invalid"].contains(&guard(&auth, token).await), "{token}");
            assert!(!is_active(&auth, token).await, "{token}");
        }
    }

    async fn introspection_answers_what_the_contract_says(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = auth.create_user(EMAIL).name("Jane").role("editor").await.unwrap();
        auth.add_role(jane.id, "author").await.unwrap();
        let signed_in = auth.create_session(jane.id).await.unwrap();
        let answer = auth.introspect(access(&signed_in)).await.unwrap();
        let now = clock.now().timestamp();
        let expected = json!({
            "active": true, "sub": jane.id, "email": EMAIL, "name": "Jane", "roles": ["author", "editor"],
            "token_version": 1, "exp": now + 900, "iat": now, "iss": "authfort",
        });
        assert_eq!(serde_json::to_value(&answer).unwrap(), expected);
        let principal = auth.authenticate(access(&signed_in)).await.unwrap();
        assert_eq!((principal.email.as_str(), principal.name.as_deref()), (EMAIL, Some("Jane")));
        assert_eq!(principal.roles, ["author", "editor"]);
    }

    async fn row_16_each_of_these_changes_cuts_what_was_handed_out(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        admin(&auth, "root@example.com").await;
        // The change, what the guard says after it, and what a refresh says.
        let changes = [
            ("ban", "user_banned", "refresh_token_invalid"),
            ("delete", "user_not_found", "refresh_token_invalid"),
            ("anonymize", "user_not_found", "refresh_token_invalid"),
            ("set password", "session_revoked", "refresh_token_invalid"),
            ("change password", "session_revoked", "refresh_token_invalid"),
            ("reset password", "session_revoked", "refresh_token_invalid"),
            ("email", "session_revoked", "refresh_token_invalid"),
            ("demotion", "token_version_mismatch", "ok"),
        ];
        for (change, guarded, refreshed) in changes {
            let email = format!("{}@example.com", change.replace(' ', "-"));
            let id = admin(&auth, &email).await.id;
            let signed_in = auth.create_session(id).await.unwrap();
            let verification = auth.request_email_verification(&email).await.unwrap().unwrap().token;
            let reset = auth.request_password_reset(&email).await.unwrap().unwrap().token;
            let version = format!("SELECT token_version FROM authfort_users WHERE email = '{email}'");
            let before = Raw::open(&db).await.count(version.as_str()).await;
            assert_eq!(guard(&auth, access(&signed_in)).await, "ok");

            match change {
                "ban" => drop(auth.ban_user(id).await.unwrap()),
                "delete" => drop(auth.delete_user(id).await.unwrap()),
                "anonymize" => drop(auth.delete_user(id).anonymize().await.unwrap()),
                "set password" => auth.set_password(id, "another password").await.unwrap(),
                "change password" => auth.change_password(id, PASSWORD, "another password").await.unwrap(),
                "reset password" => {
                    assert_eq!(auth.reset_password(reset.clone(), "another password").await.unwrap(), id);
                }
                "email" => drop(auth.update_user(id).email("new@example.com").await.unwrap()),
                "demotion" => drop(auth.remove_role(id, "admin").await.unwrap()),
                other => panic!("{other}"),
            }

            assert_eq!(guard(&auth, access(&signed_in)).await, guarded, "{change}");
            assert_eq!(code(&auth.refresh(refresh(&signed_in)).await), refreshed, "{change}");
            if change == "demotion" {
                // Another role is another token; address and password are what they were.
                assert!(auth.verify_email(verification).await.is_ok());
                assert!(auth.reset_password(reset, "another password").await.is_ok());
            } else {
                assert_eq!(code(&auth.verify_email(verification).await), "validation_failed", "{change}");
                assert_eq!(code(&auth.reset_password(reset, "a third password").await), "validation_failed", "{change}");
            }
            if matches!(change, "ban" | "set password" | "change password" | "reset password") {
                assert_eq!(Raw::open(&db).await.count(version).await, before + 1, "{change}");
            }
        }
    }

    async fn row_16_the_session_that_is_kept_goes_on_after_a_refresh(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let (here, there) = (auth.login(EMAIL, PASSWORD).await.unwrap(), auth.login(EMAIL, PASSWORD).await.unwrap());
        auth.change_password(jane.id, PASSWORD, "another password").keep_session(here.session_id).await.unwrap();
        assert_eq!(guard(&auth, access(&here)).await, "token_version_mismatch");
        assert_eq!(guard(&auth, access(&there)).await, "session_revoked");
        assert_eq!(code(&auth.refresh(refresh(&there)).await), "refresh_token_invalid");
        let here = auth.refresh(refresh(&here)).await.unwrap();
        assert_eq!(guard(&auth, access(&here)).await, "ok");
    }

    async fn defect_04_row_10_a_retired_key_verifies_until_its_tokens_have_run_out_and_no_longer(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        user(&auth, EMAIL).await;
        // A token that outlives its key: from a node with other settings.
        let generous = builder(&clock).access_ttl(Duration::from_hours(1)).connect(db.url()).await.unwrap();
        let (short, long) = (auth.login(EMAIL, PASSWORD).await.unwrap(), generous.login(EMAIL, PASSWORD).await.unwrap());
        let new = auth.rotate_keys().await.unwrap();
        assert_ne!(kid(access(&short)), new.kid);

        clock.advance(TimeDelta::minutes(15) - TimeDelta::seconds(1));
        assert_eq!(guard(&auth, access(&short)).await, "ok");
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(guard(&auth, access(&short)).await, "token_expired");
        assert_eq!(guard(&auth, access(&long)).await, "ok");
        // Nobody signs with it any more, not even who has not heard of the rotation.
        clock.advance(TimeDelta::seconds(5));
        for auth in [&auth, &generous] {
            assert_eq!(guard(auth, access(&long)).await, "token_invalid");
            assert!(!is_active(auth, access(&long)).await);
            assert_eq!(kids(&auth.jwks().await.unwrap()), [new.kid.as_str()]);
        }
        let rows = Raw::open(&db).await.texts("SELECT kid FROM authfort_signing_keys").await;
        assert!(rows.contains(&kid(access(&long))), "the row is there, and counts for nothing");
    }

    async fn row_10_tokens_of_a_leaked_key_are_cut_at_once_on_every_node(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let elsewhere = builder(&clock).connect(db.url()).await.unwrap();
        user(&auth, EMAIL).await;
        let older = auth.login(EMAIL, PASSWORD).await.unwrap();
        auth.rotate_keys().await.unwrap();
        let old = auth.login(EMAIL, PASSWORD).await.unwrap();
        assert_eq!(guard(&elsewhere, access(&older)).await, "ok");
        assert_eq!(guard(&elsewhere, access(&old)).await, "ok");

        let new = auth.rotate_keys().cut_old_tokens().await.unwrap();
        for auth in [&auth, &elsewhere] {
            assert_eq!(guard(auth, access(&older)).await, "token_invalid");
            assert_eq!(guard(auth, access(&old)).await, "token_invalid");
        }
        assert_eq!(kids(&auth.jwks().await.unwrap()), [new.kid.as_str()]);
        // The sessions live: a refresh brings a token of the new key.
        clock.advance(TimeDelta::seconds(1));
        let fresh = auth.refresh(refresh(&old)).await.unwrap();
        assert_eq!(kid(access(&fresh)), new.kid);
        assert_eq!(guard(&elsewhere, access(&fresh)).await, "ok");
    }

    async fn defect_12_row_10_nodes_that_rotate_at_once_leave_one_current_key(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let elsewhere = builder(&clock).connect(db.url()).await.unwrap();
        for _ in 0..5 {
            let calls: Vec<_> =
                [&auth, &elsewhere, &auth, &elsewhere].map(|node| tokio::spawn(node.rotate_keys().into_future())).into();
            for call in calls {
                call.await.unwrap().unwrap();
            }
            let keys = auth.list_keys().await.unwrap();
            let current: Vec<_> = keys.iter().filter(|key| key.current).collect();
            assert_eq!(current.len(), 1, "{keys:?}");
            assert!(keys.iter().all(|key| key.current == key.expires_at.is_none()), "{keys:?}");
        }
        // Each key took over from the one before it: the log is one chain.
        let page = auth.list_events().r#type("key_rotated").order(authfort::SortOrder::Asc).limit(200).await.unwrap();
        let mut before = Value::Null;
        for event in &page.events {
            assert_eq!(event.data["old_kid"], before);
            before = event.data["new_kid"].clone();
        }
        assert_eq!(page.events.len(), auth.list_keys().await.unwrap().len());
    }

    async fn row_10_cutting_holds_also_when_another_node_rotates_at_the_same_instant(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let elsewhere = builder(&clock).connect(db.url()).await.unwrap();
        user(&auth, EMAIL).await;
        let leaked = auth.login(EMAIL, PASSWORD).await.unwrap();
        let mut raw = Raw::open(&db).await;
        raw.execute(if db.engine() == Engine::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" }).await;
        raw.execute("UPDATE authfort_signing_keys SET created_at = created_at").await;
        // On PostgreSQL both have read which key signs and wait for its row, the other node first.
        let mut calls = Vec::new();
        for (node, cut) in [(&elsewhere, false), (&auth, true)] {
            let call = if cut { node.rotate_keys().cut_old_tokens() } else { node.rotate_keys() };
            calls.push(tokio::spawn(call.into_future()));
            if db.engine() == Engine::Postgres {
                lock_waiters(&db, calls.len()).await;
            }
        }
        raw.execute("COMMIT").await;
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert_eq!(guard(&auth, access(&leaked)).await, "token_invalid");
        assert_eq!(guard(&elsewhere, access(&leaked)).await, "token_invalid");
        assert_eq!(auth.list_keys().await.unwrap().iter().filter(|key| key.current).count(), 1);
    }

    async fn row_10_a_key_is_published_before_its_first_token_is_out(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let elsewhere = builder(&clock).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..5 {
            // An unknown key id makes a node read its keys once a second.
            clock.advance(TimeDelta::seconds(1));
            let rotating = tokio::spawn(auth.rotate_keys().into_future());
            loop {
                let done = rotating.is_finished();
                let signed_in = auth.create_session(jane.id).await.unwrap();
                let jwks = elsewhere.jwks().await.unwrap();
                assert!(kids(&jwks).contains(&kid(access(&signed_in))));
                assert_eq!(guard(&elsewhere, access(&signed_in)).await, "ok");
                seen.insert(kid(access(&signed_in)));
                if done {
                    break;
                }
            }
            rotating.await.unwrap().unwrap();
        }
        assert!(seen.len() > 1, "no rotation was seen");
    }

    async fn row_10_a_token_of_another_nodes_fresh_key_is_accepted_at_once(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let elsewhere = builder(&clock).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        // Its keys are as fresh as can be, and yet it does not know this one.
        assert_eq!(guard(&elsewhere, access(&auth.create_session(jane.id).await.unwrap())).await, "ok");
        auth.rotate_keys().await.unwrap();
        let signed_in = auth.create_session(jane.id).await.unwrap();
        let calls: Vec<_> = (0..10)
            .map(|_| {
                let (node, token) = (elsewhere.clone(), access(&signed_in).to_owned());
                tokio::spawn(async move { guard(&node, &token).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), "ok");
        }
    }

    async fn a_node_that_did_not_hear_of_a_rotation_signs_with_the_old_key_for_five_seconds_at_most(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let elsewhere = builder(&clock).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let new = auth.rotate_keys().await.unwrap();
        let old = elsewhere.create_session(jane.id).await.unwrap();
        assert_ne!(kid(access(&old)), new.kid);
        assert_eq!(guard(&auth, access(&old)).await, "ok");
        clock.advance(TimeDelta::seconds(5));
        assert_eq!(kid(access(&elsewhere.create_session(jane.id).await.unwrap())), new.kid);
    }

    async fn row_03_a_flood_of_unknown_key_ids_asks_the_database_once(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        let unknown = |n: u32| with_kid(access(&signed_in), &format!("{n:043}"));
        assert_eq!(guard(&auth, &unknown(0)).await, "token_invalid");
        // From here on, whoever reads the keys fails.
        let mut raw = Raw::open(&db).await;
        raw.execute("ALTER TABLE authfort_signing_keys RENAME TO hidden").await;
        for n in 0..1000 {
            assert_eq!(guard(&auth, &unknown(n)).await, "token_invalid");
        }
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(guard(&auth, &unknown(0)).await, "internal");
        assert_eq!(guard(&auth, &unknown(0)).await, "token_invalid");
        raw.execute("ALTER TABLE hidden RENAME TO authfort_signing_keys").await;
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
    }

    async fn another_algorithm_takes_over_when_the_service_starts_again(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        user(&auth, EMAIL).await;
        let old = auth.login(EMAIL, PASSWORD).await.unwrap();
        let restarted = builder(&clock).algorithm(Algorithm::Es256).connect(db.url()).await.unwrap();
        let new = restarted.login(EMAIL, PASSWORD).await.unwrap();
        assert_eq!((parts(access(&old))[0]["alg"].as_str(), parts(access(&new))[0]["alg"].as_str()), (Some("EdDSA"), Some("ES256")));
        assert_eq!(guard(&restarted, access(&old)).await, "ok");
        assert_eq!(guard(&restarted, access(&new)).await, "ok");
        let keys = restarted.list_keys().await.unwrap();
        assert_eq!(keys.iter().map(|k| (k.algorithm.as_str(), k.current)).collect::<std::collections::BTreeSet<_>>(),
            [("ES256", true), ("EdDSA", false)].into());
        // Once more with the same: nothing changes.
        let again = builder(&clock).algorithm(Algorithm::Es256).connect(db.url()).await.unwrap();
        assert_eq!(again.list_keys().await.unwrap(), keys);
    }

    async fn defect_17_private_keys_are_sealed_by_the_configured_secret(db: TestDatabase) {
        let clock = clock();
        let sealed = || builder(&clock).secret(SECRET);
        let auth = sealed().connect(db.url()).await.unwrap();
        user(&auth, EMAIL).await;
        auth.rotate_keys().await.unwrap();
        let mut raw = Raw::open(&db).await;
        let stored = raw.texts("SELECT private_key FROM authfort_signing_keys").await;
        assert_eq!(stored.len(), 2);
        // The one that signs is sealed; of a retired one only the public half is kept.
        let sealed_keys = stored.iter().filter(|key| key.starts_with("v1.")).count();
        assert_eq!((sealed_keys, stored.iter().filter(|key| key.is_empty()).count()), (1, 1));
        assert!(!raw.dump().await.contains(SECRET));
        // Who has the secret goes on with the same keys.
        let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap();
        let restarted = sealed().connect(db.url()).await.unwrap();
        assert_eq!(guard(&restarted, access(&signed_in)).await, "ok");
        assert_eq!(restarted.list_keys().await.unwrap().len(), 2);

        let (field, message) = config_error(builder(&clock).secret(OTHER_SECRET), &db).await;
        assert_eq!(field, "secret");
        assert!(message.ends_with("was it changed since that was stored?"), "{message}");
        let missing = ("secret", "is missing: the signing keys of this database are encrypted".to_owned());
        assert_eq!(config_error(builder(&clock), &db).await, missing);
        assert_eq!(config_error(builder(&clock).secret("short"), &db).await.0, "secret");
        // None of them left a key of its own behind.
        assert_eq!(raw.texts("SELECT private_key FROM authfort_signing_keys").await.len(), 2);
    }

    async fn a_secret_that_comes_later_seals_the_key_at_the_next_start(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        user(&auth, EMAIL).await;
        let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap();
        let mut raw = Raw::open(&db).await;
        let sealed = "SELECT count(*) FROM authfort_signing_keys WHERE private_key LIKE 'v1.%'";
        assert_eq!(raw.count(sealed).await, 0);

        let auth = builder(&clock).secret(SECRET).connect(db.url()).await.unwrap();
        assert_eq!(raw.count(sealed).await, 1);
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap();
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        assert_eq!(config_error(builder(&clock), &db).await.0, "secret");
        // It can be read again.
        let again = builder(&clock).secret(SECRET).connect(db.url()).await.unwrap();
        assert_eq!(guard(&again, access(&again.login(EMAIL, PASSWORD).await.unwrap())).await, "ok");
    }

    async fn tokens_of_other_issuers_and_audiences_are_refused(db: TestDatabase) {
        let clock = clock();
        let auth = builder(&clock).audience("shop").connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        for other in [
            builder(&clock),
            builder(&clock).audience("blog"),
            builder(&clock).audience("shop").issuer("https://id.example.com"),
        ] {
            let other = other.connect(db.url()).await.unwrap();
            assert_eq!(guard(&other, access(&signed_in)).await, "token_invalid");
            assert!(!is_active(&other, access(&signed_in)).await);
            let theirs = other.create_session(jane.id).await.unwrap();
            assert_eq!(guard(&other, access(&theirs)).await, "ok");
            assert_eq!(guard(&auth, access(&theirs)).await, "token_invalid");
        }
        let jwks = auth.jwks().await.unwrap();
        assert!(decode(access(&signed_in), &jwks, |v| v.set_audience(&["shop"])).is_some());
        assert!(decode(access(&signed_in), &jwks, |v| v.set_audience(&["blog"])).is_none());
    }

    async fn row_06_leeway_counts_at_the_end_of_a_token(db: TestDatabase) {
        let clock = clock();
        let auth = builder(&clock).leeway(Duration::from_secs(30)).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        clock.advance(TimeDelta::seconds(929));
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(guard(&auth, access(&signed_in)).await, "token_expired");
    }

    async fn row_05_a_token_of_another_services_database_is_refused(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let other_db = TestDatabase::create(db.engine()).await;
        let other = builder(&clock).connect(other_db.url()).await.unwrap();
        let theirs: SignedIn = other.create_session(user(&other, EMAIL).await.id).await.unwrap();
        assert_eq!(guard(&auth, access(&theirs)).await, "token_invalid");
        // Even under a key that both know, nobody of that name is here.
        let mut raw = Raw::open(&db).await;
        let ours = Raw::open(&other_db).await.texts("SELECT public_jwk FROM authfort_signing_keys").await.remove(0);
        let kid = kid(access(&theirs));
        raw.execute(format!(
            "INSERT INTO authfort_signing_keys (kid, algorithm, public_jwk, private_key, current, created_at)
             SELECT '{kid}', algorithm, '{ours}', private_key, FALSE, created_at FROM authfort_signing_keys"
        ))
        .await;
        clock.advance(TimeDelta::seconds(6));
        assert_eq!(guard(&auth, access(&theirs)).await, "user_not_found");
    }

    async fn rotations_are_in_the_log_and_name_their_actor(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let root = admin(&auth, "root@example.com").await;
        let old = auth.list_keys().await.unwrap().remove(0);
        let new = auth.by(root.id).rotate_keys().await.unwrap();
        let page = auth.list_events().r#type("key_rotated").await.unwrap();
        let event = &page.events[0];
        assert_eq!(Value::from(event.data.clone()), json!({"old_kid": old.kid, "new_kid": new.kid}));
        assert_eq!((event.user_id, event.actor_id), (None, Some(root.id)));
        assert_eq!(log(&auth, root.id).await.len(), 2, "and it is no event of that user");
    }
}

/// Each algorithm with and without a secret, on one engine: nothing of this depends on it.
#[test]
fn row_10_the_jwks_never_holds_a_private_member_and_others_verify_by_it() {
    run(Engine::Sqlite, async |db| {
        drop(db);
        let clock = clock();
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            for secret in [None, Some(SECRET)] {
                let mut options = builder(&clock).algorithm(algorithm);
                if let Some(secret) = secret {
                    options = options.secret(secret);
                }
                let auth = options.connect("sqlite::memory:").await.unwrap();
                auth.rotate_keys().await.unwrap();
                let id: UserId = user(&auth, EMAIL).await.id;
                let signed_in = auth.create_session(id).await.unwrap();
                let jwks = auth.jwks().await.unwrap();
                assert_eq!(jwks.as_object().unwrap().keys().collect::<Vec<_>>(), ["keys"]);
                assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);
                for jwk in jwks["keys"].as_array().unwrap() {
                    for member in jwk.as_object().unwrap().keys() {
                        let public = ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"];
                        assert!(public.contains(&member.as_str()), "{algorithm}: {member}");
                    }
                }
                let claims = decode(access(&signed_in), &jwks, |v| v.set_issuer(&["authfort"])).unwrap();
                assert_eq!(claims, parts(access(&signed_in))[1]);
                let (rest, signature) = access(&signed_in).rsplit_once('.').unwrap();
                let forged = format!("{rest}.{}", signature.chars().rev().collect::<String>());
                assert_eq!(decode(&forged, &jwks, |_| {}), None);
                assert_eq!(signed_in.tokens.access_token.expose_secret(), access(&signed_in));
            }
        }
    });
}
