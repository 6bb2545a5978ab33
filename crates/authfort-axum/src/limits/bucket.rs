//! One table of buckets: GCRA by governor, in bounded memory.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use authfort::{Error, Result};
use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{StateStore, keyed::ShrinkableKeyedStateStore};

use super::Rate;

/// The maximum number of keys in each table. A full table takes about six megabytes.
pub(super) const MAX_KEYS: usize = 100_000;

/// The number of buckets shared by keys that do not fit into a full table.
const SHARED: usize = 1_024;

/// A full table is searched for refilled buckets at most this often, because the search visits every key.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Identifies a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub own: u128,
    /// The group of keys that shares a bucket when the table is full.
    pub neighbours: u128,
}

pub(super) struct Limiter<C: Clock = DefaultClock> {
    governor: RateLimiter<Key, Table, C, NoOpMiddleware<C::Instant>>,
    table: Table,
    interval: Nanos,
    max_keys: usize,
    swept: Mutex<Option<C::Instant>>,
}

impl<C: Clock> Limiter<C> {
    pub(super) fn new(rate: Rate, max_keys: usize, clock: C) -> Self {
        let table = Table::new(max_keys);
        Self {
            governor: RateLimiter::new(rate.quota(), table.clone(), clock),
            table,
            interval: rate.interval.into(),
            max_keys,
            swept: Mutex::new(None),
        }
    }

    /// Takes one attempt.
    ///
    /// # Errors
    /// - [`Error::RateLimited`]: no attempt is left, and nothing was taken
    pub(super) fn take(&self, key: Key) -> Result<()> {
        if self.governor.len() >= self.max_keys && self.sweep_is_due() {
            self.governor.retain_recent();
        }
        self.governor
            .check_key(&key)
            .map_err(|until| Error::RateLimited { retry_after: until.wait_time_from(self.governor.clock().now()) })
    }

    /// Undoes a [`take`](Self::take).
    pub(super) fn give_back(&self, key: Key) {
        self.table.give_back(key, self.interval);
    }

    fn sweep_is_due(&self) -> bool {
        let now = self.governor.clock().now();
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let due = swept.is_none_or(|last| now.duration_since(last) >= Nanos::from(SWEEP_EVERY));
        if due {
            *swept = Some(now);
        }
        due
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.governor.len()
    }
}

impl<C: Clock> fmt::Debug for Limiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

/// The states of all keys, and of the buckets shared by keys that do not fit.
///
/// governor's own tables grow with the number of keys. One lock is enough here: it is held for a lookup and an
/// addition, before work that takes a thousand times as long.
#[derive(Clone)]
struct Table {
    states: Arc<Mutex<States>>,
    max_keys: usize,
    hasher: RandomState,
}

struct States {
    known: HashMap<u128, State>,
    shared: HashMap<u64, Nanos>,
}

struct State {
    /// When the bucket will be full again.
    full_at: Nanos,
    /// True while only the first attempt was taken, which may still be given back.
    first: bool,
}

impl Table {
    fn new(max_keys: usize) -> Self {
        let states = States { known: HashMap::new(), shared: HashMap::new() };
        Self { states: Arc::new(Mutex::new(states)), max_keys, hasher: RandomState::new() }
    }

    fn states(&self) -> MutexGuard<'_, States> {
        // Each change is a single insertion, so a panic elsewhere leaves no inconsistent state.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn share(&self, key: Key) -> u64 {
        // The hasher has a random seed, so an attacker cannot predict which neighbours share a bucket.
        self.hasher.hash_one(key.neighbours) % SHARED as u64
    }

    fn give_back(&self, key: Key, interval: Nanos) {
        let mut states = self.states();
        match states.known.get_mut(&key.own) {
            // A full bucket is removed, so that it takes no room from other keys.
            Some(state) if state.first => drop(states.known.remove(&key.own)),
            Some(state) => state.full_at = state.full_at.saturating_sub(interval),
            None => {
                if let Some(full_at) = states.shared.get_mut(&self.share(key)) {
                    *full_at = full_at.saturating_sub(interval);
                }
            }
        }
    }
}

