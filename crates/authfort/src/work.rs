//! The one write path.
//!
//! Begin; acquire the locks that the rule needs; check the rule; write; append the events; commit; publish the events
//! to hooks. Each operation implements only the part between begin and commit ([`Operation::apply`]); this module does
//! the rest.
//!
//! - The work before the transaction runs in the caller's future: if the client disconnects while a password waits to
//!   be hashed, the wait is cancelled. The transaction runs in its own task: a client that disconnects cannot leave it
//!   open or half done.
//! - Nothing slow runs inside the transaction. If the prepared data does not match what is found under the locks
//!   ([`Verdict::PrepareAgain`]), the transaction is rolled back, prepared again and run again, a few times.
//! - The caller is reauthorized under the locks of the change, and their row is locked against changes until the
//!   commit.
//! - After a deadlock, a serialization failure or a locked file the whole unit runs again, with a growing pause, a few
//!   times and for a few seconds.
//! - An operation may commit and still fail ([`Verdict::CommitAndFail`]): a detected theft is recorded before it is
//!   reported.

mod locks;
mod operation;
mod unit;

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use tracing::Instrument;

use crate::core::Core;
use crate::crypto::jitter;
use crate::db::{Conn, Savepoint, Tx};
use crate::{Error, Result, store};
pub(crate) use locks::at_version;
pub(crate) use operation::{Before, RateCheck, Verdict, check_rate};
pub use operation::{Conditional, Joinable, Operation};
pub(crate) use unit::Work;

/// A change that runs when it is awaited, or inside the application's transaction with [`in_tx`](Write::in_tx).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use authfort::{Algorithm, AuthFort};
/// let pool = authfort::sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
/// let auth = AuthFort::builder().algorithm(Algorithm::EdDsa).from_pool(pool.clone()).await?;
///
/// let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
/// auth.create_user("jane@example.com").in_tx(&mut tx).await?;
/// tx.rollback().await?;
/// assert!(auth.find_user_by_email("jane@example.com").await?.is_none());
/// # Ok(()) }
/// ```
#[must_use = "a call does nothing until it is awaited"]
pub struct Write<O> {
    pub(crate) core: Core,
    pub(crate) op: O,
    if_version: Option<i64>,
    prepared: bool,
}

impl<O> std::fmt::Debug for Write<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Operations may hold passwords and tokens.
        f.write_str(std::any::type_name::<O>())
    }
}

impl<O: Conditional> Write<O> {
    /// Runs the change only if the user is still at this [`version`](crate::User::version), even where it would change
    /// nothing. The version is checked under the lock: of several callers who read one version and write at once, one
    /// succeeds.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let seen = auth.create_user("jane@example.com").await?;
    /// auth.add_role(seen.id, "editor").await?;
    /// let error = auth.delete_user(seen.id).if_version(seen.version).await.unwrap_err();
    /// assert_eq!(error.code(), "precondition_failed");
    /// # Ok(()) }
    /// ```
    ///
    /// Otherwise the call fails with [`Error::PreconditionFailed`] and changes nothing.
    pub fn if_version(mut self, version: i64) -> Self {
        self.if_version = Some(version);
        self
    }
}

const ATTEMPTS: u32 = 6;
/// No attempt starts after this time: the caller waits, and each attempt may itself have waited for a lock.
const RETRY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a change is prepared: once, and again each time a concurrent change made the prepared data outdated.
const ROUNDS: u32 = 4;

impl<O: Operation> Write<O> {
    pub(crate) fn new(core: &Core, op: O) -> Self {
        Self { core: core.clone(), op, if_version: None, prepared: false }
    }

    /// Does the work that needs no transaction: it validates the input and hashes a password. The call can then be
    /// awaited or join a transaction without spending that time again: on SQLite no other writer can run while a
    /// transaction is open.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use authfort::{Algorithm, AuthFort};
    /// # let pool = authfort::sqlx::SqlitePool::connect("sqlite::memory:").await?;
    /// # let auth = AuthFort::builder().algorithm(Algorithm::EdDsa).from_pool(pool.clone()).await?;
    /// let sign_up = auth.sign_up("jane@example.com", "correct horse battery").prepare().await?;
    /// let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    /// let signed_in = sign_up.in_tx(&mut tx).await?;
    /// tx.commit().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// The rules are checked again under the locks, so any time may pass between the two calls.
    ///
    /// # Errors
    /// The operation's errors that the input causes, such as [`Error::Validation`].
    pub async fn prepare(mut self) -> Result<Self> {
        if !self.prepared {
            self.op.prepare(&mut Before { core: &self.core, if_version: self.if_version, joined: None }).await?;
            self.prepared = true;
        }
        Ok(self)
    }

    async fn run(mut self) -> Result<O::Output> {
        for _ in 0..ROUNDS {
            self = self.prepare().await?;
            // In its own task, so that dropping the caller's future does not cancel it between begin and commit. In the
            // caller's span, so that its log messages belong to the request.
            let unit = tokio::spawn(async move { (commit(&self).await, self) }.in_current_span());
            let (outcome, write) = unit.await.map_err(Error::internal)?;
            match outcome? {
                Some(output) => return Ok(output),
                None => self = Self { prepared: false, ..write },
            }
        }
        Err(Error::Overloaded)
    }
}

