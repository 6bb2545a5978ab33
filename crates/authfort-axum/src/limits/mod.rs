//! Rate limits for attempts to sign in, sign up, refresh and request mail.
//!
//! Each attempt to use a secret passes three counters: one per client, against a client that tries many accounts; one
//! per account and client, which is the tightest; and one per account, against many clients that try the same account.
//! They are checked before any password is hashed. Checking a counter also takes an attempt from it, in one atomic
//! step, so fifty concurrent attempts count the same as fifty sequential ones. A request whose body is malformed or
//! invalid takes nothing. While a counter is empty the right password is refused too; otherwise the responses would
//! reveal it.
//!
//! Each counter is a leaky bucket (GCRA, by the crate `governor`): a full bucket allows a burst, then attempts refill
//! one by one. A refused attempt takes nothing, so no user is locked out for longer than one interval after an attack
//! ends.
//!
//! One client cannot lock a user out of their account: that client's counter for the account is empty long before the
//! account's own counter is, and attempts that it refuses take nothing from the account. Many clients together can make
//! the owner compete with them for new sign-ins while the attack lasts; open sessions are not affected.
//!
//! An IPv6 client is its /64. A client with a /48 has 65,536 of those, so a /48 has a rate of its own, 16 times the
//! client's, and a /32, which is what a provider is assigned, has 16 times the rate of a /48. An attempt takes from all
//! three or from none.
//!
//! Memory is bounded, and attempts that the wider networks refuse use no memory: a table holds 100,000 keys, and one
//! /32 can occupy at most 256 times the burst of one client. A full table first removes buckets that have refilled. If
//! that does not help, new keys share buckets of the same rate with their neighbours: clients in the same /32, or in
//! the same IPv4 /16. The limits fail closed: a flood from many addresses slows new clients down and never disables the
//! limits.
//!
//! The counters are per process. N nodes allow N times as much, and a restart resets them. Enforce a limit for the
//! whole cluster in the proxy in front of it.
//!
//! | action | per client | per account | per account and client |
//! |---|---|---|---|
//! | [`Action::Login`] | 60 a minute | 60 a minute | 10 a minute |
//! | [`Action::SignUp`] | 20 at once, then 1 a minute | 5 a minute | |
//! | [`Action::Refresh`] | 120 a minute | 30 a minute | 20 a minute |
//! | [`Action::Mail`] | 20 at once, then 1 a minute | 3 at once, then 6 an hour | |
//!
//! A refresh counts against an account only if the token could be exchanged: replaying an old token takes nothing from
//! its owner.

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

/// The factor from the rate of one network to the rate of the next wider one.
const WIDER: u32 = 16;

/// An action whose attempts are limited.
///
/// ```
/// use authfort_axum::{Action, RateLimits};
/// RateLimits::default().check_client(Action::Login, None)?;
/// # Ok::<_, authfort::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// A sign-in with a password, or another attempt to use a password.
    Login,
    /// A sign-up of a new user.
    SignUp,
    /// An exchange of a refresh token.
    Refresh,
    /// A request for a mail that verifies an address or resets a password.
    Mail,
}

/// A rate limit: how many attempts are allowed at once, and how fast they refill.
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
    /// Allows this many attempts a minute, all of them at once if need be. Zero is treated as one; to disable a route,
    /// do not mount it.
    ///
    /// ```
    /// use authfort_axum::Rate;
    /// const TEN: Rate = Rate::per_minute(10);
    /// assert_eq!(Rate::per_minute(0), Rate::per_minute(1));
    /// ```
    pub const fn per_minute(count: u32) -> Self {
        Self::per(count, Duration::from_mins(1))
    }

    /// Allows this many attempts an hour, all of them at once if need be. Zero is treated as one.
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

    /// Sets how many attempts are allowed at once. Zero is treated as one.
    ///
    /// ```
    /// use authfort_axum::Rate;
    /// const THREE_THEN_ONE_A_MINUTE: Rate = Rate::per_minute(1).burst(3);
    /// ```
    #[must_use]
    pub const fn burst(self, count: u32) -> Self {
        Self { burst: at_least_one(count), interval: self.interval }
    }

    /// Returns the rate of the next wider network.
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

/// The rate limits and their counters in this process. Clones share the counters.
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
    // Two independent keyed hashes give 128 bits whose collisions an attacker cannot compute, and the table need not
    // store email addresses.
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
    /// Creates limits that refuse nothing, for tests and for deployments that limit elsewhere. Rates that are set
    /// afterwards apply.
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

    /// Sets the rate of an action for each account and client, with empty counters. If it is lower than the account's
    /// rate, one client cannot use up all of the account's attempts.
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

    /// Takes one attempt from the counters of this client and of the networks around it. Clients without a known
    /// address share one bucket; an IPv6 client is its /64.
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
    /// - [`Error::RateLimited`](authfort::Error::RateLimited): no attempt is left, and nothing was taken
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

    /// Takes one attempt from the counters of this account. The account is the address that was entered, whether or not
    /// a user has it, or an id.
    ///
    /// Accounts are compared by [`authfort::email_key`], so every spelling of an address is the same account.
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
    /// - [`Error::RateLimited`](authfort::Error::RateLimited): no attempt is left for this client, or for any client,
    ///   and nothing was taken from the account
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

/// Takes from all buckets or from none. The tightest comes first: an attempt that it refuses takes nothing from the
/// buckets that are shared with others.
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

/// Returns the /48 and the /32 around an IPv6 address.
fn networks(address: Option<IpAddr>) -> Option<(u128, u128)> {
    match address?.to_canonical() {
        IpAddr::V6(address) => Some((address.to_bits() >> 80, address.to_bits() >> 96)),
        IpAddr::V4(_) => None,
    }
}

/// Returns the /16 of an IPv4 client, whose clients share a bucket when the table is full.
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
