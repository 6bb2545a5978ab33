//! Sessions: rotation, reuse, races, ending them, and what the database holds of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use authfort::{Actor, Error, Introspection, LoginOutcome, Session};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use chrono::TimeDelta;
use serde_json::json;

use crate::support::{PASSWORD, builder, clock, event_types, service, user};
use crate::tools::{Raw, access, code, count, guard, log, refresh, spellings};

const EMAIL: &str = "jane@example.com";
/// Past the grace period.
const LATER: TimeDelta = TimeDelta::seconds(11);

both_engines! {
    async fn a_refresh_answers_the_next_pair_of_the_same_session(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        clock.advance(TimeDelta::minutes(5));
        let second = auth.refresh(refresh(&first)).await.unwrap();

        assert_eq!(second.session_id, first.session_id);
        assert_eq!(second.user, first.user);
        assert_ne!(refresh(&second), refresh(&first));
        assert_ne!(access(&second), access(&first));
        assert_eq!(second.tokens.expires_in, 900);
        assert_eq!(second.tokens.refresh_expires_at, clock.now() + TimeDelta::days(30));
        // The access token that was out when the session was refreshed runs out by itself.
        assert_eq!(guard(&auth, access(&first)).await, "ok");
        let principal = auth.authenticate(access(&second)).await.unwrap();
        assert_eq!((principal.user_id, principal.session_id), (jane.id, first.session_id));
        assert_eq!(principal.expires_at, clock.now() + TimeDelta::minutes(15));
        assert_eq!(event_types(&auth).await, ["key_rotated", "user_created", "login", "token_refreshed"]);
    }

    async fn twenty_parallel_refreshes_mint_one_child_and_all_are_answered_it(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let calls: Vec<_> = (0..20).map(|_| tokio::spawn(auth.refresh(refresh(&first)).into_future())).collect();
        let mut children = Vec::new();
        for call in calls {
            children.push(call.await.unwrap().unwrap());
        }
        for child in &children {
            assert_eq!(refresh(child), refresh(&children[0]));
            assert_eq!(child.session_id, first.session_id);
            assert_eq!(guard(&auth, access(child)).await, "ok");
        }
        assert_eq!(Raw::open(&db).await.count("SELECT count(*) FROM authfort_refresh_tokens").await, 2);
        assert_eq!(count(&auth, jane.id, "token_refreshed").await, 1);
        assert!(auth.refresh(refresh(&children[0])).await.is_ok());
    }

    async fn defect_01_a_token_that_comes_back_ends_its_whole_session_for_good(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let other = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let child = auth.refresh(refresh(&first)).await.unwrap();
        clock.advance(LATER);

        assert_eq!(code(&auth.refresh(refresh(&first)).await), "refresh_token_reused");
        // Seen by a service that shares nothing with the first but the database: it is committed.
        let elsewhere = builder(&clock).connect(db.url()).await.unwrap();
        for auth in [&auth, &elsewhere] {
            assert_eq!(guard(auth, access(&child)).await, "session_revoked");
            assert_eq!(guard(auth, access(&first)).await, "session_revoked");
            assert_eq!(code(&auth.refresh(refresh(&child)).await), "refresh_token_invalid");
            assert_eq!(code(&auth.refresh(refresh(&first)).await), "refresh_token_invalid");
            assert_eq!(guard(auth, access(&other)).await, "ok");
        }
        let facts = json!({"session_id": first.session_id, "revoke_all": false});
        let revoked: Vec<_> = log(&auth, jane.id).await.into_iter().filter(|(t, _)| t == "session_revoked").collect();
        assert_eq!(revoked, [("session_revoked".to_owned(), facts.as_object().unwrap().clone())]);
        assert!(auth.refresh(refresh(&other)).await.is_ok());
    }

    async fn many_who_replay_a_token_at_once_leave_one_event(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let child = auth.refresh(refresh(&first)).await.unwrap();
        clock.advance(LATER);
        let calls: Vec<_> = (0..10).map(|_| tokio::spawn(auth.refresh(refresh(&first)).into_future())).collect();
        let mut codes = Vec::new();
        for call in calls {
            codes.push(code(&call.await.unwrap()));
        }
        codes.sort_unstable();
        let mut expected = ["refresh_token_invalid"; 10];
        expected[9] = "refresh_token_reused";
        assert_eq!(codes, expected);
        assert_eq!(count(&auth, jane.id, "session_revoked").await, 1);
        assert_eq!(guard(&auth, access(&child)).await, "session_revoked");
    }

    async fn within_the_grace_period_the_same_child_is_answered(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let child = auth.refresh(refresh(&first)).await.unwrap();
        clock.advance(TimeDelta::seconds(10) - TimeDelta::microseconds(1));
        let again = auth.refresh(refresh(&first)).await.unwrap();
        assert_eq!(refresh(&again), refresh(&child));
        assert_eq!(again.tokens.refresh_expires_at, child.tokens.refresh_expires_at);
        assert_eq!(guard(&auth, access(&again)).await, "ok");
        assert_eq!(count(&auth, jane.id, "token_refreshed").await, 1);
        // And at its end no longer.
        clock.advance(TimeDelta::microseconds(1));
        assert_eq!(code(&auth.refresh(refresh(&first)).await), "refresh_token_reused");
    }

    async fn once_the_child_was_used_its_parent_is_a_replay(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let child = auth.refresh(refresh(&first)).await.unwrap();
        let grandchild = auth.refresh(refresh(&child)).await.unwrap();
        assert_eq!(code(&auth.refresh(refresh(&first)).await), "refresh_token_reused");
        assert_eq!(code(&auth.refresh(refresh(&grandchild)).await), "refresh_token_invalid");
        assert_eq!(guard(&auth, access(&grandchild)).await, "session_revoked");
    }

    async fn without_grace_the_second_use_is_a_replay_at_once(db: TestDatabase) {
        let auth = builder(&clock()).refresh_grace(Duration::ZERO).connect(db.url()).await.unwrap();
        user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let child = auth.refresh(refresh(&first)).await.unwrap();
        assert_eq!(code(&auth.refresh(refresh(&first)).await), "refresh_token_reused");
        assert_eq!(code(&auth.refresh(refresh(&child)).await), "refresh_token_invalid");
    }

    async fn an_expired_token_ends_no_other_session(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let old = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        clock.advance(TimeDelta::days(30) - TimeDelta::microseconds(1));
        let new = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        clock.advance(TimeDelta::microseconds(1));
        assert_eq!(code(&auth.refresh(refresh(&old)).await), "refresh_token_invalid");
        assert!(!auth.logout(refresh(&old)).await.unwrap());
        assert_eq!(guard(&auth, access(&new)).await, "ok");
        assert!(auth.refresh(refresh(&new)).await.is_ok());
        assert_eq!(count(&auth, jane.id, "session_revoked").await, 0);
    }

    async fn a_spent_token_of_an_ended_session_ends_no_other(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let other = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let child = auth.refresh(refresh(&first)).await.unwrap();
        assert!(auth.logout(refresh(&child)).await.unwrap());
        clock.advance(LATER);
        for token in [&first, &child] {
            assert_eq!(code(&auth.refresh(refresh(token)).await), "refresh_token_invalid");
            assert!(!auth.logout(refresh(token)).await.unwrap());
        }
        assert_eq!(guard(&auth, access(&other)).await, "ok");
        assert_eq!(count(&auth, jane.id, "session_revoked").await, 0);
        assert_eq!(count(&auth, jane.id, "logout").await, 1);
    }

    async fn what_is_no_refresh_token_is_refused(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let reset = auth.request_password_reset(EMAIL).await.unwrap().unwrap();
        let reset = authfort::secrecy::ExposeSecret::expose_secret(&reset.token).to_owned();
        let swapped = reset.replacen("afv_", "afr_", 1);
        let long = format!("afr_{}", "A".repeat(1 << 20));
        for token in ["", "afr_", "\0", access(&first), &reset, &swapped, &long, &refresh(&first)[..46]] {
            assert_eq!(code(&auth.refresh(token).await), "refresh_token_invalid", "{token:.60}");
            assert_eq!(auth.logout(token).await.unwrap(), token == access(&first), "{token:.60}");
        }
        assert_eq!(code(&auth.refresh(refresh(&first)).await), "refresh_token_invalid");
    }

    async fn an_access_token_logs_its_session_out_until_it_expires(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let sign_in = async || auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let (first, second, other) = (sign_in().await, sign_in().await, sign_in().await);
        assert!(auth.logout(access(&first)).await.unwrap());
        assert!(!auth.logout(access(&first)).await.unwrap(), "it had ended");
        assert_eq!(guard(&auth, access(&first)).await, "session_revoked");
        assert_eq!(guard(&auth, access(&second)).await, "ok");
        // With roles of yesterday.
        auth.add_role(jane.id, "editor").await.unwrap();
        assert!(auth.logout(access(&second)).await.unwrap());
        clock.advance(TimeDelta::minutes(20));
        assert!(!auth.logout(access(&other)).await.unwrap());
        assert!(auth.refresh(refresh(&other)).await.is_ok());
    }

    async fn no_token_survives_a_committed_end_of_its_session(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        for round in 0..40 {
            let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
            let token = refresh(&first).to_owned();
            let refreshing = tokio::spawn(auth.refresh(&token).into_future());
            // Whichever way it is ended, and whoever of the two comes first.
            let ended = match round % 4 {
                0 => auth.revoke_session(jane.id, first.session_id).await.unwrap(),
                1 => auth.revoke_sessions(jane.id).await.unwrap(),
                2 => u64::from(auth.logout(&token).await.unwrap()),
                _ => {
                    auth.set_password(jane.id, PASSWORD).await.unwrap();
                    1
                }
            };
            assert_eq!(ended, 1, "round {round}");
            let mut pairs = vec![first];
            pairs.extend(refreshing.await.unwrap().ok());
            for pair in &pairs {
                assert_eq!(guard(&auth, access(pair)).await, "session_revoked", "round {round}");
                assert_eq!(code(&auth.refresh(refresh(pair)).await), "refresh_token_invalid", "round {round}");
            }
        }
        assert_eq!(auth.list_sessions(jane.id).active_only(true).await.unwrap().sessions, []);
    }

    async fn no_token_survives_a_committed_ban(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        for round in 0..20 {
            let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
            let refreshing = tokio::spawn(auth.refresh(refresh(&first)).into_future());
            let signing_in = tokio::spawn(auth.login(EMAIL, PASSWORD).into_future());
            auth.ban_user(jane.id).await.unwrap();
            let mut pairs = vec![first];
            pairs.extend(refreshing.await.unwrap().ok());
            pairs.extend(signing_in.await.unwrap().ok().and_then(LoginOutcome::signed_in));
            // A ban that is lifted brings nothing back.
            auth.unban_user(jane.id).await.unwrap();
            for pair in &pairs {
                assert_eq!(guard(&auth, access(pair)).await, "session_revoked", "round {round}");
                assert_eq!(code(&auth.refresh(refresh(pair)).await), "refresh_token_invalid", "round {round}");
            }
        }
    }

    async fn every_sign_in_has_a_session_of_its_own(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        // Signing in while holding a session does not go on with that session.
        let actor = Actor::user(jane.id).session(first.session_id);
        let second = auth.by(actor).login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        assert_ne!(second.session_id, first.session_id);
        assert_ne!(refresh(&second), refresh(&first));
        assert_eq!(auth.list_sessions(jane.id).await.unwrap().sessions.len(), 2);
    }

    async fn a_session_ends_at_its_last_moment_however_often_it_is_refreshed(db: TestDatabase) {
        let clock = clock();
        let hour = Duration::from_hours(1);
        let auth = builder(&clock).refresh_ttl(hour).session_ttl(2 * hour).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let mut latest = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let end = clock.now() + TimeDelta::hours(2);
        for minutes in [50, 50, 19] {
            clock.advance(TimeDelta::minutes(minutes));
            latest = auth.refresh(refresh(&latest)).await.unwrap();
            assert_eq!(latest.tokens.refresh_expires_at, end.min(clock.now() + TimeDelta::hours(1)));
        }
        assert_eq!(auth.list_sessions(jane.id).await.unwrap().sessions[0].expires_at, end);
        clock.advance(TimeDelta::minutes(1) - TimeDelta::microseconds(1));
        assert_eq!(guard(&auth, access(&latest)).await, "ok");
        clock.advance(TimeDelta::microseconds(1));
        // The access token would have had 14 minutes more, and says no more than it has.
        assert_eq!(latest.tokens.expires_in, 60);
        assert_eq!(guard(&auth, access(&latest)).await, "token_expired");
        assert_eq!(code(&auth.refresh(refresh(&latest)).await), "refresh_token_invalid");
        assert_eq!(auth.list_sessions(jane.id).active_only(true).await.unwrap().sessions, []);
    }

    async fn a_dump_of_the_database_holds_no_token_that_works(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let child = auth.refresh(refresh(&first)).await.unwrap();
        let reset = auth.request_password_reset(EMAIL).await.unwrap().unwrap();
        let verification = auth.request_email_verification(EMAIL).await.unwrap().unwrap();

        let dump = Raw::open(&db).await.dump().await;
        assert!(dump.contains(&first.session_id.to_string().replace('-', "")) || dump.contains(&first.session_id.to_string()));
        let sent = [&reset.token, &verification.token].map(|t| authfort::secrecy::ExposeSecret::expose_secret(t).to_owned());
        for token in [refresh(&first), refresh(&child), &sent[0], &sent[1]] {
            for spelling in spellings(token) {
                assert!(!dump.contains(&spelling), "{spelling} in {dump}");
            }
        }
        for token in [access(&first), access(&child)] {
            assert!(!dump.contains(token));
            assert!(!dump.contains(token.rsplit('.').next().unwrap()));
        }
        assert!(!dump.contains(PASSWORD));
    }

    async fn a_refresh_token_whose_row_is_gone_is_invalid(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let child = auth.refresh(refresh(&first)).await.unwrap();
        let mut raw = Raw::open(&db).await;
        assert_eq!(raw.execute("DELETE FROM authfort_refresh_tokens WHERE used_at IS NOT NULL").await, 1);
        assert_eq!(code(&auth.refresh(refresh(&first)).await), "refresh_token_invalid");
        let third = auth.refresh(refresh(&child)).await.unwrap();
        // And while it is being exchanged.
        for _ in 0..10 {
            let refreshing = tokio::spawn(auth.refresh(refresh(&third)).into_future());
            raw.execute("DELETE FROM authfort_refresh_tokens").await;
            let outcome = refreshing.await.unwrap();
            assert!(matches!(code(&outcome), "ok" | "refresh_token_invalid"), "{outcome:?}");
        }
    }

    async fn a_session_of_somebody_else_is_not_found(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (jane, john) = (user(&auth, EMAIL).await, user(&auth, "john@example.com").await);
        let janes = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let johns = auth.login("john@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        let unknown = authfort::SessionId::from(john.id.0);
        for session in [janes.session_id, unknown] {
            assert_eq!(code(&auth.revoke_session(john.id, session).await), "session_not_found");
            assert_eq!(code(&auth.revoke_sessions(john.id).except(session).await), "session_not_found");
        }
        let nobody = authfort::UserId::from(janes.session_id.0);
        assert_eq!(code(&auth.revoke_session(nobody, janes.session_id).await), "user_not_found");
        assert_eq!(code(&auth.revoke_sessions(nobody).await), "user_not_found");
        assert_eq!(code(&auth.list_sessions(nobody).await), "user_not_found");
        assert_eq!(guard(&auth, access(&janes)).await, "ok");
        assert_eq!(guard(&auth, access(&johns)).await, "ok");
        for id in [jane.id, john.id] {
            assert_eq!(count(&auth, id, "session_revoked").await, 0);
        }
    }

    async fn defect_03_an_ended_session_takes_its_access_tokens_along(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let out = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let revoked = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let kept = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        assert!(auth.logout(refresh(&out)).await.unwrap());
        assert_eq!(auth.revoke_session(jane.id, revoked.session_id).await.unwrap(), 1);
        assert_eq!(guard(&auth, access(&out)).await, "session_revoked");
        assert_eq!(guard(&auth, access(&revoked)).await, "session_revoked");
        assert_eq!(guard(&auth, access(&kept)).await, "ok");
    }

    async fn one_all_but_one_and_all_sessions_are_ended(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let mut sessions = Vec::new();
        for _ in 0..4 {
            sessions.push(auth.create_session(jane.id).await.unwrap());
        }
        assert_eq!(auth.revoke_session(jane.id, sessions[0].session_id).await.unwrap(), 1);
        assert_eq!(auth.revoke_session(jane.id, sessions[0].session_id).await.unwrap(), 0);
        assert_eq!(auth.revoke_sessions(jane.id).except(sessions[1].session_id).await.unwrap(), 2);
        assert_eq!(auth.revoke_sessions(jane.id).except(sessions[1].session_id).await.unwrap(), 0);
        assert_eq!(guard(&auth, access(&sessions[1])).await, "ok");
        assert_eq!(auth.revoke_sessions(jane.id).await.unwrap(), 1);
        assert_eq!(auth.revoke_sessions(jane.id).await.unwrap(), 0);
        for session in &sessions {
            assert_eq!(guard(&auth, access(session)).await, "session_revoked");
        }
        // What ended nothing left no event.
        let expected = [
            json!({"session_id": sessions[0].session_id, "revoke_all": false}),
            json!({"session_id": null, "revoke_all": true}),
            json!({"session_id": null, "revoke_all": true}),
        ];
        let revoked: Vec<_> = log(&auth, jane.id).await.into_iter().filter(|(t, _)| t == "session_revoked").collect();
        assert_eq!(revoked.into_iter().map(|(_, data)| data.into()).collect::<Vec<serde_json::Value>>(), expected);
    }

    async fn defect_31_the_list_has_one_row_a_session_with_its_real_times(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let client = Actor::system().ip_address("192.0.2.7".parse().unwrap()).user_agent("Firefox");
        let signed_in_at = clock.now();
        let mut first = auth.by(client).login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        for _ in 0..5 {
            clock.advance(TimeDelta::minutes(10));
            first = auth.refresh(refresh(&first)).await.unwrap();
        }
        let seen_at = clock.now();
        clock.advance(TimeDelta::minutes(1));
        let second = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        auth.revoke_session(jane.id, second.session_id).await.unwrap();

        let listed = auth.list_sessions(jane.id).await.unwrap().sessions;
        let as_json = |sessions: &[Session]| serde_json::to_value(sessions).unwrap();
        let first_row = json!({
            "id": first.session_id, "user_agent": "Firefox", "ip_address": "192.0.2.7", "created_at": signed_in_at,
            "last_seen_at": seen_at, "expires_at": seen_at + TimeDelta::days(30), "revoked": false,
        });
        let second_row = json!({
            "id": second.session_id, "user_agent": null, "ip_address": null, "created_at": clock.now(),
            "last_seen_at": clock.now(), "expires_at": clock.now() + TimeDelta::days(30), "revoked": true,
        });
        assert_eq!(as_json(&listed), json!([second_row, first_row]));
        assert_eq!(as_json(&auth.list_sessions(jane.id).active_only(true).await.unwrap().sessions), json!([first_row]));
    }

    async fn a_changed_role_counts_at_once_and_the_next_refresh_brings_it(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let before = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        auth.add_role(jane.id, "editor").await.unwrap();
        assert_eq!(guard(&auth, access(&before)).await, "token_version_mismatch");
        let with = auth.refresh(refresh(&before)).await.unwrap();
        assert_eq!(with.user.roles, ["editor"]);
        assert_eq!(auth.authenticate(access(&with)).await.unwrap().roles, ["editor"]);
        auth.remove_role(jane.id, "editor").await.unwrap();
        assert_eq!(guard(&auth, access(&with)).await, "token_version_mismatch");
        let without = auth.refresh(refresh(&with)).await.unwrap();
        assert_eq!(auth.authenticate(access(&without)).await.unwrap().roles, Vec::<String>::new());
    }

    async fn a_user_has_so_many_live_sessions_and_the_oldest_makes_room(db: TestDatabase) {
        let clock = clock();
        let auth = builder(&clock).max_sessions(3).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let mut opened = Vec::new();
        for _ in 0..5 {
            clock.advance(TimeDelta::seconds(1));
            opened.push(auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap());
        }
        let live: Vec<_> =
            auth.list_sessions(jane.id).active_only(true).await.unwrap().sessions.iter().map(|s| s.id).collect();
        assert_eq!(live, [opened[4].session_id, opened[3].session_id, opened[2].session_id]);
        assert_eq!(guard(&auth, access(&opened[0])).await, "session_revoked");
        assert_eq!(guard(&auth, access(&opened[2])).await, "ok");
        assert_eq!(count(&auth, jane.id, "session_revoked").await, 2);
        // An ended one makes room too.
        auth.revoke_session(jane.id, opened[4].session_id).await.unwrap();
        auth.create_session(jane.id).await.unwrap();
        assert_eq!(guard(&auth, access(&opened[2])).await, "ok");
    }

    async fn the_list_of_sessions_comes_in_pages(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let mut opened = Vec::new();
        for _ in 0..7 {
            opened.insert(0, auth.create_session(jane.id).await.unwrap().session_id);
        }
        auth.create_session(user(&auth, "john@example.com").await.id).await.unwrap();
        auth.revoke_session(jane.id, opened[3]).await.unwrap();
        for active_only in [false, true] {
            let mut call = auth.list_sessions(jane.id).active_only(active_only).limit(2);
            let mut walked = Vec::new();
            loop {
                let page = call.await.unwrap();
                assert!(page.sessions.len() <= 2);
                walked.extend(page.sessions.iter().map(|session| session.id));
                let Some(next) = page.next_cursor else { break };
                call = auth.list_sessions(jane.id).active_only(active_only).limit(2).cursor(next);
            }
            let expected: Vec<_> = opened.iter().copied().filter(|id| !active_only || *id != opened[3]).collect();
            assert_eq!(walked, expected);
        }
        for limit in [0, 201, u32::MAX] {
            assert_eq!(code(&auth.list_sessions(jane.id).limit(limit).await), "validation_failed");
        }
        for cursor in ["", "x", "AAAA", "!", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(code(&auth.list_sessions(jane.id).cursor(cursor).await), "invalid_request");
        }
    }

    async fn spent_tokens_are_dropped_a_day_after_their_grace(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        user(&auth, EMAIL).await;
        let mut latest = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let first = refresh(&latest).to_owned();
        let mut raw = Raw::open(&db).await;
        for _ in 0..60 {
            clock.advance(TimeDelta::hours(1));
            latest = auth.refresh(refresh(&latest)).await.unwrap();
        }
        assert_eq!(raw.count("SELECT count(*) FROM authfort_refresh_tokens").await, 26);
        // What is forgotten is unknown, and ends nothing.
        assert_eq!(code(&auth.refresh(&first).await), "refresh_token_invalid");
        assert_eq!(guard(&auth, access(&latest)).await, "ok");
    }

    async fn a_user_with_very_many_sessions_is_deleted_in_slices(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        auth.create_session(jane.id).await.unwrap();
        let mut raw = Raw::open(&db).await;
        let (id, moment) = match db.engine() {
            Engine::Sqlite => ("randomblob(16)", "'2029-01-01T00:00:00+00:00'"),
            Engine::Postgres => ("gen_random_uuid()", "timestamptz '2029-01-01T00:00:00Z'"),
        };
        let hash = if db.engine() == Engine::Sqlite { "randomblob(32)" } else { "sha256(s.id::text::bytea)" };
        raw.execute(format!(
            "INSERT INTO authfort_sessions (id, user_id, created_at, last_seen_at, expires_at, final_expires_at)
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2600)
             SELECT {id}, u.id, {moment}, {moment}, {moment}, {moment} FROM n, authfort_users u"
        ))
        .await;
        raw.execute(format!(
            "INSERT INTO authfort_refresh_tokens (token_hash, session_id, user_id, created_at, expires_at)
             SELECT {hash}, s.id, s.user_id, {moment}, {moment} FROM authfort_sessions s WHERE s.expires_at = {moment}"
        ))
        .await;
        // A deletion that is refused takes nothing beforehand.
        let stale = auth.delete_user(jane.id).if_version(jane.version + 9).await;
        assert_eq!(code(&stale), "precondition_failed");
        assert_eq!(raw.count("SELECT count(*) FROM authfort_sessions").await, 2601);
        let receipt = auth.delete_user(jane.id).await.unwrap();
        assert_eq!((receipt.sessions, receipt.refresh_tokens, receipt.users), (2601, 2601, 1));
        assert_eq!(raw.count("SELECT count(*) FROM authfort_sessions").await, 0);
    }

    async fn a_token_that_was_spent_in_the_future_is_spent(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let child = auth.refresh(refresh(&first)).await.unwrap();
        // A little is the difference of two nodes' clocks.
        clock.advance(TimeDelta::seconds(-5));
        assert_eq!(code(&auth.refresh(refresh(&first)).await), "ok");
        // The clock was set back.
        clock.advance(TimeDelta::seconds(-6));
        assert_eq!(code(&auth.refresh(refresh(&first)).await), "refresh_token_reused");
        assert_eq!(code(&auth.refresh(refresh(&child)).await), "refresh_token_invalid");
    }

    async fn what_changes_is_seen_by_guard_and_introspection_at_once_whatever_the_token_says(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let seen = async || {
            let principal = auth.authenticate(access(&signed_in)).await.unwrap();
            let Introspection::Active(active) = auth.introspect(access(&signed_in)).await.unwrap() else { panic!() };
            let facts = (principal.email, principal.name, principal.roles);
            assert_eq!(facts, (active.email, active.name, active.roles));
            facts
        };
        assert_eq!(seen().await, (EMAIL.to_owned(), None, vec![]));
        auth.add_role(jane.id, "editor").immediate(false).await.unwrap();
        auth.add_role(jane.id, "author").immediate(false).await.unwrap();
        assert_eq!(seen().await.2, ["author", "editor"]);
        auth.update_user(jane.id).name("Jane").await.unwrap();
        assert_eq!(seen().await.1.as_deref(), Some("Jane"));
        auth.remove_role(jane.id, "editor").immediate(false).await.unwrap();
        assert_eq!(seen().await.2, ["author"]);
    }

    async fn a_session_is_opened_for_whom_the_application_knows(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = auth.create_user(EMAIL).await.unwrap();
        let signed_in = auth.create_session(jane.id).provider("github").await.unwrap();
        assert_eq!(signed_in.user.last_login_at, Some(clock.now()));
        assert_eq!(signed_in.user, auth.get_user(jane.id).await.unwrap());
        let facts = json!({"email": EMAIL, "provider": "github", "ip_address": null, "user_agent": null});
        assert_eq!(log(&auth, jane.id).await[1], ("login".to_owned(), facts.as_object().unwrap().clone()));
        auth.ban_user(jane.id).await.unwrap();
        assert_eq!(code(&auth.create_session(jane.id).await), "user_banned");
        auth.delete_user(jane.id).await.unwrap();
        assert_eq!(code(&auth.create_session(jane.id).await), "user_not_found");
    }

    async fn who_asks_before_a_refresh_can_refuse_it(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let retry_after = Duration::from_secs(7);
        let refused = auth.refresh(refresh(&first)).check_rate(move |_| Err(Error::RateLimited { retry_after })).await;
        assert_eq!(code(&refused), "rate_limited");
        let admitted = auth.refresh(refresh(&first)).check_rate(move |id| {
            assert_eq!(id, jane.id);
            Ok(())
        });
        assert!(admitted.await.is_ok());
        // Only for what could be exchanged: who replays what is over uses up nothing of its owner's.
        let asked = Arc::new(AtomicUsize::new(0));
        let replay = async |token: &str| {
            let asked = Arc::clone(&asked);
            let call = auth.refresh(token).check_rate(move |_| {
                asked.fetch_add(1, Ordering::Relaxed);
                Ok(())
            });
            code(&call.await)
        };
        let second = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        auth.logout(refresh(&second)).await.unwrap();
        let third = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        auth.refresh(refresh(&third)).await.unwrap();
        clock.advance(LATER);
        assert_eq!(replay(refresh(&second)).await, "refresh_token_invalid");
        assert_eq!(replay(refresh(&third)).await, "refresh_token_reused");
        assert_eq!(replay("afr_unknown").await, "refresh_token_invalid");
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }
}
