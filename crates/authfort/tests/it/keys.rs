//! Signing keys: published ahead, rotated, cut, and how their private halves lie in the database.

use std::time::Duration;

use authfort::{Algorithm, AuthFort, Clock, JWKS_MAX_AGE, KeyInfo};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{PASSWORD, admin, builder, clock, service, user};
use crate::tokens::{OTHER_SECRET, SECRET, config_error, is_active, kid, kids, parts};
use crate::tools::{Raw, access, code, guard, lock_waiters, log, refresh};

const EMAIL: &str = "jane@example.com";

/// From a rotation until the new key signs: five minutes for who keeps the JWKS, and half a minute by which nodes may
/// differ.
const AHEAD: TimeDelta = TimeDelta::seconds(330);

fn kid_that_signs(keys: &[KeyInfo]) -> &str {
    let current: Vec<_> = keys.iter().filter(|key| key.current).collect();
    assert_eq!(current.len(), 1, "{keys:?}");
    &current[0].kid
}

/// Private halves that are still there.
async fn private_halves(raw: &mut Raw) -> i64 {
    raw.count("SELECT count(*) FROM authfort_signing_keys WHERE private_key <> ''").await
}

/// Breaks the private half of a key, or what else is said.
async fn spoil(raw: &mut Raw, kid: &str, column: &str, value: &str) {
    let sql = format!("UPDATE authfort_signing_keys SET {column} = '{value}' WHERE kid = '{kid}'");
    assert_eq!(raw.execute(sql).await, 1);
}

