//! The library's own transactions, and savepoints inside the application's.

use super::reconnect::Attempts;
use super::{Conn, Connections, PooledConn, blocked, classify, is_conflict, sql, violation};
use crate::Result;

/// A transaction of the library, on a connection that it holds until it has ended.
///
/// The connection returns to the pool only after a transaction that is known to have ended: by a commit, by a rollback,
/// or by a rollback after the engine refused the commit. In every other case (a full disk, an I/O error, a lost server,
/// a panic in between) the state of the connection is unknown, and it is closed. The statements are sent as text
/// instead of by sqlx's own transactions, because those count open transactions on the connection and miscount when the
/// engine has rolled back by itself.
pub(crate) struct Tx {
    conn: PooledConn,
    ended: bool,
}

impl Tx {
    /// Begins on a connection of the pool. A connection that turns out to be broken, or to have an open transaction, is
    /// closed and the next one used: nothing was done yet.
    pub(crate) async fn begin(connections: &Connections, statement: &'static str) -> sqlx::Result<Self> {
        let mut attempts = Attempts::new(connections);
        loop {
            let mut tx = Self { conn: attempts.connection().await?, ended: false };
            match tx.conn.run(statement).await {
                Ok(()) => return Ok(tx),
                // Another transaction holds the lock; the connection is unchanged.
                Err(error) if is_conflict(&error) => {
                    tx.ended = true;
                    return Err(error);
                }
                Err(error) => attempts.another(error)?,
            }
        }
    }

    pub(crate) fn conn(&mut self) -> Conn<'_> {
        self.conn.conn()
    }

    pub(crate) async fn commit(mut self) -> Result<()> {
        let Err(error) = self.conn.run("COMMIT").await else {
            self.ended = true;
            return Ok(());
        };
        // Refused because of a constraint or a conflict: the engine and the connection still work.
        if is_conflict(&error) || violation(&error).is_some() {
            self.ended = self.conn.run("ROLLBACK").await.is_ok();
        }
        // A foreign key of the application may be checked only here (`DEFERRABLE INITIALLY DEFERRED`).
        Err(blocked(error))
    }

    pub(crate) async fn rollback(mut self) -> Result<()> {
        // This also fails if the engine has rolled back by itself, as SQLite does when the disk is full.
        self.conn.run("ROLLBACK").await.map_err(classify)?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if !self.ended {
            self.conn.close_on_drop();
        }
    }
}

/// Makes an operation atomic inside the application's transaction: an error rolls back what the operation did, and
/// leaves the transaction usable.
pub(crate) struct Savepoint;

impl Savepoint {
    pub(crate) async fn begin(conn: &mut Conn<'_>) -> Result<()> {
        sql!(conn, execute, "SAVEPOINT authfort").map_err(classify)?;
        Ok(())
    }

    pub(crate) async fn release(conn: &mut Conn<'_>) -> Result<()> {
        sql!(conn, execute, "RELEASE SAVEPOINT authfort").map_err(classify)?;
        Ok(())
    }

    pub(crate) async fn roll_back(conn: &mut Conn<'_>) -> Result<()> {
        sql!(conn, execute, "ROLLBACK TO SAVEPOINT authfort").map_err(classify)?;
        Self::release(conn).await
    }
}
