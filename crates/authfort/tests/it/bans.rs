//! Banning users.

use authfort::User;
use authfort::secrecy::ExposeSecret;
use authfort_testkit::{TestDatabase, both_engines};
use chrono::{TimeDelta, TimeZone, Utc};
use futures_util::future::join_all;
use serde_json::json;

use crate::support::{PASSWORD, event_types, service, user};
use crate::users::*;

both_engines! {
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
}
