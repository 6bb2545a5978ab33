//! How often something may be tried.
//!
//! Three counters stand before each attempt at a secret: one for the client, against somebody who tries many accounts;
//! one for the account as this client tries it, which is the tightest; and one for the account, against many clients
//! that try one. They are asked before any password is hashed, and asking is taking: one atomic step each, so fifty
//! attempts at the same moment are no more than fifty attempts one after the other. The right password is refused as
//! well while a counter is empty, or else the refusals would be an oracle.
//!
//! It is a leaky bucket (GCRA, by the crate `governor`): a full bucket allows a burst, then attempts come back one by
//! one. An attempt that is refused takes nothing, so nobody is ever locked out for longer than one interval after the
//! attacks end.
//!
//! One client alone cannot bar somebody from their account: its own counter for that account runs empty long before the
//! account's does, and what it is refused takes nothing from the account. Many clients together can make the owner
//! compete with them for new sign-ins for as long as they go on; every session that is open is kept.
//!
//! Memory is bounded. A table that is full is first cleared of buckets that have refilled; if that does not help, new
//! keys share one overflow bucket of the same rate. It fails closed: a flood of addresses slows newcomers down and
//! never switches the limit off.
//!
//! The counters are per process. N nodes allow N times as much, and a restart empties them: a limit over the whole
//! cluster belongs into the proxy in front of it.
//!
//! | action | per client | per account | per account from one client |
//! |---|---|---|---|
//! | [`Action::Login`] | 60 a minute | 60 a minute | 10 a minute |
//! | [`Action::SignUp`] | 20 at once, then 1 a minute | 5 a minute | |
//! | [`Action::Refresh`] | 120 a minute | 30 a minute | |

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use authfort::{Error, Result};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};

use crate::ClientKey;

/// How many keys each of the tables holds; about six megabytes a table when full.
const MAX_KEYS: usize = 100_000;

/// A full table is searched for refilled buckets at most this often, since the search looks at every key.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What is counted.
///
/// ```
/// use authfort_axum::{Action, RateLimits};
/// RateLimits::default().check_client(Action::Login, None)?;
/// # Ok::<_, authfort::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// A sign-in with a password, or another try at a password.
    Login,
    /// A new user who signs up.
    SignUp,
    /// An exchange of a refresh token.
    Refresh,
}

/// How many at once, and how fast they come back.
///
/// ```
/// use authfort_axum::Rate;
///
/// let ten_a_minute = Rate::per_minute(10); // ten at once, then one every six seconds
/// let twenty_then_one = Rate::per_minute(1).burst(20);
/// # let _ = (ten_a_minute, twenty_then_one);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    burst: NonZeroU32,
    interval: Duration,
}

impl Rate {
    /// This many in a minute, all of them at once if need be. Zero counts as one: to close a door, unmount it.
    ///
    /// ```
    /// use authfort_axum::Rate;
    /// const TEN: Rate = Rate::per_minute(10);
    /// assert_eq!(Rate::per_minute(0), Rate::per_minute(1));
    /// ```
    pub const fn per_minute(count: u32) -> Self {
        Self::per(count, Duration::from_mins(1))
    }

    /// This many in an hour, all of them at once if need be. Zero counts as one.
    ///
    /// ```
    /// use authfort_axum::Rate;
    /// const TEN: Rate = Rate::per_hour(10);
    /// ```
    pub const fn per_hour(count: u32) -> Self {
        Self::per(count, Duration::from_hours(1))
    }

    const fn per(count: u32, period: Duration) -> Self {
        let count = at_least_one(count);
        let interval = match period.checked_div(count.get()) {
            Some(interval) => interval,
            None => period,
        };
        Self { burst: count, interval }
    }

    /// Allows this many at once instead. Zero counts as one.
    ///
    /// ```
    /// use authfort_axum::Rate;
    /// const THREE_THEN_ONE_A_MINUTE: Rate = Rate::per_minute(1).burst(3);
    /// ```
    #[must_use]
    pub const fn burst(self, count: u32) -> Self {
        Self { burst: at_least_one(count), interval: self.interval }
    }

    fn quota(self) -> Quota {
        Quota::with_period(self.interval).unwrap_or_else(|| Quota::per_minute(NonZeroU32::MIN)).allow_burst(self.burst)
    }
}

const fn at_least_one(count: u32) -> NonZeroU32 {
    match NonZeroU32::new(count) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}

