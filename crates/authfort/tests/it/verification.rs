//! Single-use tokens: email verification and password reset.

use std::time::{Duration, Instant};

use authfort::secrecy::{ExposeSecret, SecretString};
use authfort::{Actor, AuthFort, Error, IssuedToken};
use authfort_testkit::{TestDatabase, both_engines};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{PASSWORD, service, user};
use crate::tools::{access, code, count, guard, log, refresh};

const EMAIL: &str = "jane@example.com";
const NEW: &str = "a new password";

async fn reset_token(auth: &AuthFort) -> IssuedToken {
    auth.request_password_reset(EMAIL).await.unwrap().unwrap()
}

async fn verification_token(auth: &AuthFort) -> IssuedToken {
    auth.request_email_verification(EMAIL).await.unwrap().unwrap()
}

both_engines! {
    async fn who_registered_somebody_elses_address_keeps_nothing_once_its_owner_proves_it(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for by in ["mail", "reset", "provider"] {
            let email = format!("{by}@example.com");
            let thief = auth.sign_up(&email, PASSWORD).await.unwrap();
            let id = thief.user.id;
            auth.link_account(id, "github", format!("thief-{by}")).await.unwrap();
            // Somebody who is signed in as somebody else proves nothing of themself.
            let other = auth.create_user(format!("other-{by}@example.com")).await.unwrap().id;
            let elsewhere = auth.create_session(other).await.unwrap().session_id;
            let owner = auth.by(Actor::user(other).session(elsewhere));
            match by {
                "mail" => {
                    let token = auth.request_email_verification(&email).await.unwrap().unwrap().token;
                    assert!(owner.verify_email(token).await.unwrap().email_verified);
                }
                "reset" => {
                    let token = auth.request_password_reset(&email).await.unwrap().unwrap().token;
                    owner.reset_password(token, "the owner's password").await.unwrap();
                }
                _ => {
                    // An address of another spelling, and one that is not the user's.
                    owner.link_account(id, "gitlab", "1").verified_email("nobody@example.com").await.unwrap();
                    assert!(!auth.get_user(id).await.unwrap().email_verified);
                    let spelled = email.to_uppercase();
                    owner.link_account(id, "google", "owner").verified_email(spelled).await.unwrap();
                }
            }
            assert!(auth.get_user(id).await.unwrap().email_verified);
            assert_eq!(code(&auth.login(&email, PASSWORD).await), "invalid_credentials");
            assert_eq!(code(&auth.refresh(refresh(&thief)).await), "refresh_token_invalid");
            assert_ne!(guard(&auth, access(&thief)).await, "ok");
            let left: Vec<_> = auth.list_accounts(id).await.unwrap().into_iter().map(|a| a.provider).collect();
            assert_eq!(left, if by == "provider" { vec!["google"] } else { vec![] });
            assert!(auth.find_user_by_account("github", &format!("thief-{by}")).await.unwrap().is_none());
        }
    }

    async fn who_proves_an_address_in_their_own_session_keeps_everything(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = auth.sign_up("jane@example.com", PASSWORD).await.unwrap();
        let elsewhere = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        auth.link_account(jane.user.id, "github", "1").await.unwrap();
        let principal = auth.authenticate(access(&jane)).await.unwrap();
        let token = auth.request_email_verification("jane@example.com").await.unwrap().unwrap().token;
        auth.by(&principal).verify_email(token).await.unwrap();
        for session in [&jane, &elsewhere] {
            assert_eq!(guard(&auth, access(session)).await, "ok");
        }
        assert_eq!(code(&auth.login("jane@example.com", PASSWORD).await), "ok");
        assert_eq!(auth.list_accounts(jane.user.id).await.unwrap().len(), 1);
        // Proven once, it is theirs: a later proof ends nothing.
        auth.link_account(jane.user.id, "google", "2").verified_email("jane@example.com").await.unwrap();
        assert_eq!(guard(&auth, access(&elsewhere)).await, "ok");
        // A session that has ended is none of theirs.
        let john = auth.sign_up("john@example.com", PASSWORD).await.unwrap();
        let actor = Actor::user(john.user.id).session(john.session_id);
        auth.logout(refresh(&john)).await.unwrap();
        let token = auth.request_email_verification("john@example.com").await.unwrap().unwrap().token;
        auth.by(actor).verify_email(token).await.unwrap();
        assert_eq!(code(&auth.login("john@example.com", PASSWORD).await), "invalid_credentials");
    }

    async fn an_address_is_verified_by_the_token_that_was_sent_there(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let session = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let issued = auth.request_email_verification(" Jane@EXAMPLE.com").await.unwrap().unwrap();
        assert_eq!((issued.user_id, issued.email.as_str()), (jane.id, EMAIL));
        assert_eq!(issued.expires_at, clock.now() + TimeDelta::days(1));
        assert!(issued.token.expose_secret().starts_with("afv_"));
        clock.advance(TimeDelta::minutes(1));

        let caller = auth.authenticate(access(&session)).await.unwrap();
        let verified = auth.by(&caller).verify_email(issued.token.clone()).await.unwrap();
        let mut expected = auth.get_user(jane.id).await.unwrap();
        assert_eq!(verified, expected);
        assert!(verified.email_verified);
        assert_eq!(verified.updated_at, clock.now());
        expected.email_verified = false;
        // Single use, and it ends nothing: it was redeemed in the user's own session.
        assert_eq!(code(&auth.verify_email(issued.token).await), "validation_failed");
        assert_eq!(guard(&auth, access(&session)).await, "ok");
        let events: Vec<_> = log(&auth, jane.id).await.into_iter().skip(2).map(|(t, d)| (t, Value::from(d))).collect();
        let facts = json!({"email": EMAIL});
        let expected = [("email_verification_requested", &facts), ("email_verified", &facts)];
        assert_eq!(events, expected.map(|(t, d)| (t.to_owned(), d.clone())));
        // Nothing is left to verify.
        assert!(auth.request_email_verification(EMAIL).await.unwrap().is_none());
        assert_eq!(log(&auth, jane.id).await.len(), 4);
    }

    async fn a_password_is_reset_by_the_token_that_was_sent(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let session = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let issued = reset_token(&auth).await;
        assert_eq!(issued.expires_at, clock.now() + TimeDelta::hours(1));
        assert_eq!(auth.reset_password(issued.token.clone(), NEW).await.unwrap(), jane.id);
        assert_eq!(code(&auth.reset_password(issued.token, "yet another one").await), "validation_failed");
        assert_eq!(code(&auth.login(EMAIL, PASSWORD).await), "invalid_credentials");
        assert_eq!(code(&auth.login(EMAIL, NEW).await), "ok");
        assert_eq!(guard(&auth, access(&session)).await, "session_revoked");
        assert_eq!(code(&auth.refresh(refresh(&session)).await), "refresh_token_invalid");
        let events: Vec<_> = log(&auth, jane.id).await.into_iter().skip(2).map(|(t, d)| (t, Value::from(d))).collect();
        let requested = ("password_reset_requested".to_owned(), json!({"email": EMAIL}));
        let verified = ("email_verified".to_owned(), json!({"email": EMAIL}));
        assert_eq!(events[..3], [requested, verified, ("password_reset".to_owned(), json!({}))]);
    }

    async fn a_password_that_is_not_accepted_leaves_the_token_good(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, EMAIL).await;
        let issued = reset_token(&auth).await;
        let error = auth.reset_password(issued.token.clone(), "short").await.unwrap_err();
        assert!(matches!(&error, Error::Validation(faults) if faults[0].code == "too_short"), "{error:?}");
        assert!(auth.reset_password(issued.token, NEW).await.is_ok());
    }

    async fn a_user_without_a_password_gets_one_by_a_reset(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        auth.create_user(EMAIL).await.unwrap();
        auth.reset_password(reset_token(&auth).await.token, NEW).await.unwrap();
        assert_eq!(code(&auth.login(EMAIL, NEW).await), "ok");
    }

    async fn ten_parallel_resets_with_one_token_are_one_change(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let issued = reset_token(&auth).await;
        let password = |n: usize| format!("password number {n}");
        let calls: Vec<_> =
            (0..10).map(|n| tokio::spawn(auth.reset_password(issued.token.clone(), password(n)).into_future())).collect();
        let mut codes = Vec::new();
        for call in calls {
            codes.push(code(&call.await.unwrap()));
        }
        let winner = codes.iter().position(|code| *code == "ok").unwrap();
        for (n, code_of_reset) in codes.iter().enumerate() {
            let (reset, login) = if n == winner { ("ok", "ok") } else { ("validation_failed", "invalid_credentials") };
            assert_eq!(*code_of_reset, reset);
            assert_eq!(code(&auth.login(EMAIL, password(n)).await), login);
        }
        assert_eq!(count(&auth, jane.id, "password_reset").await, 1);
    }

    async fn a_token_is_bound_to_the_address_it_was_made_for(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let (verification, reset) = (verification_token(&auth).await, reset_token(&auth).await);
        auth.update_user(jane.id).email("new@example.com").await.unwrap();
        assert_eq!(code(&auth.verify_email(verification.token).await), "validation_failed");
        assert_eq!(code(&auth.reset_password(reset.token, NEW).await), "validation_failed");
        // Nor does it come back with the address.
        let reset = auth.request_password_reset("new@example.com").await.unwrap().unwrap();
        auth.update_user(jane.id).email(EMAIL).await.unwrap();
        auth.update_user(jane.id).email("new@example.com").await.unwrap();
        assert_eq!(code(&auth.reset_password(reset.token, NEW).await), "validation_failed");
        assert!(!auth.get_user(jane.id).await.unwrap().email_verified);
    }

    async fn a_newer_token_voids_the_older_of_its_kind(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, EMAIL).await;
        let (old_reset, old_verification) = (reset_token(&auth).await, verification_token(&auth).await);
        let (reset, verification) = (reset_token(&auth).await, verification_token(&auth).await);
        assert_eq!(code(&auth.verify_email(old_verification.token).await), "validation_failed");
        assert_eq!(code(&auth.reset_password(old_reset.token, NEW).await), "validation_failed");
        assert_eq!(code(&auth.verify_email(verification.token).await), "ok");
        assert_eq!(code(&auth.reset_password(reset.token, NEW).await), "ok");
    }

    async fn a_token_is_good_until_it_expires(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        user(&auth, EMAIL).await;
        let (late, verification) = (reset_token(&auth).await, verification_token(&auth).await);
        clock.advance(TimeDelta::hours(1));
        assert_eq!(code(&auth.reset_password(late.token, NEW).await), "validation_failed");
        let in_time = reset_token(&auth).await;
        clock.advance(TimeDelta::hours(1) - TimeDelta::microseconds(1));
        assert_eq!(code(&auth.reset_password(in_time.token, NEW).await), "ok");
        clock.advance(TimeDelta::days(1));
        assert_eq!(code(&auth.verify_email(verification.token).await), "validation_failed");
    }

    async fn a_ban_and_an_anonymised_user_have_no_tokens(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let (verification, reset) = (verification_token(&auth).await, reset_token(&auth).await);
        auth.ban_user(jane.id).expires_at(clock.now() + TimeDelta::minutes(1)).await.unwrap();
        assert!(auth.request_password_reset(EMAIL).await.unwrap().is_none());
        assert!(auth.request_email_verification(EMAIL).await.unwrap().is_none());
        clock.advance(TimeDelta::minutes(1));
        // The ban is over, and what it voided stays void.
        assert_eq!(code(&auth.verify_email(verification.token).await), "validation_failed");
        assert_eq!(code(&auth.reset_password(reset.token, NEW).await), "validation_failed");
        let reset = reset_token(&auth).await;
        auth.delete_user(jane.id).anonymize().await.unwrap();
        assert_eq!(code(&auth.reset_password(reset.token, NEW).await), "validation_failed");
        let erased = format!("deleted+{}@deleted.invalid", jane.id);
        assert!(auth.request_password_reset(&erased).await.unwrap().is_none());
    }

    async fn defect_18_each_token_is_accepted_as_its_own_kind_only(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, EMAIL).await;
        let session = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let (verification, reset) = (verification_token(&auth).await, reset_token(&auth).await);
        let others = ["", "afv_", "\0", access(&session), refresh(&session)].map(SecretString::from);
        let disguised = SecretString::from(refresh(&session).replacen("afr_", "afv_", 1));
        for token in others.iter().chain([&disguised, &reset.token]) {
            assert_eq!(code(&auth.verify_email(token.clone()).await), "validation_failed");
        }
        for token in others.iter().chain([&disguised, &verification.token]) {
            assert_eq!(code(&auth.reset_password(token.clone(), NEW).await), "validation_failed");
        }
        assert_eq!(guard(&auth, verification.token.expose_secret()).await, "token_invalid");
        // None of that spent anything.
        assert_eq!(code(&auth.verify_email(verification.token).await), "ok");
        assert_eq!(code(&auth.reset_password(reset.token, NEW).await), "ok");
    }

    async fn an_unknown_address_is_answered_like_a_known_one(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, EMAIL).await;
        let long = "a".repeat(1 << 20);
        for unknown in ["nobody@example.com", "", "no address", "\0", &long] {
            assert!(auth.request_password_reset(unknown).await.unwrap().is_none());
            assert!(auth.request_email_verification(unknown).await.unwrap().is_none());
        }
        // Interleaved, so that what else the machine does meets both alike.
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            for (email, times) in [(EMAIL, &mut known), ("nobody@example.com", &mut unknown)] {
                let started = Instant::now();
                let _issued = auth.request_password_reset(email).await.unwrap();
                times.push(started.elapsed());
            }
        }
        known.sort_unstable();
        unknown.sort_unstable();
        assert!(unknown[0] >= Duration::from_millis(99), "{unknown:?}");
        let (known, unknown) = (known[5].as_secs_f64(), unknown[5].as_secs_f64());
        assert!((known / unknown - 1.0).abs() < 0.1, "{known} and {unknown}");
    }
}
