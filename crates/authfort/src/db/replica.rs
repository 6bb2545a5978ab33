//! A streaming replica of PostgreSQL, which answers lists while it keeps up.
//!
//! A position in the WAL (an LSN, log sequence number) says how far the replica must be: where the primary was at most
//! [`lag`] ago, and after the last change of this process. The replica is asked how far it is on the connection that then
//! runs the list. A replica that is behind, away or broken is no error: the primary answers instead.
//!
//! [`lag`]: Replica::lag

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::reconnect::Attempts;
use super::{
    Conn, Connections, Db, PoolOptions, PooledConn, ReadQuery, classify, is_broken, is_conflict, postgres, row,
};
use crate::{Error, Result};

/// How long a list waits for the replica to say where it is, a new connection included.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a statement may run on the replica; the server may have disappeared without a word.
const LONGEST_STATEMENT: Duration = Duration::from_secs(30);
/// How long a replica that failed is left alone. Then one list tries it again.
const PAUSE: Duration = Duration::from_secs(5);
/// How often, and after which waits, a replica that is behind is asked again. In the same network it is some milliseconds
/// behind, which matters only to the list that follows a change at once.
const WAITS: [Duration; 4] =
    [Duration::from_millis(2), Duration::from_millis(4), Duration::from_millis(8), Duration::from_millis(16)];

#[derive(Debug)]
pub(crate) struct Replica {
    connections: Connections,
    /// How old an answer may be, apart from the changes of this process.
    lag: Duration,
    /// The database that the primary serves.
    identity: String,
    /// How many changes this process has committed.
    changes: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    primary: Option<Sample>,
    paused_until: Option<Instant>,
}

/// How far the primary was.
#[derive(Debug, Clone, Copy)]
struct Sample {
    lsn: i64,
    /// A moment before the primary was asked.
    at: Instant,
    /// The changes that come before this LSN.
    changes: u64,
}

row! {
    /// A server's database, and where it is in the WAL.
    pub(crate) struct WalState {
        /// The identifier of the server's data, which a replica shares with its primary, and the name of the database.
        pub identity: String,
        /// Whether the server replays the WAL of another one: whether it is a replica.
        pub in_recovery: bool,
        /// The LSN (log sequence number), in bytes: how far the WAL is replayed on a replica, or written on a primary. None
        /// on a replica that has replayed nothing.
        pub lsn: Option<i64>,
    }
}

impl WalState {
    /// Returns how far a replica has replayed; none for a server that is none, such as one that was promoted.
    fn replayed(&self) -> Option<i64> {
        self.lsn.filter(|_| self.in_recovery)
    }
}

/// Asks the primary.
struct OfPrimary;

impl ReadQuery for OfPrimary {
    type Answer = WalState;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<WalState> {
        postgres::wal_state(conn).await.map_err(classify)
    }
}

impl Replica {
    /// Opens the replica. One that cannot be reached now is used later; one of another database is refused.
    pub(super) async fn open(url: &str, options: &PoolOptions, db: &Db) -> Result<Self> {
        let connections = postgres::replica(url, options, PATIENCE)?;
        let identity = db.on_read(&OfPrimary).await?.identity;
        let lag = options.replica_lag();
        let replica = Self { connections, lag, identity, changes: AtomicU64::new(0), state: Mutex::default() };
        match timeout(PATIENCE, replica.connection()).await {
            Ok(Err(error @ Error::Config { .. })) => return Err(error),
            Ok(Err(error)) => replica.pause(&error),
            Err(_) => replica.pause(&Error::DatabaseUnavailable(sqlx::Error::PoolTimedOut)),
            Ok(Ok((_, None))) => tracing::warn!("the replica is a server that replays nothing; lists use the primary"),
            Ok(Ok((_, Some(_)))) => {}
        }
        Ok(replica)
    }