/// The counters of this process. Clones share them.
///
/// ```
/// use authfort_axum::{Action, Rate, RateLimits};
///
/// let limits = RateLimits::default().client(Action::Login, Rate::per_minute(2));
/// let client = Some("203.0.113.7".parse().unwrap());
/// limits.check_client(Action::Login, client)?;
/// limits.check_client(Action::Login, client)?;
/// let error = limits.check_client(Action::Login, client).unwrap_err();
/// assert_eq!(error.code(), "rate_limited");
/// # Ok::<_, authfort::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RateLimits {
    clients: PerAction,
    accounts: PerAction,
    accounts_from_client: PerAction,
    // Two independent keyed hashes make 128 bits that nobody outside can aim at; the table need not keep addresses of
    // people.
    hashers: [RandomState; 2],
}

impl Default for RateLimits {
    fn default() -> Self {
        Self::off()
            .client(Action::Login, Rate::per_minute(60))
            .account(Action::Login, Rate::per_minute(60))
            .account_from_client(Action::Login, Rate::per_minute(10))
            .client(Action::SignUp, Rate::per_minute(1).burst(20))
            .account(Action::SignUp, Rate::per_minute(5))
            .client(Action::Refresh, Rate::per_minute(120))
            .account(Action::Refresh, Rate::per_minute(30))
    }
}

impl RateLimits {
    /// Counts nothing, for tests and for deployments that count elsewhere. What is set afterwards is counted.
    ///
    /// ```
    /// use authfort_axum::{Action, RateLimits};
    /// let limits = RateLimits::off();
    /// assert!((0..1_000).all(|_| limits.check_client(Action::Login, None).is_ok()));
    /// ```
    pub fn off() -> Self {
        Self {
            clients: PerAction::default(),
            accounts: PerAction::default(),
            accounts_from_client: PerAction::default(),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// Sets the rate of an action for each client, with empty counters.
    ///
    /// ```
    /// use authfort_axum::{Action, Rate, RateLimits};
    /// let limits = RateLimits::default().client(Action::Login, Rate::per_minute(30));
    /// ```
    #[must_use]
    pub fn client(mut self, action: Action, rate: Rate) -> Self {
        self.clients.set(action, rate);
        self
    }

    /// Sets the rate of an action for each account, with empty counters.
    ///
    /// ```
    /// use authfort_axum::{Action, Rate, RateLimits};
    /// let limits = RateLimits::default().account(Action::Login, Rate::per_minute(30));
    /// ```
    #[must_use]
    pub fn account(mut self, action: Action, rate: Rate) -> Self {
        self.accounts.set(action, rate);
        self
    }

    /// Sets the rate of an action for each account as each client tries it, with empty counters. Lower than the
    /// account's, it keeps one client from taking all that the account has.
    ///
    /// ```
    /// use authfort_axum::{Action, Rate, RateLimits};
    ///
    /// let limits = RateLimits::off()
    ///     .account(Action::Login, Rate::per_minute(60))
    ///     .account_from_client(Action::Login, Rate::per_minute(2));
    /// let (attacker, owner) = ("203.0.113.7".parse().ok(), "198.51.100.1".parse().ok());
    /// while limits.check_account(Action::Login, attacker, "jane@example.com").is_ok() {}
    /// limits.check_account(Action::Login, owner, "jane@example.com")?;
    /// # Ok::<_, authfort::Error>(())
    /// ```
    #[must_use]
    pub fn account_from_client(mut self, action: Action, rate: Rate) -> Self {
        self.accounts_from_client.set(action, rate);
        self
    }

    /// Takes one attempt of this client. Clients without a known address share one bucket; an IPv6 client is its /64.
    ///
    /// ```
    /// use authfort_axum::{Action, Rate, RateLimits};
    /// let limits = RateLimits::off().client(Action::Login, Rate::per_hour(1));
    /// let client = "192.0.2.1".parse().ok();
    /// limits.check_client(Action::Login, client)?;
    /// assert!(limits.check_client(Action::Login, client).is_err());
    /// # Ok::<_, authfort::Error>(())
    /// ```
    ///
    /// # Errors
    /// - [`Error::RateLimited`]: nothing is left, and nothing was taken
    pub fn check_client(&self, action: Action, address: Option<IpAddr>) -> Result<()> {
        self.clients.check(action, ClientKey::from(address).bits())
    }

    /// Takes one attempt of this client at this account: the address that was entered, whether or not there is such a
    /// user, or an id.
    ///
    /// Accounts are told apart by [`authfort::email_key`]: however an address is spelled, it is one account.
    ///
    /// ```
    /// use authfort_axum::{Action, Rate, RateLimits};
    /// let limits = RateLimits::off().account(Action::Login, Rate::per_hour(1));
    /// limits.check_account(Action::Login, None, "jane@example.com")?;
    /// assert!(limits.check_account(Action::Login, None, " JANE@example.com").is_err());
    /// # Ok::<_, authfort::Error>(())
    /// ```
    ///
    /// # Errors
    /// - [`Error::RateLimited`]: nothing is left for the client, or for anybody, and nothing was taken from the account
    pub fn check_account(&self, action: Action, client: Option<IpAddr>, account: &str) -> Result<()> {
        if self.accounts.get(action).is_none() && self.accounts_from_client.get(action).is_none() {
            return Ok(());
        }
        let account = authfort::email_key(account);
        let account = account.as_str();
        // The tightest first: what it refuses must take nothing from the account that others share.
        self.accounts_from_client.check(action, self.hash((ClientKey::from(client).bits(), account)))?;
        self.accounts.check(action, self.hash(account))
    }

    fn hash(&self, key: impl Hash + Copy) -> Key {
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(key)));
        high << 64 | low
    }
}

