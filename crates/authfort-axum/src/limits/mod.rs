//! How often something may be tried.
//!
//! Three counters stand before each attempt at a secret: one for the client, against somebody who tries many accounts;
//! one for the account as this client tries it, which is the tightest; and one for the account, against many clients
//! that try one. They are asked before any password is hashed, and asking is taking: one atomic step each, so fifty
//! attempts at the same moment are no more than fifty attempts one after the other. A request that is refused for its
//! body, be it unreadable or not acceptable, takes nothing. The right password is refused as
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
//! An IPv6 client is its /64, of which somebody with a /48 has 65,536. So a /48 has a rate of its own as well, 16 times
//! the client's, and a /32, which is what a provider is given, 16 times that. An attempt takes from all three or from
//! none.
//!
//! Memory is bounded, and what the wider networks refuse takes no room: of 100,000 keys that a table holds, one /32 can
//! hold 256 times what a client may do at once. A table that is full all the same is first cleared of buckets that have
//! refilled. If that does not help, new keys share buckets of the same rate with their neighbours: a /32, an IPv4 /16.
//! It fails closed: a flood from everywhere slows newcomers down and never switches the limit off.
//!
//! The counters are per process. N nodes allow N times as much, and a restart empties them: a limit over the whole
//! cluster belongs into the proxy in front of it.
//!
//! | action | per client | per account | per account from one client |
//! |---|---|---|---|
//! | [`Action::Login`] | 60 a minute | 60 a minute | 10 a minute |
//! | [`Action::SignUp`] | 20 at once, then 1 a minute | 5 a minute | |
//! | [`Action::Refresh`] | 120 a minute | 30 a minute | 20 a minute |
//! | [`Action::Mail`] | 20 at once, then 1 a minute | 3 at once, then 6 an hour | |
//!
//! Only a refresh token that could be exchanged counts for its account: replaying an old one takes nothing from its owner.

mod bucket;
mod request;

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use authfort::Result;
use governor::Quota;
use governor::clock::DefaultClock;

use crate::ClientKey;
use bucket::{Key, Limiter, MAX_KEYS};
pub(crate) use request::Limits;

/// How many times its rate the next wider network has.
const WIDER: u32 = 16;

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
    /// A mail that somebody asks for: to verify an address, or to reset a password.
    Mail,
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

    /// The rate of the next wider network.
    fn wider(self) -> Self {
        let interval = (self.interval / WIDER).max(Duration::from_nanos(1));
        Self { burst: self.burst.saturating_mul(NonZeroU32::MIN.saturating_add(WIDER - 1)), interval }
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
    sites: PerAction,
    providers: PerAction,
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
            .account_from_client(Action::Refresh, Rate::per_minute(20))
            .client(Action::Mail, Rate::per_minute(1).burst(20))
            .account(Action::Mail, Rate::per_hour(6).burst(3))
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
            sites: PerAction::default(),
            providers: PerAction::default(),
            accounts: PerAction::default(),
            accounts_from_client: PerAction::default(),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// Sets the rate of an action for each client, with empty counters. An IPv6 client is its /64; a /48 has 16 times
    /// this rate, a /32 256 times.
    ///
    /// ```
    /// use authfort_axum::{Action, Rate, RateLimits};
    /// let limits = RateLimits::default().client(Action::Login, Rate::per_minute(30));
    /// ```
    #[must_use]
    pub fn client(mut self, action: Action, rate: Rate) -> Self {
        self.clients.set(action, rate);
        self.sites.set(action, rate.wider());
        self.providers.set(action, rate.wider().wider());
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

    /// Takes one attempt of this client, and of the networks around it. Clients without a known address share one bucket;
    /// an IPv6 client is its /64.
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
    /// - [`Error::RateLimited`](authfort::Error::RateLimited): nothing is left, and nothing was taken
    pub fn check_client(&self, action: Action, address: Option<IpAddr>) -> Result<()> {
        let own = ClientKey::from(address).bits();
        let Some((site, provider)) = networks(address) else {
            return take_all([(self.clients.get(action), Key { own, neighbours: neighbours(address) })]);
        };
        let key = |own| Key { own, neighbours: provider };
        take_all([
            (self.clients.get(action), key(own)),
            (self.sites.get(action), key(site)),
            (self.providers.get(action), key(provider)),
        ])
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
    /// - [`Error::RateLimited`](authfort::Error::RateLimited): nothing is left for the client, or for anybody, and nothing was taken from the account
    pub fn check_account(&self, action: Action, client: Option<IpAddr>, account: &str) -> Result<()> {
        if self.accounts.get(action).is_none() && self.accounts_from_client.get(action).is_none() {
            return Ok(());
        }
        let account = authfort::email_key(account);
        let account = account.as_str();
        let from_client = self.hash((ClientKey::from(client).bits(), account));
        take_all([
            (self.accounts_from_client.get(action), from_client),
            (self.accounts.get(action), self.hash(account)),
        ])
    }

    fn hash(&self, key: impl Hash + Copy) -> Key {
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(key)));
        Key { own: high << 64 | low, neighbours: low }
    }
}

/// Takes from all or from none. The tightest comes first: what it refuses takes nothing from what others share.
fn take_all<const N: usize>(buckets: [(Option<&Limiter>, Key); N]) -> Result<()> {
    for (taken, (limiter, key)) in buckets.iter().enumerate() {
        if let Some(Err(error)) = limiter.map(|limiter| limiter.take(*key)) {
            for (limiter, key) in buckets.iter().take(taken) {
                if let Some(limiter) = limiter {
                    limiter.give_back(*key);
                }
            }
            return Err(error);
        }
    }
    Ok(())
}

/// The /48 and the /32 around an IPv6 address.
fn networks(address: Option<IpAddr>) -> Option<(u128, u128)> {
    match address?.to_canonical() {
        IpAddr::V6(address) => Some((address.to_bits() >> 80, address.to_bits() >> 96)),
        IpAddr::V4(_) => None,
    }
}

/// With whom an IPv4 client shares a bucket where there is no room: its /16.
fn neighbours(address: Option<IpAddr>) -> u128 {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => 1 << 64 | u128::from(address.to_bits() >> 16),
        _ => 0,
    }
}

#[derive(Debug, Clone, Default)]
struct PerAction {
    login: Option<Arc<Limiter>>,
    sign_up: Option<Arc<Limiter>>,
    refresh: Option<Arc<Limiter>>,
    mail: Option<Arc<Limiter>>,
}

impl PerAction {
    fn set(&mut self, action: Action, rate: Rate) {
        let limiter = Some(Arc::new(Limiter::new(rate, MAX_KEYS, DefaultClock::default())));
        match action {
            Action::Login => self.login = limiter,
            Action::SignUp => self.sign_up = limiter,
            Action::Refresh => self.refresh = limiter,
            Action::Mail => self.mail = limiter,
        }
    }

    fn get(&self, action: Action) -> Option<&Limiter> {
        match action {
            Action::Login => self.login.as_deref(),
            Action::SignUp => self.sign_up.as_deref(),
            Action::Refresh => self.refresh.as_deref(),
            Action::Mail => self.mail.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests;
