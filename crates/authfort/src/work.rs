//! The one write path.
//!
//! Begin; lock what the rule needs; check the rule; write; append the events; commit; then fan out. Each operation
//! says only what lies between begin and commit ([`Operation::apply`]); the rest is here, once.
//!
//! - What comes before the transaction runs in the caller's future: who hangs up while a password waits to be hashed
//!   gives up the place. The transaction runs in a task of its own: a client that hangs up cannot leave it open or half
//!   done.
//! - Nothing slow happens inside the transaction. Where what was prepared does not fit what is found under the locks
//!   ([`Verdict::PrepareAgain`]), it is rolled back, prepared anew and run again, a few times.
//! - The caller is asked once more under the locks of the change, and their row is kept as it is until the commit.
//! - A deadlock, a serialization failure or a locked file runs the whole unit again, with a growing pause, a few times and
//!   for a few seconds.
//! - An operation may commit and still fail ([`Verdict::CommitAndFail`]): a detected theft is recorded before it is reported.

mod locks;
mod operation;
mod unit;

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use tracing::Instrument;

use crate::core::Core;
use crate::db::{Conn, OpenTransaction, Savepoint, Tx};
use crate::events::Event;
use crate::{Error, Result, store};
pub(crate) use locks::at_version;
pub(crate) use operation::{Before, RateCheck, Verdict, check_rate};
pub use operation::{Conditional, Joinable, Operation};
pub(crate) use unit::Work;

/// A change that happens when it is awaited, or inside the application's transaction by [`in_tx`](Write::in_tx).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use authfort::{Algorithm, AuthFort};
/// let pool = authfort::sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
/// let auth = AuthFort::builder().algorithm(Algorithm::EdDsa).from_pool(pool.clone()).await?;
///
/// let mut tx = pool.begin().await?;
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
    /// Only if the user is still at this [`version`](crate::User::version), also where nothing would change. It is asked
    /// under the lock, so of several who read one version and write at once one succeeds.
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
    /// The call then fails with [`Error::PreconditionFailed`], and has done nothing.
    pub fn if_version(mut self, version: i64) -> Self {
        self.if_version = Some(version);
        self
    }
}

const ATTEMPTS: u32 = 6;
/// No attempt begins after this: the caller waits, and each attempt may itself have waited for a lock.
const RETRY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a change is prepared: once, and again for as many others as changed what it was prepared for.
const ROUNDS: u32 = 4;

impl<O: Operation> Write<O> {
    pub(crate) fn new(core: &Core, op: O) -> Self {
        Self { core: core.clone(), op, if_version: None, prepared: false }
    }

    /// Does beforehand what needs no transaction: it checks the input and hashes a password. The call is then awaited, or
    /// joins a transaction, without spending that time once more: on SQLite nobody else writes while one is open.
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
    /// What it finds is asked again under the locks where it may have changed: waiting between the two is no danger.
    ///
    /// # Errors
    /// Those of the operation that the input causes, such as [`Error::Validation`].
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
            // A task of its own: dropping the caller's future does not cancel it between begin and commit.
            // In the caller's span still: what is logged on the way belongs to the request.
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
    /// Takes part in the application's own transaction: what this does is committed or rolled back with it. Where it
    /// fails, the transaction stays usable and holds nothing of it. Hooks run once the transaction has committed.
    ///
    /// Row locks are held until then, so keep the transaction short. On SQLite begin it with `BEGIN IMMEDIATE`.
    ///
    /// # Errors
    /// Those of the operation. [`Error::Config`] where the transaction is of another engine than the pool, or on
    /// SQLite does not keep foreign keys.
    pub async fn in_tx<'c>(mut self, tx: impl Into<Conn<'c>>) -> Result<O::Output> {
        let mut conn = tx.into();
        self.core.db().check_joined(&mut conn).await?;
        Savepoint::begin(&mut conn).await?;
        match self.join(&mut conn).await {
            Ok((mut output, watched)) => {
                Savepoint::release(&mut conn).await?;
                if let Some((transaction, events)) = watched {
                    self.core.hooks().publish_when_committed(self.core.db().clone(), transaction, events);
                }
                self.op.finish(&self.core, &mut output)?;
                Ok(output)
            }
            Err(error) => {
                // Some errors end the whole transaction. The error of the operation is the one to report.
                if let Err(second) = Savepoint::roll_back(&mut conn).await {
                    tracing::debug!(error = %second, "rolling back to the savepoint");
                    return Err(error);
                }
                Err(named(&self.op, &mut conn, error).await)
            }
        }
    }

    /// The answer, and what hooks wait for: events, with the transaction that they are part of.
    async fn join(&mut self, conn: &mut Conn<'_>) -> Result<(O::Output, Option<(OpenTransaction, Vec<Event>)>)> {
        for _ in 0..ROUNDS {
            if !std::mem::take(&mut self.prepared) {
                let joined = Some(conn.reborrow());
                self.op.prepare(&mut Before { core: &self.core, if_version: self.if_version, joined }).await?;
            }
            let mut work = Work::new(&self.core, conn.reborrow(), self.if_version);
            match execute(&self.op, &mut work).await? {
                Verdict::Commit(output) => {
                    let events = work.events;
                    if events.is_empty() || self.core.hooks().is_empty() {
                        return Ok((output, None));
                    }
                    return Ok((output, Some((conn.open_transaction().await?, events))));
                }
                Verdict::CommitAndFail(error) => return Err(error),
                Verdict::PrepareAgain => {}
            }
        }
        Err(Error::Overloaded)
    }
}

/// Runs the transaction until it is committed; `None` where it has to be prepared anew.
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

/// Names the table that holds a user back, where the engine did not. It is asked once the change has been undone.
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
    let events = work.events;
    match verdict {
        Ok(Verdict::Commit(mut output)) => {
            let ticket = core.hooks().ticket();
            tx.commit().await?;
            ticket.publish(events);
            op.finish(core, &mut output)?;
            op.committed(core).await;
            Ok(Some(output))
        }
        Ok(Verdict::CommitAndFail(error)) => {
            let ticket = core.hooks().ticket();
            tx.commit().await?;
            ticket.publish(events);
            op.committed(core).await;
            Err(error)
        }
        Ok(Verdict::PrepareAgain) => {
            tx.rollback().await?;
            Ok(None)
        }
        Err(error) => {
            // The error of the operation is the one to report.
            if let Err(second) = tx.rollback().await {
                tracing::debug!(error = %second, "rolling back");
            }
            Err(error)
        }
    }
}

async fn execute<O: Operation>(op: &O, work: &mut Work<'_>) -> Result<Verdict<O::Output>> {
    let verdict = op.apply(work).await?;
    if matches!(verdict, Verdict::PrepareAgain) {
        return Ok(verdict);
    }
    work.reauthorize_caller().await?;
    if !work.events.is_empty() {
        store::events::append(&mut work.conn, &work.events, work.core.actor()).await?;
    }
    Ok(verdict)
}

/// Up to as much again, so that two who ran into each other do not do so once more.
fn jitter(pause: Duration) -> Duration {
    let random = crate::crypto::random::<1>().map_or(0, |[byte]| u32::from(byte));
    pause * random / 256
}

impl<O: Operation> IntoFuture for Write<O> {
    type Output = Result<O::Output>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
