//! What the service counts and measures, through the facade of the crate `metrics`: whoever installs a recorder before the
//! service is built gets it. No value and no label says anything about a person.
//!
//! All names are here. What each request touches keeps its handles, since a recorder looks up a handle by name and labels.

use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, Unit, counter, gauge, histogram};
use metrics::{describe_counter, describe_gauge, describe_histogram};

use crate::{Error, Result};

const CHECKS: &str = "authfort_guard_checks_total";
const LOOKUPS: &str = "authfort_guard_lookups_total";
const TOKENS: &str = "authfort_guard_tokens";
const STALENESS: &str = "authfort_guard_staleness_seconds";
const NOTIFIED: &str = "authfort_guard_notified";
const CHANGES: &str = "authfort_guard_changes_total";
const POOL_WAIT: &str = "authfort_pool_wait_seconds";
const HASHES_WAITING: &str = "authfort_password_hashes_waiting";
const HASHES_REFUSED: &str = "authfort_password_hashes_refused_total";

const DELIVERIES: &str = "authfort_subscription_deliveries_total";
const LAG: &str = "authfort_subscription_lag";
const WAITING: &str = "authfort_subscription_waiting";
const DEAD: &str = "authfort_subscription_dead";

/// Tells the recorder what each name means.
pub(crate) fn describe() {
    describe_counter!(CHECKS, "Access tokens that the guard checked, by the outcome: ok, or the code of the error");
    describe_counter!(
        LOOKUPS,
        "What the guard knew of an access token: hit (all), miss (nothing), changed (its user's standing may have changed), \
         unsure (the log of changes had not been read recently enough)"
    );
    describe_gauge!(TOKENS, "Access tokens that the guard remembers");
    describe_gauge!(STALENESS, Unit::Seconds, "How long ago the log of changes was read, when it was last tried");
    describe_gauge!(NOTIFIED, "1 if PostgreSQL's notifications of changes are heard, 0 if not");
    describe_counter!(CHANGES, "Users whose changes were read from the log");
    describe_histogram!(POOL_WAIT, Unit::Seconds, "How long a call waited for a connection to the database");
    describe_gauge!(HASHES_WAITING, "Password hashes that wait for their turn");
    describe_counter!(
        DELIVERIES,
        "Events that this process handed to a subscriber, by its name and the outcome: ok, failed, or dead if it failed for the \
         last time"
    );
    describe_gauge!(LAG, "Events of the log that a subscription has not passed yet");
    describe_gauge!(WAITING, "Events that a subscription delivers again, or that wait behind such an event");
    describe_gauge!(DEAD, "Dead letters of a subscription");
    describe_counter!(HASHES_REFUSED, "Password hashes that were refused because the queue was full");
}

/// Counts what the guard decides.
pub(crate) struct GuardChecks {
    ok: Counter,
}

impl GuardChecks {
    /// Known from the start, so that the first of them is seen as an increase.
    const REFUSALS: [Error; 6] = [
        Error::TokenInvalid,
        Error::TokenExpired,
        Error::TokenUserNotFound,
        Error::UserBanned,
        Error::SessionRevoked,
        Error::TokenVersionMismatch,
    ];

    pub(crate) fn new() -> Self {
        let unavailable = Error::DatabaseUnavailable(sqlx::Error::PoolTimedOut);
        for error in Self::REFUSALS.iter().chain([&unavailable]) {
            counter!(CHECKS, "outcome" => error.code()).increment(0);
        }
        Self { ok: counter!(CHECKS, "outcome" => "ok") }
    }

    pub(crate) fn count<T>(&self, outcome: &Result<T>) {
        match outcome {
            Ok(_) => self.ok.increment(1),
            Err(error) => counter!(CHECKS, "outcome" => error.code()).increment(1),
        }
    }
}

/// What the guard's memory tells.
pub(crate) struct GuardMemory {
    pub hits: Counter,
    pub misses: Counter,
    pub changed: Counter,
    pub unsure: Counter,
    pub changes: Counter,
    tokens: Gauge,
    staleness: Gauge,
}