/// A client or an account, as 128 bits.
type Key = u128;

#[derive(Debug, Clone, Default)]
struct PerAction {
    login: Option<Arc<Limiter<DefaultClock>>>,
    sign_up: Option<Arc<Limiter<DefaultClock>>>,
    refresh: Option<Arc<Limiter<DefaultClock>>>,
}

impl PerAction {
    fn set(&mut self, action: Action, rate: Rate) {
        let limiter = Some(Arc::new(Limiter::new(rate, MAX_KEYS, DefaultClock::default())));
        match action {
            Action::Login => self.login = limiter,
            Action::SignUp => self.sign_up = limiter,
            Action::Refresh => self.refresh = limiter,
        }
    }

    fn get(&self, action: Action) -> Option<&Limiter<DefaultClock>> {
        match action {
            Action::Login => self.login.as_deref(),
            Action::SignUp => self.sign_up.as_deref(),
            Action::Refresh => self.refresh.as_deref(),
        }
    }

    fn check(&self, action: Action, key: Key) -> Result<()> {
        self.get(action).map_or(Ok(()), |limiter| limiter.check(key))
    }
}

struct Limiter<C: Clock> {
    governor: RateLimiter<Key, Table, C, NoOpMiddleware<C::Instant>>,
    max_keys: usize,
    swept: Mutex<Option<C::Instant>>,
}

impl<C: Clock> Limiter<C> {
    fn new(rate: Rate, max_keys: usize, clock: C) -> Self {
        let governor = RateLimiter::new(rate.quota(), Table::new(max_keys), clock);
        Self { governor, max_keys, swept: Mutex::new(None) }
    }

    fn check(&self, key: Key) -> Result<()> {
        if self.governor.len() >= self.max_keys && self.sweep_is_due() {
            self.governor.retain_recent();
        }
        self.governor
            .check_key(&key)
            .map_err(|until| Error::RateLimited { retry_after: until.wait_time_from(self.governor.clock().now()) })
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
}

impl<C: Clock> fmt::Debug for Limiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

/// The states of all keys, and one that the keys share which find no room.
///
/// governor's own tables grow with their keys. One lock is enough here: it is held for a look-up and an addition,
/// before work that takes a thousand times as long.
struct Table {
    states: Mutex<States>,
    max_keys: usize,
}

struct States {
    known: HashMap<Key, Nanos>,
    overflow: Option<Nanos>,
}

impl Table {
    fn new(max_keys: usize) -> Self {
        Self { states: Mutex::new(States { known: HashMap::new(), overflow: None }), max_keys }
    }

