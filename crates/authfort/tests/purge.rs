//! Deleting old events from the log.
//!
//! A binary of its own: ids of events are in the order of their creation in a process, whatever its clocks say, and events are
//! old by their ids. So all of these tests have the time of the system.
#![cfg(test)]

#[allow(dead_code, reason = "shared with the other tests")]
#[path = "it/raw.rs"]
mod raw;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "it/support.rs"]
mod support;

use std::time::Duration;

use authfort::{AuthFort, Clock, DeadLetterPolicy, Event, SortOrder, Start, Subscription, UserId};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::time::sleep;

use crate::raw::Raw;
use crate::support::{builder, event_types, until};

const MILLISECOND: Duration = Duration::from_millis(1);

async fn service(db: &TestDatabase) -> AuthFort {
    builder(&Clock::system()).connect(db.url()).await.unwrap()
}

async fn create(auth: &AuthFort, name: &str) -> UserId {
    auth.create_user(format!("{name}@example.com")).await.unwrap().id
}

/// A time after everything that has happened, and before everything that comes.
async fn now(auth: &AuthFort) -> DateTime<Utc> {
    sleep(5 * MILLISECOND).await;
    let now = auth.now();
    sleep(5 * MILLISECOND).await;
    now
}

/// Whether a subscription has passed all events. On PostgreSQL they get their positions when somebody reads the log, as a purge of
/// nothing does.
async fn is_done(auth: &AuthFort, subscription: &Subscription) -> bool {
    assert_eq!(auth.purge_events(DateTime::UNIX_EPOCH).await.unwrap(), 0);
    subscription.status().await.unwrap().lag == 0
}

both_engines! {
    async fn old_events_are_purged_and_the_log_says_so(db: TestDatabase) {
        let auth = service(&db).await;
        let root = create(&auth, "root").await;
        create(&auth, "jane").await;
        let before = now(&auth).await;
        let john = create(&auth, "john").await;
        // Two users, and the key.
        assert_eq!(auth.by(root).purge_events(before).await.unwrap(), 3);
        let left = auth.list_events().order(SortOrder::Asc).await.unwrap().events;
        assert_eq!(left.iter().map(|event| event.r#type.as_str()).collect::<Vec<_>>(), ["user_created", "events_purged"]);
        assert_eq!((left[0].user_id, left[1].actor_id), (Some(john), Some(root)));
        assert_eq!(left[1].data["before"], json!(before));
        // Nothing is left to delete, and nothing is written.
        assert_eq!(auth.purge_events(before).await.unwrap(), 0);
        assert_eq!(event_types(&auth).await.len(), 2);
        let error = auth.purge_events(auth.now() + TimeDelta::hours(1)).await.unwrap_err();
        assert_eq!(error.code(), "validation_failed");
    }

    async fn more_than_one_part_is_purged(db: TestDatabase) {
        let auth = service(&db).await;
        let jane = create(&auth, "jane").await;
        for _ in 0..550 {
            auth.ban_user(jane).await.unwrap();
            auth.unban_user(jane).await.unwrap();
        }
        assert_eq!(auth.purge_events(now(&auth).await).await.unwrap(), 1_102);
        assert_eq!(event_types(&auth).await, ["events_purged"]);
    }

    async fn what_a_subscription_has_not_delivered_is_not_purged(db: TestDatabase) {
        let auth = service(&db).await;
        let anna = create(&auth, "anna").await;
        create(&auth, "bert").await;
        let call = auth.subscribe("billing-sync", move |event: Event| async move {
            if event.user_id == Some(anna) { Err("down") } else { Ok(()) }
        });
        let call = call.attempts(1).dead_letters(DeadLetterPolicy::Pass).start(Start::Beginning);
        let subscription = call.lease(Duration::from_secs(1)).await.unwrap();
        until("it is done", async || is_done(&auth, &subscription).await).await;
        // All but the dead letter: the key and Bert.
        assert_eq!(auth.purge_events(now(&auth).await).await.unwrap(), 2);
        let dead = auth.list_dead_letters("billing-sync").await.unwrap().letters;
        assert_eq!(dead.iter().map(|letter| letter.event.user_id).collect::<Vec<_>>(), [Some(anna)]);
        assert_eq!(event_types(&auth).await, ["user_created", "events_purged"]);
        until("it has seen that", async || is_done(&auth, &subscription).await).await;
        // Nobody works for it, and what comes meanwhile waits in the log.
        subscription.stop().await;
        auth.drop_dead_letter("billing-sync", dead[0].event.id).await.unwrap();
        create(&auth, "carl").await;
        assert_eq!(auth.purge_events(now(&auth).await).await.unwrap(), 2);
        assert_eq!(event_types(&auth).await, ["user_created", "events_purged"]);
        auth.delete_subscription("billing-sync").await.unwrap();
        assert_eq!(auth.purge_events(now(&auth).await).await.unwrap(), 2);
    }

    async fn a_service_purges_by_itself(db: TestDatabase) {
        let auth = service(&db).await;
        // In 2024.
        let raw = Raw::open(&db, 1).await;
        raw.execute(match db.engine() {
            Engine::Sqlite => "UPDATE authfort_events SET id = x'018d0c0a00007000800000000000cafe'",
            Engine::Postgres => "UPDATE authfort_events SET id = '018d0c0a-0000-7000-8000-00000000cafe'",
        }).await.unwrap();
        create(&auth, "jane").await;
        let month = Duration::from_hours(30 * 24);
        let other = builder(&Clock::system()).event_retention(month).connect(db.url()).await.unwrap();
        until("it is purged", async || event_types(&auth).await == ["user_created", "events_purged"]).await;
        other.close().await;
        for odd in [Duration::from_secs(3_599), Duration::MAX] {
            assert_eq!(builder(&Clock::system()).event_retention(odd).check().unwrap_err().code(), "config");
        }
    }
}