    /// Runs a query on the replica; `None` if the primary has to.
    pub(super) async fn answer<Q: ReadQuery>(&self, db: &Db, query: &Q) -> Option<Q::Answer> {
        if self.is_paused() {
            return None;
        }
        match self.ask(db, query).await {
            Ok(answer) => {
                self.state().paused_until = None;
                answer
            }
            // The replica had to remove rows that the query was reading.
            Err(Error::DatabaseUnavailable(error)) if is_conflict(&error) => {
                tracing::debug!(%error, "the replica cancelled a list");
                None
            }
            Err(error) => {
                self.pause(&error);
                None
            }
        }
    }

    /// Says that this process committed a change which lists are to show.
    pub(super) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(super) async fn close(&self) {
        self.connections.pool.close().await;
    }

    async fn ask<Q: ReadQuery>(&self, db: &Db, query: &Q) -> Result<Option<Q::Answer>> {
        let required = self.required(db).await?;
        let late = |_| Error::DatabaseUnavailable(sqlx::Error::PoolTimedOut);
        let Some(mut conn) = timeout(PATIENCE, self.caught_up(required)).await.map_err(late)?? else {
            return Ok(None);
        };
        let answer = timeout(LONGEST_STATEMENT, query.run(&mut conn.conn())).await;
        match answer {
            Ok(answer) => answer.map(Some),
            Err(elapsed) => {
                conn.abandon();
                Err(late(elapsed))
            }
        }
    }

    /// Returns the LSN that the replica must have replayed.
    async fn required(&self, db: &Db) -> Result<i64> {
        let changes = self.changes.load(Ordering::Acquire);
        let last = self.state().primary;
        if let Some(last) = last.filter(|last| last.changes == changes && last.at.elapsed() < self.lag) {
            return Ok(last.lsn);
        }
        let at = Instant::now();
        let primary = db.on_read(&OfPrimary).await?;
        let lsn = primary.lsn.filter(|_| !primary.in_recovery);
        let lsn = lsn.ok_or_else(|| Error::internal("the primary is itself a replica"))?;
        self.state().primary = Some(Sample { lsn, at, changes });
        Ok(lsn)
    }

    /// Returns a connection to the replica that has replayed so much; `None` if the replica is too far behind.
    async fn caught_up(&self, required: i64) -> Result<Option<PooledConn>> {
        let (mut conn, mut replayed) = self.connection().await?;
        let mut waits = WAITS.iter();
        loop {
            if replayed >= Some(required) {
                return Ok(Some(conn));
            }
            let Some(wait) = waits.next().filter(|_| replayed.is_some()) else { break };
            sleep(*wait).await;
            replayed = postgres::wal_state(&mut conn.conn()).await.map_err(classify)?.replayed();
        }
        tracing::debug!(?replayed, required, "the replica is behind; a list uses the primary");
        Ok(None)
    }

    /// Returns a connection that works, and how far the replica has replayed.
    async fn connection(&self) -> Result<(PooledConn, Option<i64>)> {
        let mut attempts = Attempts::new(&self.connections);
        loop {
            let mut conn = attempts.connection().await.map_err(classify)?;
            let found = match conn.begin_reading().await {
                Ok(()) => postgres::wal_state(&mut conn.conn()).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(found) if found.identity == self.identity => return Ok((conn, found.replayed())),
                Ok(_) => {
                    return Err(Error::config("replica_url", "is not a replica of this database; correct its URL"));
                }
                Err(error) if is_broken(&error) => {
                    conn.close_on_drop();
                    attempts.another(error).map_err(classify)?;
                }
                Err(error) => return Err(classify(error)),
            }
        }
    }

    /// Returns whether the replica is left alone. Of the calls after a pause, the first one is told that it is not, and tries
    /// it for the others.
    fn is_paused(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        match state.paused_until {
            None => false,
            Some(until) if now < until => true,
            Some(_) => {
                state.paused_until = Some(now + PAUSE);
                false
            }
        }
    }

    fn pause(&self, error: &Error) {
        let cause: &dyn std::error::Error = std::error::Error::source(error).unwrap_or(error);
        tracing::warn!(error = cause, "the replica cannot be used; lists use the primary");
        self.state().paused_until = Some(Instant::now() + PAUSE);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