    fn states(&self) -> MutexGuard<'_, States> {
        // Each change is one insertion, so a panic elsewhere leaves nothing half done.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Table {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, decide: F) -> std::result::Result<T, E>
    where
        F: Fn(Option<Nanos>) -> std::result::Result<(T, Nanos), E>,
    {
        let mut states = self.states();
        if let Some(state) = states.known.get_mut(key) {
            let (outcome, next) = decide(Some(*state))?;
            *state = next;
            return Ok(outcome);
        }
        if states.known.len() >= self.max_keys {
            let (outcome, next) = decide(states.overflow)?;
            states.overflow = Some(next);
            return Ok(outcome);
        }
        let (outcome, next) = decide(None)?;
        states.known.insert(*key, next);
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<Key> for Table {
    fn retain_recent(&self, drop_below: Nanos) {
        let known = &mut self.states().known;
        known.retain(|_, state| *state > drop_below);
        // What a flood has filled is given back when the flood is over.
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

    fn address(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    fn allowed(mut attempt: impl FnMut() -> Result<()>) -> usize {
        (0..1_000).filter(|_| attempt().is_ok()).count()
    }

    /// A limit that does not refill while a test runs.
    fn slow(burst: u32) -> Rate {
        Rate::per_hour(1).burst(burst)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn row_56_fifty_attempts_at_once_are_no_more_than_fifty_in_a_row() {
        let limits = RateLimits::off().account(Action::Login, slow(5)).client(Action::Login, slow(7));
        let barrier = Arc::new(tokio::sync::Barrier::new(50));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (limits, barrier) = (limits.clone(), Arc::clone(&barrier));
                tokio::spawn(async move {
                    barrier.wait().await;
                    let client = limits.check_client(Action::Login, address("203.0.113.7")).is_ok();
                    let account = limits.check_account(Action::Login, None, "victim@example.com").is_ok();
                    (usize::from(client), usize::from(account))
                })
            })
            .collect();
        let (mut clients, mut accounts) = (0, 0);
        for task in tasks {
            let (client, account) = task.await.unwrap();
            clients += client;
            accounts += account;
        }
        assert_eq!((clients, accounts), (7, 5));
    }

    #[test]
    fn an_account_is_one_account_in_every_spelling() {
        let limits = RateLimits::off().account(Action::Login, slow(1));
        limits.check_account(Action::Login, None, "Jürgen@example.com").unwrap();
        for spelling in
            ["jürgen@example.com", " JÜRGEN@EXAMPLE.COM\n", "ju\u{308}rgen@example.com", "jürgen＠ｅxample.com"]
        {
            assert!(limits.check_account(Action::Login, None, spelling).is_err(), "{spelling}");
        }
        limits.check_account(Action::Login, None, "jurgen@example.com").unwrap();
        let limits = RateLimits::off().account(Action::Login, Rate::per_hour(1));
        limits.check_account(Action::Login, None, "x@münchen.de").unwrap();
        assert!(limits.check_account(Action::Login, None, "X@xn--mnchen-3ya.de").is_err());
    }

    #[test]
    fn actions_clients_and_accounts_are_counted_apart() {
        let limits = RateLimits::off().client(Action::Login, slow(1)).client(Action::Refresh, slow(1));
        let client = address("203.0.113.7");
        limits.check_client(Action::Login, client).unwrap();
        assert!(limits.check_client(Action::Login, client).is_err());
        limits.check_client(Action::Refresh, client).unwrap();
        limits.check_client(Action::Login, address("203.0.113.8")).unwrap();
        assert_eq!(allowed(|| limits.check_account(Action::Login, None, "a@b.c")), 1_000);
        assert_eq!(allowed(|| limits.check_client(Action::SignUp, client)), 1_000);
    }

    #[test]
    fn row_58_one_64_and_one_mapped_address_are_one_client_and_the_unknown_are_limited_too() {
        let limits = RateLimits::off().client(Action::Login, slow(1));
        limits.check_client(Action::Login, address("2001:db8::1")).unwrap();
        assert!(limits.check_client(Action::Login, address("2001:DB8::2")).is_err());
        limits.check_client(Action::Login, address("203.0.113.7")).unwrap();
        assert!(limits.check_client(Action::Login, address("::ffff:203.0.113.7")).is_err());
        limits.check_client(Action::Login, None).unwrap();
        assert!(limits.check_client(Action::Login, None).is_err());
    }

    #[test]
    fn the_defaults_are_those_of_the_table() {
        let limits = RateLimits::default();
        let client = address("203.0.113.7");
        // Sixty a minute give one back each second, so a slow machine may see one more.
        assert!((60..=62).contains(&allowed(|| limits.check_client(Action::Login, client))));
        assert!((10..=11).contains(&allowed(|| limits.check_account(Action::Login, client, "a@b.c"))));
        let crowd = (0..100_u8).filter(|n| {
            let client = Some([198, 51, 100, *n].into());
            limits.check_account(Action::Login, client, "a@b.c").is_ok()
        });
        assert!((50..=52).contains(&crowd.count()), "60 an account, of which the first client took 10");
        assert_eq!(allowed(|| limits.check_client(Action::SignUp, client)), 20);
        assert_eq!(allowed(|| limits.check_account(Action::SignUp, None, "a@b.c")), 5);
        assert!((120..=124).contains(&allowed(|| limits.check_client(Action::Refresh, client))));
        assert_eq!(allowed(|| limits.check_account(Action::Refresh, None, "a@b.c")), 30);
        assert_eq!(allowed(|| RateLimits::off().check_client(Action::Login, client)), 1_000);
    }

    #[test]
    fn row_59_one_client_cannot_take_all_that_an_account_has() {
        let limits = RateLimits::off().account(Action::Login, slow(6)).account_from_client(Action::Login, slow(2));
        let (attacker, owner) = (address("203.0.113.7"), address("198.51.100.1"));
        assert_eq!(allowed(|| limits.check_account(Action::Login, attacker, "Victim@example.com")), 2);
        assert_eq!(allowed(|| limits.check_account(Action::Login, owner, "victim@example.com")), 2);
        assert_eq!(allowed(|| limits.check_account(Action::Login, attacker, "another@example.com")), 2);
        assert_eq!(allowed(|| limits.check_account(Action::Login, None, "victim@example.com")), 2);
        assert_eq!(allowed(|| limits.check_account(Action::Login, address("::1"), "victim@example.com")), 0);
    }

    #[test]
    fn clones_share_their_counters() {
        let limits = RateLimits::off().client(Action::Login, slow(1));
        let clone = limits.clone();
        limits.check_client(Action::Login, None).unwrap();
        assert!(clone.check_client(Action::Login, None).is_err());
    }

    #[test]
    fn attempts_come_back_one_by_one_and_a_refused_one_costs_nothing() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::new(Rate::per_minute(10), 100, clock.clone());
        assert_eq!(allowed(|| limiter.check(1)), 10);
        let Err(Error::RateLimited { retry_after }) = limiter.check(1) else { panic!("it is empty") };
        assert_eq!(retry_after, Duration::from_secs(6));
        clock.advance(Duration::from_millis(5_999));
        assert!(limiter.check(1).is_err());
        clock.advance(Duration::from_millis(1));
        assert_eq!(allowed(|| limiter.check(1)), 1);
        clock.advance(Duration::from_hours(1));
        assert_eq!(allowed(|| limiter.check(1)), 10);
    }

    #[test]
    fn a_burst_is_apart_from_the_rate_and_zero_is_one() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::new(Rate::per_minute(1).burst(20), 100, clock.clone());
        assert_eq!(allowed(|| limiter.check(1)), 20);
        clock.advance(Duration::from_mins(3));
        assert_eq!(allowed(|| limiter.check(1)), 3);
        assert_eq!(Rate::per_minute(0), Rate::per_minute(1));
        assert_eq!(Rate::per_minute(u32::MAX).quota().burst_size().get(), u32::MAX);
    }

    #[test]
    fn row_58_a_full_table_stays_bounded_and_newcomers_share_one_bucket() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::new(Rate::per_minute(5), 100, clock.clone());
        for key in 0..100 {
            limiter.check(key).unwrap();
        }
        let newcomers = (1_000..2_000).filter(|key| limiter.check(*key).is_ok()).count();
        assert_eq!(newcomers, 5, "all newcomers together get what one key gets");
        assert_eq!(limiter.governor.len(), 100);
        assert_eq!(allowed(|| limiter.check(7)), 4, "a key that has its own bucket keeps it");
    }

    #[test]
    fn row_58_a_full_table_lets_go_of_buckets_that_have_refilled() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::new(Rate::per_minute(60), 100, clock.clone());
        for key in 0..100 {
            limiter.check(key).unwrap();
        }
        assert!(allowed(|| limiter.check(7)) > 50);
        assert!(allowed(|| limiter.check(1_000)) == 60, "from the overflow bucket");
        clock.advance(Duration::from_secs(5));
        limiter.check(1_000).unwrap();
        assert_eq!(limiter.governor.len(), 2, "the one that is still empty, and the newcomer");
        assert!(allowed(|| limiter.check(7)) <= 5, "the sweep forgave nothing");
    }
}