both_engines! {
    async fn whoever_kept_the_public_keys_for_their_whole_time_reads_every_token(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let elsewhere = builder(&clock).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        // What each node published and signed with, second by second.
        let kept = usize::try_from(JWKS_MAX_AGE.as_secs()).unwrap();
        let mut published: Vec<[Vec<String>; 2]> = Vec::new();
        let mut signed_with = Vec::new();
        for second in 0..360 {
            if second == 3 {
                auth.rotate_keys().await.unwrap();
            }
            published.push([kids(&elsewhere.jwks().await), kids(&auth.jwks().await)]);
            for node in [&elsewhere, &auth] {
                let kid = kid(access(&node.create_session(jane.id).await.unwrap()));
                let copies = published.iter().rev().take(kept).flatten();
                assert!(copies.into_iter().all(|kids| kids.contains(&kid)), "second {second}");
                signed_with.push((second, kid));
            }
            clock.advance(TimeDelta::seconds(1));
        }
        let changes: Vec<_> = signed_with.windows(2).filter(|pair| pair[0].1 != pair[1].1).map(|pair| pair[1].0).collect();
        assert_eq!(changes, [333], "both in the same second, also the one that did not hear of it");
    }

    async fn a_new_key_verifies_at_once_and_signs_when_its_time_has_come(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let elsewhere = builder(&clock).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let old = auth.list_keys().await.unwrap().remove(0);
        assert!(old.current, "the first key of a database signs at once");
        let new = auth.rotate_keys().await.unwrap();
        assert_eq!((new.current, new.created_at, new.expires_at), (false, clock.now(), None));
        let retires = clock.now() + AHEAD + TimeDelta::minutes(15) + TimeDelta::seconds(30);
        for step in [AHEAD - TimeDelta::microseconds(1), TimeDelta::microseconds(1)] {
            assert_eq!(kid(access(&elsewhere.create_session(jane.id).await.unwrap())), old.kid);
            let keys = auth.list_keys().await.unwrap();
            assert_eq!(kid_that_signs(&keys), old.kid);
            assert_eq!(keys.iter().find(|key| key.kid == old.kid).unwrap().expires_at, Some(retires));
            assert_eq!(kids(&auth.jwks().await).len(), 2);
            clock.advance(step);
        }
        for node in [&auth, &elsewhere] {
            assert_eq!(kid(access(&node.create_session(jane.id).await.unwrap())), new.kid);
            assert_eq!(kid_that_signs(&node.list_keys().await.unwrap()), new.kid);
        }
    }

    async fn while_a_new_key_waits_it_is_the_answer_of_every_rotation(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let new = auth.rotate_keys().await.unwrap();
        clock.advance(AHEAD - TimeDelta::seconds(1));
        assert_eq!(auth.rotate_keys().await.unwrap(), new);
        assert_eq!(auth.list_events().r#type("key_rotated").await.unwrap().events.len(), 2);
        assert_eq!(auth.list_keys().await.unwrap().len(), 2);
        clock.advance(TimeDelta::seconds(1));
        let next = auth.rotate_keys().await.unwrap();
        assert_ne!(next.kid, new.kid);
        assert_eq!(kid_that_signs(&auth.list_keys().await.unwrap()), new.kid);
    }

    async fn defect_04_a_retired_key_verifies_until_its_tokens_have_run_out_and_no_longer(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        user(&auth, EMAIL).await;
        // A token that outlives its key: from a node with other settings.
        let generous = builder(&clock).access_ttl(Duration::from_hours(1)).connect(db.url()).await.unwrap();
        let new = auth.rotate_keys().await.unwrap();
        clock.advance(AHEAD - TimeDelta::seconds(1));
        let (short, long) = (auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap(), generous.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap());
        assert_ne!(kid(access(&short)), new.kid);

        clock.advance(TimeDelta::minutes(15) - TimeDelta::seconds(1));
        assert_eq!(guard(&auth, access(&short)).await, "ok");
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(guard(&auth, access(&short)).await, "token_expired");
        assert_eq!(guard(&auth, access(&long)).await, "ok");
        // Nobody has signed with it for so long, not even who had not heard of the rotation for a moment.
        clock.advance(TimeDelta::seconds(31));
        for auth in [&auth, &generous] {
            assert_eq!(guard(auth, access(&long)).await, "token_invalid");
            assert!(!is_active(auth, access(&long)).await);
            assert_eq!(kids(&auth.jwks().await), [new.kid.as_str()]);
        }
        let rows = Raw::open(&db).await.texts("SELECT kid FROM authfort_signing_keys").await;
        assert!(rows.contains(&kid(access(&long))), "the row is there, and counts for nothing");
    }

    async fn tokens_of_a_leaked_key_are_cut_at_once_on_every_node(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let elsewhere = builder(&clock).guard_staleness(Duration::ZERO).connect(db.url()).await.unwrap();
        user(&auth, EMAIL).await;
        let older = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        auth.rotate_keys().await.unwrap();
        clock.advance(AHEAD);
        let old = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        // One more, which never comes to sign.
        let waiting = auth.rotate_keys().await.unwrap();
        for token in [&older, &old] {
            assert_eq!(guard(&elsewhere, access(token)).await, "ok");
        }

        let new = auth.rotate_keys().revoke_old_tokens().await.unwrap();
        assert!(new.current && new.kid != waiting.kid);
        for auth in [&auth, &elsewhere] {
            assert_eq!(guard(auth, access(&older)).await, "token_invalid");
            assert_eq!(guard(auth, access(&old)).await, "token_invalid");
        }
        assert_eq!(kids(&auth.jwks().await), [new.kid.as_str()]);
        assert_eq!(private_halves(&mut Raw::open(&db).await).await, 1);
        // The sessions live: a refresh brings a token of the new key.
        clock.advance(TimeDelta::seconds(1));
        let fresh = auth.refresh(refresh(&old)).await.unwrap();
        assert_eq!(kid(access(&fresh)), new.kid);
        assert_eq!(guard(&elsewhere, access(&fresh)).await, "ok");
        // Nor does the one that waited when its time comes.
        clock.advance(AHEAD);
        assert_eq!(kid(access(&elsewhere.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap())), new.kid);
        assert_eq!(kid_that_signs(&auth.list_keys().await.unwrap()), new.kid);
    }

    async fn defect_12_nodes_that_rotate_at_once_leave_one_current_key(db: TestDatabase) {
        // Clocks a few seconds apart, the last one the furthest behind.
        let clocks: Vec<_> = (0..5).map(|n| Clock::fixed(clock().now() - TimeDelta::seconds(n))).collect();
        let mut nodes = Vec::new();
        for clock in &clocks {
            nodes.push(builder(clock).connect(db.url()).await.unwrap());
        }
        let jane = user(&nodes[0], EMAIL).await;
        for round in 0..5 {
            for clock in &clocks {
                clock.advance(AHEAD + TimeDelta::seconds(30));
            }
            let calls: Vec<_> = nodes.iter().map(|node| tokio::spawn(node.rotate_keys().into_future())).collect();
            let mut answers = std::collections::BTreeSet::new();
            for call in calls {
                answers.insert(call.await.unwrap().unwrap().kid);
            }
            assert_eq!(answers.len(), 1, "round {round}: one new key, which all of them answer");
            for node in &nodes {
                let keys = node.list_keys().await.unwrap();
                assert_eq!(keys.len(), round + 2);
                kid_that_signs(&keys);
                let last: Vec<_> = keys.iter().filter(|key| key.expires_at.is_none()).collect();
                assert!(last.len() == 1 && answers.contains(&last[0].kid), "{keys:?}");
                // Whoever signs, all of them read it.
                let signed_in = node.create_session(jane.id).await.unwrap();
                for other in &nodes {
                    assert_eq!(guard(other, access(&signed_in)).await, "ok");
                }
            }
        }
        // Each key stands behind the one before it: the log is one chain.
        let page = nodes[0].list_events().r#type("key_rotated").order(authfort::SortOrder::Asc).limit(200).await.unwrap();
        let mut chain = vec![Value::Null];
        for _ in &page.events {
            let next = page.events.iter().find(|event| &event.data["old_kid"] == chain.last().unwrap()).unwrap();
            chain.push(next.data["new_kid"].clone());
        }
        assert_eq!(page.events.len(), 6);
    }

    async fn cutting_holds_also_when_another_node_rotates_at_the_same_instant(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let elsewhere = builder(&clock).connect(db.url()).await.unwrap();
        user(&auth, EMAIL).await;
        let leaked = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let mut raw = Raw::open(&db).await;
        raw.execute(if db.engine() == Engine::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" }).await;
        raw.execute("UPDATE authfort_signing_keys SET created_at = created_at").await;
        // On PostgreSQL both have read which key signs and wait for its row, the other node first.
        let mut calls = Vec::new();
        for (node, cut) in [(&elsewhere, false), (&auth, true)] {
            let call = if cut { node.rotate_keys().revoke_old_tokens() } else { node.rotate_keys() };
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
        kid_that_signs(&auth.list_keys().await.unwrap());
        let fresh = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        assert_eq!(guard(&elsewhere, access(&fresh)).await, "ok");
    }

    async fn a_token_of_another_nodes_fresh_key_is_accepted_at_once(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let elsewhere = builder(&clock).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        // Its keys are as fresh as can be, and yet it does not know this one.
        assert_eq!(guard(&elsewhere, access(&auth.create_session(jane.id).await.unwrap())).await, "ok");
        auth.rotate_keys().revoke_old_tokens().await.unwrap();
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

    async fn a_node_that_did_not_hear_of_a_cut_signs_for_five_seconds_at_most_and_nobody_is_let_in_by_it(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let elsewhere = builder(&clock).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        elsewhere.create_session(jane.id).await.unwrap();
        let new = auth.rotate_keys().revoke_old_tokens().await.unwrap();
        let old = elsewhere.create_session(jane.id).await.unwrap();
        assert_ne!(kid(access(&old)), new.kid);
        for node in [&auth, &elsewhere] {
            assert_eq!(guard(node, access(&old)).await, "token_invalid");
        }
        clock.advance(TimeDelta::seconds(5));
        assert_eq!(kid(access(&elsewhere.create_session(jane.id).await.unwrap())), new.kid);
        assert_eq!(kids(&elsewhere.jwks().await), [new.kid.as_str()]);
    }

    async fn another_algorithm_takes_over_when_the_service_starts_again(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        user(&auth, EMAIL).await;
        let old = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        // A key of the old algorithm waits already: it has its turn.
        let waiting = auth.rotate_keys().await.unwrap();
        clock.advance(TimeDelta::seconds(60));
        let restarted = builder(&clock).algorithm(Algorithm::Es256).connect(db.url()).await.unwrap();
        let mut turns = Vec::new();
        for _ in 0..4 {
            let signed_in = restarted.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
            assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
            assert_eq!(guard(&restarted, access(&signed_in)).await, "ok");
            turns.push((kid(access(&signed_in)) == waiting.kid, parts(access(&signed_in))[0]["alg"].clone()));
            clock.advance(TimeDelta::minutes(5));
        }
        assert_eq!(turns, [(false, json!("EdDSA")), (true, json!("EdDSA")), (false, json!("ES256")), (false, json!("ES256"))]);
        assert_eq!(parts(access(&old))[0]["alg"], "EdDSA");
        // Once more with the same: nothing changes.
        let keys = restarted.list_keys().await.unwrap();
        assert_eq!(keys.len(), 3);
        let again = builder(&clock).algorithm(Algorithm::Es256).connect(db.url()).await.unwrap();
        assert_eq!(again.list_keys().await.unwrap(), keys);
    }

    async fn the_private_half_of_a_key_is_forgotten_once_the_next_one_signs(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let mut raw = Raw::open(&db).await;
        let forgotten = async |raw: &mut Raw| {
            while private_halves(raw).await > 1 {
                tokio::task::yield_now().await;
            }
        };
        // By a node that signs.
        auth.rotate_keys().await.unwrap();
        clock.advance(AHEAD);
        auth.create_session(jane.id).await.unwrap();
        assert_eq!(private_halves(&mut raw).await, 2, "a node whose clock is behind may still need it");
        clock.advance(TimeDelta::seconds(5));
        auth.create_session(jane.id).await.unwrap();
        forgotten(&mut raw).await;
        // By a start.
        auth.rotate_keys().await.unwrap();
        assert_eq!(private_halves(&mut raw).await, 2);
        clock.advance(AHEAD + TimeDelta::seconds(5));
        let restarted = builder(&clock).connect(db.url()).await.unwrap();
        forgotten(&mut raw).await;
        // By the next rotation.
        restarted.rotate_keys().await.unwrap();
        clock.advance(AHEAD + TimeDelta::seconds(5));
        auth.rotate_keys().await.unwrap();
        assert_eq!(private_halves(&mut raw).await, 2, "the one that signs, and the one that waits");
        assert_eq!(guard(&auth, access(&restarted.create_session(jane.id).await.unwrap())).await, "ok");
    }

    async fn one_key_that_cannot_be_read_stops_neither_verifying_nor_signing_by_the_others(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let old = auth.create_session(jane.id).await.unwrap();
        auth.rotate_keys().await.unwrap();
        clock.advance(AHEAD);
        let signs = auth.create_session(jane.id).await.unwrap();
        let waits = auth.rotate_keys().await.unwrap().kid;
        let mut raw = Raw::open(&db).await;
        // Sealed, and by another secret.
        let other_db = TestDatabase::create(db.engine()).await;
        drop(builder(&clock).secret(OTHER_SECRET).connect(other_db.url()).await.unwrap());
        let elsewhere = Raw::open(&other_db).await.texts("SELECT private_key FROM authfort_signing_keys").await.remove(0);
        for (victim, column, value) in [
            (waits.as_str(), "public_jwk", "{"),
            (waits.as_str(), "public_jwk", r#"{"kty":"oct","k":"AAAA"}"#),
            (waits.as_str(), "algorithm", "none"),
            (waits.as_str(), "private_key", "not base64"),
            (waits.as_str(), "private_key", "v1.not sealed"),
            (waits.as_str(), "private_key", &elsewhere),
            (&kid(access(&old)), "public_jwk", ""),
        ] {
            spoil(&mut raw, victim, column, value).await;
            clock.advance(TimeDelta::seconds(5));
            let restarted = builder(&clock).connect(db.url()).await.unwrap();
            for node in [&auth, &restarted] {
                assert_eq!(guard(node, access(&signs)).await, "ok", "{column} {value}");
                assert!(kids(&node.jwks().await).contains(&kid(access(&signs))));
                let fresh = node.create_session(jane.id).await.unwrap();
                assert_eq!(kid(access(&fresh)), kid(access(&signs)));
                assert_eq!(guard(node, access(&fresh)).await, "ok", "{column} {value}");
            }
        }
    }

    async fn where_the_key_that_signs_cannot_be_read_tokens_verify_and_a_cut_repairs(db: TestDatabase) {
        for (column, value) in [("private_key", "not base64"), ("private_key", "AAAA"), ("public_jwk", "{"), ("algorithm", "none")] {
            let db = TestDatabase::create(db.engine()).await;
            let (auth, clock) = service(&db).await;
            let jane = user(&auth, EMAIL).await;
            auth.rotate_keys().await.unwrap();
            clock.advance(AHEAD - TimeDelta::seconds(1));
            let old = auth.create_session(jane.id).await.unwrap();
            clock.advance(TimeDelta::seconds(1));
            let mut raw = Raw::open(&db).await;
            let signs = kid_that_signs(&auth.list_keys().await.unwrap()).to_owned();
            spoil(&mut raw, &signs, column, value).await;
            clock.advance(TimeDelta::seconds(5));
            let restarted = builder(&clock).connect(db.url()).await.unwrap();
            for node in [&auth, &restarted] {
                let error = node.create_session(jane.id).await.unwrap_err();
                let cause = std::error::Error::source(&error).unwrap().to_string();
                assert_eq!((error.code(), cause), ("internal", format!("the signing key {signs} cannot be read")));
                assert_eq!(guard(node, access(&old)).await, "ok");
            }
            restarted.rotate_keys().revoke_old_tokens().await.unwrap();
            let fresh = restarted.create_session(jane.id).await.unwrap();
            assert_eq!(guard(&restarted, access(&fresh)).await, "ok");
        }
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
        assert!(stored.iter().all(|key| key.starts_with("v1.")), "the one that signs and the one that waits");
        assert!(!raw.dump().await.contains(SECRET));
        // Who has the secret goes on with the same keys.
        let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let restarted = sealed().connect(db.url()).await.unwrap();
        assert_eq!(guard(&restarted, access(&signed_in)).await, "ok");
        assert_eq!(restarted.list_keys().await.unwrap().len(), 2);

        let (field, message) = config_error(builder(&clock).secret(OTHER_SECRET), &db).await;
        assert_eq!(field, "secret");
        assert!(message.ends_with("was it changed since that was stored?"), "{message}");
        let is_missing = |(field, message): (&str, String)| {
            field == "secret" && message.starts_with("is missing: authfort signing key")
        };
        assert!(is_missing(config_error(builder(&clock), &db).await));
        assert_eq!(config_error(builder(&clock).secret("short"), &db).await.0, "secret");
        // Nor with another algorithm. None of them left a key of its own behind.
        assert!(is_missing(config_error(builder(&clock).algorithm(Algorithm::Es256), &db).await));
        assert_eq!(raw.texts("SELECT private_key FROM authfort_signing_keys").await.len(), 2);
    }

    async fn a_secret_that_comes_later_seals_the_keys_at_the_next_start(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        user(&auth, EMAIL).await;
        auth.rotate_keys().await.unwrap();
        let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let mut raw = Raw::open(&db).await;
        let sealed = "SELECT count(*) FROM authfort_signing_keys WHERE private_key LIKE 'v1.%'";
        assert_eq!(raw.count(sealed).await, 0);

        let auth = builder(&clock).secret(SECRET).connect(db.url()).await.unwrap();
        assert_eq!(raw.count(sealed).await, 2);
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        assert_eq!(config_error(builder(&clock), &db).await.0, "secret");
        // They can be read again.
        clock.advance(AHEAD);
        let again: AuthFort = builder(&clock).secret(SECRET).connect(db.url()).await.unwrap();
        let signed_in = again.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        assert_eq!(kid(access(&signed_in)), kid_that_signs(&again.list_keys().await.unwrap()));
        assert_eq!(guard(&again, access(&signed_in)).await, "ok");
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
        assert_eq!(code(&auth.by(root.id).rotate_keys().await), "ok");
        assert_eq!(auth.list_events().r#type("key_rotated").await.unwrap().events.len(), 2, "one waits already");
    }
}
