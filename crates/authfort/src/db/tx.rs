//! Transactions of our own, and savepoints inside the application's.

use super::retry::Attempts;
use super::{Conn, Connections, PooledConn, blocked, classify, is_conflict, sql, violation};
use crate::Result;

/// A transaction of our own, on a connection that it holds until it has ended.
///
/// A connection goes back to the pool only from a transaction that is known to have ended: by a commit, by a rollback,
/// or by a commit that the engine refused and a rollback after it. In every other case (a disk that is full, an I/O
/// error, a server that went away, a panic in between) nobody knows what the connection is in, and it is closed. The
/// statements are sent as text, and not by sqlx's own transactions, because those count open transactions on the
/// connection and miscount when the engine has rolled back by itself.
pub(crate) struct Tx {
    conn: PooledConn,
    ended: bool,
}

impl Tx {
    /// Begins on a connection of the pool. One that turns out to be broken, or to be inside a transaction that somebody
    /// left open, is closed and the next one taken: nothing was done yet.
    pub(crate) async fn begin(connections: &Connections, statement: &'static str) -> sqlx::Result<Self> {
        let mut attempts = Attempts::new(connections);
        loop {
            let mut tx = Self { conn: attempts.connection().await?, ended: false };
            match tx.conn.run(statement).await {
                Ok(()) => return Ok(tx),
                // Somebody else's lock; the connection is as it was.
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
        // Refused by a rule or for the sake of another transaction: the engine and the connection are well.
        if is_conflict(&error) || violation(&error).is_some() {
            self.ended = self.conn.run("ROLLBACK").await.is_ok();
        }
        // A reference of the application's may be checked only here (`DEFERRABLE INITIALLY DEFERRED`).
        Err(blocked(error))
    }

    pub(crate) async fn rollback(mut self) -> Result<()> {
        // Fails as well where the engine has rolled back by itself, as SQLite does when the disk is full.
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

/// Keeps an operation whole inside a transaction that is not ours: an error takes back what the operation did, and
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
