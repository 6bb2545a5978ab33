//! Transactions of our own, and savepoints inside the application's.

use super::{Conn, blocked, fault, sql};
use crate::Result;

/// A transaction of our own. Dropped without [`Tx::commit`], it is rolled back.
pub(crate) enum Tx {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Tx {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(tx) => Conn::Sqlite(tx),
            #[cfg(feature = "postgres")]
            Self::Postgres(tx) => Conn::Postgres(tx),
        }
    }

    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(tx) => tx.commit().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(tx) => tx.commit().await,
        }
        // A reference of the application's may be checked only here (`DEFERRABLE INITIALLY DEFERRED`).
        .map_err(blocked)
    }

    pub(crate) async fn rollback(self) -> Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(tx) => tx.rollback().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(tx) => tx.rollback().await,
        }
        .map_err(fault)
    }
}

/// Keeps an operation whole inside a transaction that is not ours: an error takes back what the operation did, and
/// leaves the transaction usable.
pub(crate) struct Savepoint;

impl Savepoint {
    pub(crate) async fn begin(conn: &mut Conn<'_>) -> Result<()> {
        sql!(conn, execute, "SAVEPOINT authfort").map_err(fault)?;
        Ok(())
    }

    pub(crate) async fn release(conn: &mut Conn<'_>) -> Result<()> {
        sql!(conn, execute, "RELEASE SAVEPOINT authfort").map_err(fault)?;
        Ok(())
    }

    pub(crate) async fn roll_back(conn: &mut Conn<'_>) -> Result<()> {
        sql!(conn, execute, "ROLLBACK TO SAVEPOINT authfort").map_err(fault)?;
        Self::release(conn).await
    }
}
