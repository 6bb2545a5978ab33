//! A service on a fresh database, with a clock that stands still and cheap hashing.

use std::time::Duration;

use authfort::{Algorithm, AuthFort, Builder, Clock, Hashing, User};
use authfort_testkit::TestDatabase;
use chrono::{TimeZone, Utc};
use tokio::time::{sleep, timeout};

pub const PASSWORD: &str = "correct horse battery";

/// 1 January 2030, noon.
pub fn clock() -> Clock {
    Clock::fixed(Utc.with_ymd_and_hms(2030, 1, 1, 12, 0, 0).unwrap())
}

/// Options for tests: what they do not look at is made cheap.
pub fn builder(clock: &Clock) -> Builder {
    AuthFort::builder().algorithm(Algorithm::EdDsa).hashing(Hashing::insecure_fast_for_tests()).clock(clock.clone())
}

pub async fn service(db: &TestDatabase) -> (AuthFort, Clock) {
    let clock = clock();
    let auth = builder(&clock).connect(db.url()).await.unwrap();
    (auth, clock)
}

pub async fn user(auth: &AuthFort, email: &str) -> User {
    auth.create_user(email).password(PASSWORD).await.unwrap()
}

pub async fn admin(auth: &AuthFort, email: &str) -> User {
    auth.create_user(email).password(PASSWORD).role("admin").await.unwrap()
}

/// The types of all events, oldest first.
pub async fn event_types(auth: &AuthFort) -> Vec<String> {
    let page = auth.list_events().order(authfort::SortOrder::Asc).limit(200).await.unwrap();
    page.events.into_iter().map(|event| event.r#type).collect()
}

/// Waits until something holds. What is later than this never comes.
pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waits = async {
        while !holds().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), waits).await.unwrap_or_else(|_| panic!("{what}"));
}
