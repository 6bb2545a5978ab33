//! What the guard remembers, so that a request of a caller it knows needs no statement.
//!
//! The guard remembers, by the digest of a whole token, that its signature is valid, and the [`Standing`] of its user. The
//! standing is checked for each request, so that a token, a session or a ban ends by the clock without a message. Whatever
//! else ends a standing is a commit, and each one is in a log in the database (`authfort_standing_changes`), which each
//! process [follows](follow). So:
//!
//! - What was read of a user is dropped once a change of this user is read from the log. What is read meanwhile is dropped
//!   too: see [`Epochs`].
//! - The log was read up to some moment. What is remembered is used only if that moment is at most [`Builder::guard_staleness`]
//!   ago, and after the last change of this process. If it is not, each request asks the database.
//!
//! [`Builder::guard_staleness`]: crate::Builder::guard_staleness

mod epochs;
mod flights;
mod follow;
mod freshness;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;
use tokio::sync::Notify;
use tokio::task::JoinSet;

pub(crate) use self::epochs::Epoch;
use self::epochs::Epochs;
use self::flights::{Flights, Reading};
use self::freshness::Freshness;
use crate::db::Db;
use crate::metrics::GuardMemory;
use crate::model::standing::Standing;
use crate::{Result, UserId};

/// The SHA-256 of a token.
pub(crate) type Digest = [u8; 32];

/// A token whose signature is valid, and the standing of its user as it was read.
#[derive(Debug)]
pub(crate) struct Remembered {
    pub kid: String,
    pub standing: Standing,
    /// That of the user before the standing was read.
    pub epoch: Epoch,
}

/// So much longer than a reading may take, a call waits for another one, so that it hears of its failure.
const LEAD: Duration = Duration::from_millis(250);

/// What is known of a token.
pub(crate) enum Recalled {
    /// Nothing has changed since this was read, as far as the bound on staleness asks.
    Current(Arc<Remembered>),
    /// Something may have changed.
    Doubtful(Arc<Remembered>),
    Nothing,
}

pub(crate) struct Standings {
    tokens: Cache<Digest, Arc<Remembered>>,
    epochs: Epochs,
    freshness: Freshness,
    flights: Flights,
    /// Ends a wait of the task that follows the log.
    wake: Notify,
    /// Whether anybody asked since the log was read.
    asked: AtomicBool,
    metrics: GuardMemory,
}

impl fmt::Debug for Standings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standings").field("tokens", &self.tokens.len()).finish_non_exhaustive()
    }
}

impl Standings {
    /// Begins to follow the log, and to delete what is old from it, until the tasks are dropped. With a staleness of zero,
    /// nothing is remembered or followed.
    pub(crate) fn start(db: &Db, staleness: Duration, most_tokens: usize) -> (Option<Arc<Self>>, JoinSet<()>) {
        let mut tasks = JoinSet::new();
        tasks.spawn(follow::delete_old(db.clone()));
        if staleness.is_zero() {
            return (None, tasks);
        }
        let standings = Arc::new(Self {
            tokens: Cache::new(most_tokens),
            epochs: Epochs::new(),
            freshness: Freshness::new(staleness),
            flights: Flights::new(db.patience() + LEAD),
            wake: Notify::new(),
            asked: AtomicBool::new(false),
            metrics: GuardMemory::new(),
        });
        tasks.spawn(follow::follow(Arc::clone(&standings), db.clone(), staleness));
        tasks.spawn(follow::listen(Arc::clone(&standings), db.clone()));
        (Some(standings), tasks)
    }

    /// Returns what is known of a token.
    pub(crate) fn recall(&self, token: &Digest, now: DateTime<Utc>) -> Recalled {
        // Mostly only read, so that processors do not fight for it.
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
        let Some(known) = self.tokens.get(token) else { return Recalled::Nothing };
        // In this order: an epoch that was looked at before the log was read would prove nothing. A refresh may have extended
        // the session, which is not logged.
        let current = self.freshness.is_sure()
            && self.epochs.of(known.standing.caller.user_id) == known.epoch
            && known.standing.session_lasts(now);
        if current { Recalled::Current(known) } else { Recalled::Doubtful(known) }
    }

    /// Says that a call begins with this.
    pub(crate) fn count(&self, recalled: &Recalled) {
        match recalled {
            Recalled::Current(_) => &self.metrics.hits,
            Recalled::Nothing => &self.metrics.misses,
            Recalled::Doubtful(_) if self.freshness.is_sure() => &self.metrics.changed,
            Recalled::Doubtful(_) => &self.metrics.unsure,
        }
        .increment(1);
    }

    /// Says that a standing is going to be read: of several calls with one token, the first gets something to hold meanwhile,
    /// and the others get nothing once that is dropped, and may find what it has remembered. While nothing is used that others
    /// have read, nobody waits for them.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable) if the other call could not reach the database.
    pub(crate) async fn begin_reading(&self, token: &Digest) -> Result<Option<Reading<'_>>> {
        if self.freshness.is_sure() {
            return self.flights.join(token).await;
        }
        self.wake.notify_one();
        Ok(None)
    }

    /// Returns the epoch of a user. Call it before reading the standing that is then remembered.
    pub(crate) fn epoch(&self, user: UserId) -> Epoch {
        self.epochs.of(user)
    }

    /// Remembers a token, if changes of what was read of it are logged: an absent session or key may yet be added.
    pub(crate) fn remember(&self, token: Digest, read: Remembered) {
        if read.standing.session_expires_at.is_some() && read.standing.key_known {
            self.tokens.insert(token, Arc::new(read));
        } else {
            self.tokens.remove(&token);
        }
    }

    pub(crate) fn forget(&self, token: &Digest) {
        self.tokens.remove(token);
    }

    /// Says that this process committed a change of somebody's standing: nothing is used until the log was read again.
    pub(crate) fn changed(&self) {
        self.freshness.require(Instant::now());
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SessionId;
    use crate::crypto::sha256;
    use crate::model::principal::Principal;

    /// The resident memory of this process in bytes.
    #[cfg(target_os = "linux")]
    fn resident() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

    #[cfg(target_os = "linux")]
    #[test]
    #[ignore = "measures; run it with `just soak`"]
    fn a_million_callers_take_800_megabytes_at_most() {
        const MOST: usize = 1_000_000;
        let now = DateTime::UNIX_EPOCH;
        let epochs = Epochs::new();
        let before = resident();
        let tokens = Cache::new(MOST);
        // Twice as many as it may hold.
        for n in 0..2 * MOST {
            let caller = Principal {
                user_id: UserId::new(now),
                session_id: SessionId::new(now),
                email: format!("jane.van.der.example{n}@example.com"),
                name: Some(format!("Jane van der Example {n}")),
                roles: vec!["editor".into(), "member".into()],
                expires_at: now,
                token_version: 1,
            };
            let standing = Standing {
                caller: Arc::new(caller),
                token_version: 1,
                banned: false,
                ban_expires_at: None,
                deleted: false,
                session_expires_at: Some(now),
                key_known: true,
                key_expires_at: None,
            };
            let kid = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".into();
            let epoch = epochs.of(standing.caller.user_id);
            let remembered = Remembered { kid, standing, epoch };
            tokens.insert(sha256(&n.to_le_bytes()), Arc::new(remembered));
        }
        let each = (resident() - before) / tokens.len();
        println!("{} callers with two roles: {each} bytes each", tokens.len());
        assert!(tokens.len() <= MOST && each <= 800, "{each}");
    }
}
