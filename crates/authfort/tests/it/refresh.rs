//! Refresh tokens: rotation, grace and reuse.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use authfort::Error;
use authfort_testkit::{TestDatabase, both_engines};
use chrono::TimeDelta;
use serde_json::json;

use crate::support::{PASSWORD, builder, clock, event_types, service, user};
use crate::tools::{Raw, access, code, count, guard, log, refresh, spellings};

const EMAIL: &str = "jane@example.com";
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