impl GuardMemory {
    pub(crate) fn new() -> Self {
        let lookups = |result: &'static str| counter!(LOOKUPS, "result" => result);
        Self {
            hits: lookups("hit"),
            misses: lookups("miss"),
            changed: lookups("changed"),
            unsure: lookups("unsure"),
            changes: counter!(CHANGES),
            tokens: gauge!(TOKENS),
            staleness: gauge!(STALENESS),
        }
    }

    pub(crate) fn remembers(&self, tokens: usize, staleness: Duration) {
        self.tokens.set(u32::try_from(tokens).unwrap_or(u32::MAX));
        self.staleness.set(staleness);
    }
}

/// How long calls wait for a connection of a pool.
#[derive(Debug, Clone)]
pub(crate) struct PoolWait(Histogram);

impl PoolWait {
    pub(crate) fn of(pool: &'static str) -> Self {
        Self(histogram!(POOL_WAIT, "pool" => pool))
    }

    /// Measures until the returned value is dropped, whether or not there was a connection.
    pub(crate) fn begin(&self) -> impl Drop + use<'_> {
        struct Waiting<'a>(&'a Histogram, Instant);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.record(self.1.elapsed());
            }
        }
        Waiting(&self.0, Instant::now())
    }
}

/// What a subscriber does.
pub(crate) struct SubscriptionCounts {
    ok: Counter,
    failed: Counter,
    dead: Counter,
    lag: Gauge,
    waiting: Gauge,
    letters: Gauge,
}

impl SubscriptionCounts {
    pub(crate) fn of(name: &str) -> Self {
        let deliveries =
            |outcome: &'static str| counter!(DELIVERIES, "subscription" => name.to_owned(), "outcome" => outcome);
        Self {
            ok: deliveries("ok"),
            failed: deliveries("failed"),
            dead: deliveries("dead"),
            lag: gauge!(LAG, "subscription" => name.to_owned()),
            waiting: gauge!(WAITING, "subscription" => name.to_owned()),
            letters: gauge!(DEAD, "subscription" => name.to_owned()),
        }
    }

    pub(crate) fn delivered(&self, events: usize) {
        self.ok.increment(u64::try_from(events).unwrap_or(u64::MAX));
    }

    pub(crate) fn failed(&self, is_dead: bool) {
        if is_dead { self.dead.increment(1) } else { self.failed.increment(1) }
    }

    /// What the database says of the whole subscription.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a floating-point number")]
    pub(crate) fn measured(&self, lag: i64, waiting: i64, dead: i64) {
        self.lag.set(lag as f64);
        self.waiting.set(waiting as f64);
        self.letters.set(dead as f64);
    }
}

/// Whether notifications are heard.
#[cfg(feature = "postgres")]
#[derive(Debug, Clone)]
pub(crate) struct Heard(Gauge);

#[cfg(feature = "postgres")]
impl Heard {
    pub(crate) fn new() -> Self {
        let heard = Self(gauge!(NOTIFIED));
        heard.set(false);
        heard
    }

    pub(crate) fn set(&self, heard: bool) {
        self.0.set(i32::from(heard));
    }
}

/// The queue of password hashes.
#[derive(Debug, Clone)]
pub(crate) struct HashQueue {
    waiting: Gauge,
    refused: Counter,
}

impl HashQueue {
    pub(crate) fn new() -> Self {
        Self { waiting: gauge!(HASHES_WAITING), refused: counter!(HASHES_REFUSED) }
    }

    /// Counts a hash that waits, until the returned value is dropped.
    pub(crate) fn wait(&self) -> impl Drop + use<> {
        struct Waiting(Gauge);
        impl Drop for Waiting {
            fn drop(&mut self) {
                self.0.decrement(1);
            }
        }
        self.waiting.increment(1);
        Waiting(self.waiting.clone())
    }

    pub(crate) fn refuse(&self) {
        self.refused.increment(1);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_hash_counts_as_long_as_it_waits() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let queue = metrics::with_local_recorder(&recorder, HashQueue::new);
        let says = |number| recorder.handle().render().contains(&format!("\n{HASHES_WAITING} {number}\n"));
        let waiting = [queue.wait(), queue.wait()];
        assert!(says(2));
        drop(waiting);
        assert!(says(0));
    }
}