impl StateStore for Table {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, decide: F) -> std::result::Result<T, E>
    where
        F: Fn(Option<Nanos>) -> std::result::Result<(T, Nanos), E>,
    {
        let mut states = self.states();
        if let Some(state) = states.known.get_mut(&key.own) {
            let (outcome, full_at) = decide(Some(state.full_at))?;
            *state = State { full_at, first: false };
            return Ok(outcome);
        }
        if states.known.len() >= self.max_keys {
            let share = self.share(*key);
            let (outcome, full_at) = decide(states.shared.get(&share).copied())?;
            states.shared.insert(share, full_at);
            return Ok(outcome);
        }
        let (outcome, full_at) = decide(None)?;
        states.known.insert(key.own, State { full_at, first: true });
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<Key> for Table {
    fn retain_recent(&self, drop_below: Nanos) {
        let known = &mut self.states().known;
        known.retain(|_, state| state.full_at > drop_below);
        // Releases the memory that a flood has used.
        known.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.states().known.len()
    }

    fn is_empty(&self) -> bool {
        self.states().known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn key(own: u128) -> Key {
        Key { own, neighbours: own % 10 }
    }

    fn allowed(limiter: &Limiter<FakeRelativeClock>, own: u128) -> usize {
        (0..1_000).filter(|_| limiter.take(key(own)).is_ok()).count()
    }

    #[test]
    fn attempts_come_back_one_by_one_and_a_refused_one_costs_nothing() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::new(Rate::per_minute(10), 100, clock.clone());
        assert_eq!(allowed(&limiter, 1), 10);
        let Err(Error::RateLimited { retry_after }) = limiter.take(key(1)) else { panic!("it is empty") };
        assert_eq!(retry_after, Duration::from_secs(6));
        clock.advance(Duration::from_millis(5_999));
        assert!(limiter.take(key(1)).is_err());
        clock.advance(Duration::from_millis(1));
        assert_eq!(allowed(&limiter, 1), 1);
        clock.advance(Duration::from_hours(1));
        assert_eq!(allowed(&limiter, 1), 10);
    }

    #[test]
    fn a_burst_is_apart_from_the_rate_and_zero_is_one() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::new(Rate::per_minute(1).burst(20), 100, clock.clone());
        assert_eq!(allowed(&limiter, 1), 20);
        clock.advance(Duration::from_mins(3));
        assert_eq!(allowed(&limiter, 1), 3);
        assert_eq!(Rate::per_minute(0), Rate::per_minute(1));
        assert_eq!(Rate::per_minute(u32::MAX).quota().burst_size().get(), u32::MAX);
    }

    #[test]
    fn a_full_table_stays_bounded_and_newcomers_share_buckets_with_their_neighbours() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::new(Rate::per_minute(5), 100, clock.clone());
        for own in 0..100 {
            limiter.take(key(own)).unwrap();
        }
        let newcomers = (0..1_000).map(|n| 10_000 + 10 * n);
        let served = newcomers.filter(|own| limiter.take(key(*own)).is_ok()).count();
        assert_eq!(served, 5, "all neighbours together get what one key gets");
        assert_eq!(limiter.len(), 100);
        assert_eq!(allowed(&limiter, 7), 4, "a key that has its own bucket keeps it");
        // Ten groups of neighbours share a thousand buckets, so nearly every group has one of its own.
        let others = (1..10).filter(|n| limiter.take(key(10_000 + n)).is_ok()).count();
        assert!(others >= 7, "{others}");
    }

    #[test]
    fn what_is_given_back_was_never_taken() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::new(Rate::per_minute(5), 2, clock.clone());
        for _ in 0..100 {
            limiter.take(key(1)).unwrap();
            limiter.give_back(key(1));
        }
        assert_eq!(limiter.len(), 0, "it takes no room");
        for own in [1, 2, 3] {
            limiter.take(key(own)).unwrap();
            for _ in 0..10 {
                limiter.take(key(own)).unwrap();
                limiter.give_back(key(own));
            }
            assert_eq!(allowed(&limiter, own), 4, "{own}");
        }
    }

    #[test]
    fn a_full_table_lets_go_of_buckets_that_have_refilled() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::new(Rate::per_minute(60), 100, clock.clone());
        for own in 0..100 {
            limiter.take(key(own)).unwrap();
        }
        assert!(allowed(&limiter, 7) > 50);
        assert!(allowed(&limiter, 1_000) == 60, "from the overflow bucket");
        clock.advance(Duration::from_secs(5));
        limiter.take(key(1_000)).unwrap();
        assert_eq!(limiter.len(), 2, "the one that is still empty, and the newcomer");
        assert!(allowed(&limiter, 7) <= 5, "the sweep forgave nothing");
    }
}