impl<O: Joinable> Write<O> {
    /// Runs the change inside the application's own transaction, which commits it or rolls it back. If the change
    /// fails, it leaves nothing in the transaction, which stays usable. Hooks run once the transaction has committed.
    ///
    /// Row locks are held until then, so keep the transaction short. On SQLite begin it with `BEGIN IMMEDIATE`.
    ///
    /// # Errors
    /// Those of the operation. [`Error::Config`] if the transaction belongs to another engine than the pool, or does
    /// not enforce foreign keys on SQLite.
    pub async fn in_tx<'c>(mut self, tx: impl Into<Conn<'c>>) -> Result<O::Output> {
        let mut conn = tx.into();
        self.core.db().check_joined(&mut conn).await?;
        Savepoint::begin(&mut conn).await?;
        match self.join(&mut conn).await {
            Ok(mut output) => {
                Savepoint::release(&mut conn).await?;
                tell_lists(&self);
                self.core.tail().joined();
                self.op.finish(&self.core, &mut output)?;
                Ok(output)
            }
            Err(error) => {
                // Some errors abort the whole transaction. The operation's error is the one to report.
                if let Err(second) = Savepoint::roll_back(&mut conn).await {
                    tracing::debug!(error = %second, "rolling back to the savepoint");
                    return Err(error);
                }
                Err(named(&self.op, &mut conn, error).await)
            }
        }
    }

    async fn join(&mut self, conn: &mut Conn<'_>) -> Result<O::Output> {
        for _ in 0..ROUNDS {
            if !std::mem::take(&mut self.prepared) {
                let joined = Some(conn.reborrow());
                self.op.prepare(&mut Before { core: &self.core, if_version: self.if_version, joined }).await?;
            }
            let mut work = Work::new(&self.core, conn.reborrow(), self.if_version);
            match execute(&self.op, &mut work).await? {
                Verdict::Commit(output) => {
                    self.core.hooks().keep(work.events);
                    return Ok(output);
                }
                Verdict::CommitAndFail(error) => return Err(error),
                Verdict::PrepareAgain => {}
            }
        }
        Err(Error::Overloaded)
    }
}

/// Runs the transaction until it commits; `None` if it has to be prepared again.
async fn commit<O: Operation>(write: &Write<O>) -> Result<Option<O::Output>> {
    let started = tokio::time::Instant::now();
    let mut pause = Duration::from_millis(5);
    let mut attempt = 1;
    loop {
        match attempt_once(write).await {
            Err(Error::DatabaseUnavailable(error))
                if crate::db::is_conflict(&error) && attempt < ATTEMPTS && started.elapsed() < RETRY_TIMEOUT =>
            {
                tracing::debug!(%error, attempt, "running the transaction again");
                tokio::time::sleep(pause + jitter(pause)).await;
                pause *= 2;
                attempt += 1;
            }
            Err(error @ Error::BlockedByReference { table: None }) => {
                return Err(match write.core.db().read().await {
                    Ok(mut conn) => named(&write.op, &mut conn.conn(), error).await,
                    Err(_) => error,
                });
            }
            outcome => return outcome,
        }
    }
}

/// Adds the name of the table that refers to the user, where the engine did not give it. Runs after the rollback.
async fn named<O: Operation>(op: &O, conn: &mut Conn<'_>, error: Error) -> Error {
    match (error, op.removes()) {
        (Error::BlockedByReference { table: None }, Some(user)) => {
            let table = conn.blocking_table(user).await.unwrap_or_else(|second| {
                tracing::debug!(error = %second, "looking for the table that refers to the user");
                None
            });
            Error::BlockedByReference { table }
        }
        (error, _) => error,
    }
}

async fn attempt_once<O: Operation>(write: &Write<O>) -> Result<Option<O::Output>> {
    let Write { core, op, if_version, .. } = write;
    let mut tx: Tx = core.db().begin().await?;
    let mut work = Work::new(core, tx.conn(), *if_version);
    let verdict = execute(op, &mut work).await;
    let Work { events, revokes, .. } = work;
    let has_events = !events.is_empty();
    core.hooks().keep(events);
    match verdict {
        Ok(Verdict::Commit(mut output)) => {
            finish(write, tx, has_events, revokes).await?;
            op.finish(core, &mut output)?;
            op.committed(core).await;
            Ok(Some(output))
        }
        Ok(Verdict::CommitAndFail(error)) => {
            finish(write, tx, has_events, revokes).await?;
            op.committed(core).await;
            Err(error)
        }
        Ok(Verdict::PrepareAgain) => {
            tx.rollback().await?;
            Ok(None)
        }
        Err(error) => {
            // The operation's error is the one to report.
            if let Err(second) = tx.rollback().await {
                tracing::debug!(error = %second, "rolling back");
            }
            Err(error)
        }
    }
}

/// Commits, and tells the guard, lists and hooks.
async fn finish<O: Operation>(write: &Write<O>, tx: Tx, has_events: bool, revokes: bool) -> Result<()> {
    let committed = tx.commit().await;
    // Also after an error: the answer to the commit may have been lost.
    if let Some(standings) = write.core.standings().filter(|_| revokes || write.op.changes_users()) {
        standings.changed();
    }
    committed?;
    tell_lists(write);
    if has_events {
        write.core.tail().committed();
    }
    Ok(())
}

/// Tells the lists of this process about a change.
fn tell_lists<O: Operation>(write: &Write<O>) {
    if write.op.changes_users() {
        write.core.db().changed();
    }
}

async fn execute<O: Operation>(op: &O, work: &mut Work<'_>) -> Result<Verdict<O::Output>> {
    let verdict = op.apply(work).await?;
    if matches!(verdict, Verdict::PrepareAgain) {
        return Ok(verdict);
    }
    work.reauthorize_caller().await?;
    if !work.events.is_empty() {
        let node = work.core.tail().node();
        store::events::append(&mut work.conn, &work.events, work.core.actor(), node).await?;
    }
    Ok(verdict)
}

impl<O: Operation> IntoFuture for Write<O> {
    type Output = Result<O::Output>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
