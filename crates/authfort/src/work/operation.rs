//! What a change implements: its work before the transaction, and between begin and commit.

use std::sync::Arc;

use super::Work;
use crate::core::Core;
use crate::db::{Conn, PooledConn};
use crate::{Error, Result, UserId};

/// How the transaction ends.
#[derive(Debug)]
pub enum Verdict<T> {
    /// Commit, and succeed.
    Commit(T),
    /// Commit, and fail with this error.
    CommitAndFail(Error),
    /// Roll back, prepare again, and run again: the prepared data is outdated. Nothing was written yet.
    PrepareAgain,
}

/// A change that [`Write`](crate::Write) can run. Each type of change sets its output; only this library implements it.
pub trait Operation: Send + Sync + 'static {
    /// What the call returns.
    type Output: Send + 'static;

    /// Validates the input and does slow work before the transaction, such as hashing a password.
    #[doc(hidden)]
    fn prepare(&mut self, _before: &mut Before<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Runs between begin and commit. It may run more than once.
    #[doc(hidden)]
    fn apply(&self, work: &mut Work<'_>) -> impl Future<Output = Result<Verdict<Self::Output>>> + Send;

    /// Completes the output without a connection, such as by signing a token. It runs after the commit, when SQLite's
    /// one writer is free again; inside the application's transaction it runs before the commit.
    #[doc(hidden)]
    fn finish(&self, _core: &Core, _output: &mut Self::Output) -> Result<()> {
        Ok(())
    }

    /// The user whose rows the change deletes. If a row of the application prevents that, its table is looked up.
    #[doc(hidden)]
    fn removes(&self) -> Option<UserId> {
        None
    }

    /// Whether it changes users or what they may do, so that the next list and the next guard of this process have to
    /// know. Not the frequent changes, of sessions.
    #[doc(hidden)]
    fn changes_users(&self) -> bool {
        true
    }

    /// Runs after the commit; not inside the application's transaction, whose commit is not seen.
    #[doc(hidden)]
    fn committed(&self, _core: &Core) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A change that can join the application's transaction with [`in_tx`](crate::Write::in_tx). Signing in and refreshing
/// cannot: they record a failure that they also report (a wrong password, a reused refresh token), and a rollback would
/// undo that record.
///
/// ```compile_fail,E0599
/// # async fn example(auth: authfort::AuthFort, pool: authfort::sqlx::SqlitePool) -> authfort::Result<()> {
/// let mut tx = pool.begin().await?;
/// auth.refresh("afr_…").in_tx(&mut tx).await?;
/// # Ok(()) }
/// ```
pub trait Joinable: Operation {}

/// The application's rate limit: called once the input is valid, and refuses by returning an error.
pub(crate) type RateCheck = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// Calls the rate check and removes it, so that it is not called again when the change is prepared again.
pub(crate) fn check_rate(ask: &mut Option<RateCheck>) -> Result<()> {
    ask.take().map_or(Ok(()), |ask| ask())
}

/// What an operation can use before its transaction: reads of the database. If it joins the application's transaction,
/// the reads use that connection: they must see its changes, and it may be the only connection.
#[derive(Debug)]
pub struct Before<'a> {
    pub(crate) core: &'a Core,
    /// The version that the user must be at, if the caller requires one.
    pub(crate) if_version: Option<i64>,
    pub(super) joined: Option<Conn<'a>>,
}

impl Before<'_> {
    /// Returns a connection for reading. Drop it before anything slow.
    pub(crate) async fn read(&mut self) -> Result<Lease<'_>> {
        match &mut self.joined {
            Some(conn) => Ok(Lease::Joined(conn.reborrow())),
            None => Ok(Lease::Pooled(self.core.db().read().await?)),
        }
    }

    /// Returns the connection of the application's transaction, if the operation joins one.
    pub(crate) fn joined(&mut self) -> Option<Conn<'_>> {
        self.joined.as_mut().map(Conn::reborrow)
    }
}

pub(crate) enum Lease<'a> {
    Pooled(PooledConn),
    Joined(Conn<'a>),
}

impl Lease<'_> {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Pooled(conn) => conn.conn(),
            Self::Joined(conn) => conn.reborrow(),
        }
    }
}

/// A change of one user that can be bound to a version: see [`if_version`](crate::Write::if_version). It locks the user
/// before it does anything, and checks the version under the lock.
pub trait Conditional: Operation {}
