//! What a change says of itself: what it does before its transaction, and between begin and commit.

use std::sync::Arc;

use super::Work;
use crate::core::Core;
use crate::db::{Conn, PooledConn};
use crate::{Error, Result, UserId};

/// What becomes of the transaction.
#[derive(Debug)]
pub enum Verdict<T> {
    /// Commit, and succeed.
    Commit(T),
    /// Commit, and fail with this.
    CommitAndFail(Error),
    /// Roll back, prepare anew, and run again: what was prepared is out of date. Nothing was written yet.
    PrepareAgain,
}

/// A change that [`Write`](crate::Write) can make. Each type of change says here what it answers; only this library implements it.
pub trait Operation: Send + Sync + 'static {
    /// What the call answers.
    type Output: Send + 'static;

    /// Checks and slow work before the transaction, such as hashing a password.
    #[doc(hidden)]
    fn prepare(&mut self, _before: &mut Before<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// What happens between begin and commit. It may run more than once.
    #[doc(hidden)]
    fn apply(&self, work: &mut Work<'_>) -> impl Future<Output = Result<Verdict<Self::Output>>> + Send;

    /// What the answer still lacks and takes no connection, such as a signature: once the one writer is free again.
    #[doc(hidden)]
    fn finish(&self, _core: &Core, _output: &mut Self::Output) -> Result<()> {
        Ok(())
    }

    /// Whose rows the change removes: where the application's rows do not let them go, their table is looked for.
    #[doc(hidden)]
    fn removes(&self) -> Option<UserId> {
        None
    }

    /// What follows the commit; not run inside the application's transaction, whose commit is not seen.
    #[doc(hidden)]
    fn committed(&self, _core: &Core) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A change that can take part in the application's transaction, by [`in_tx`](crate::Write::in_tx). Signing in and refreshing cannot:
/// they write down a failure that they also report (a wrong password, a refresh token that comes back), and a rollback
/// would take that back.
///
/// ```compile_fail,E0277
/// # async fn example(auth: authfort::AuthFort, pool: authfort::sqlx::SqlitePool) -> authfort::Result<()> {
/// let mut tx = pool.begin().await?;
/// auth.refresh("afr_…").in_tx(&mut tx).await?;
/// # Ok(()) }
/// ```
pub trait Joinable: Operation {}

/// Whether to go on, asked of whoever keeps limits once the input is known to be acceptable.
pub(crate) type RateCheck = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// Takes the question: it is asked once, not again when the change is prepared again.
pub(crate) fn check_rate(ask: &mut Option<RateCheck>) -> Result<()> {
    ask.take().map_or(Ok(()), |ask| ask())
}

/// What an operation has before its transaction: a look at the database, through the application's transaction where it
/// joins one. What that wrote must be seen, and its connection may be the only one.
#[derive(Debug)]
pub struct Before<'a> {
    pub(crate) core: &'a Core,
    /// The version that the user must be at, where the caller demands one.
    pub(crate) if_version: Option<i64>,
    pub(super) joined: Option<Conn<'a>>,
}

impl Before<'_> {
    /// A connection to read by. To be dropped before anything slow.
    pub(crate) async fn read(&mut self) -> Result<Lease<'_>> {
        match &mut self.joined {
            Some(conn) => Ok(Lease::Joined(conn.reborrow())),
            None => Ok(Lease::Pooled(self.core.db().read().await?)),
        }
    }

    /// The connection of the application's transaction, where there is one.
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

/// A change of one user, which can be bound to a version: see [`if_version`](crate::Write::if_version). It locks the user before it does
/// anything, and the lock asks for the version.
pub trait Conditional: Operation {}
