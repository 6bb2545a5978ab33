//! Retrying on another connection when a pool holds broken ones, because a server restarted, a network failed, or an
//! application left transactions open.

use tokio::time::{Instant, timeout_at};

use super::{Conn, Connections, PooledConn, classify, is_broken, silent};
use crate::{Error, Result};

/// A short read-only query, which may be run again on another connection.
///
/// (A trait, because the compiler cannot infer that the future of an `AsyncFn` is `Send`.)
pub(crate) trait ReadQuery: Sync {
    type Answer: Send;

    fn run(&self, conn: &mut Conn<'_>) -> impl Future<Output = Result<Self::Answer>> + Send;
}

impl Connections {
    /// Acquires a connection without an open transaction.
    async fn acquire(&self) -> sqlx::Result<PooledConn> {
        loop {
            let mut conn = self.acquire_any().await?;
            if !conn.is_in_transaction() {
                return Ok(conn);
            }
            tracing::warn!("a connection with a transaction that did not end is closed");
            conn.close_on_drop();
        }
    }

    /// Acquires a connection for statements that only read.
    pub(super) async fn acquire_to_read(&self) -> sqlx::Result<PooledConn> {
        let mut conn = self.acquire().await?;
        conn.begin_reading().await?;
        Ok(conn)
    }

    /// Runs a query on a connection that works: a connection that breaks meanwhile is closed and the next one used. So
    /// the pool need not ping each connection beforehand.
    ///
    /// Waiting, running and running again together take no longer than the pool lets a call wait for a connection: a
    /// server that disappeared silently would otherwise block the caller until the network times out.
    pub(super) async fn read<Q: ReadQuery>(&self, query: &Q) -> Result<Q::Answer> {
        let deadline = Instant::now() + self.pool.acquire_timeout();
        let mut attempts = Attempts::new(self);
        loop {
            let acquired = timeout_at(deadline, attempts.connection()).await;
            let mut conn = acquired.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(classify)?;
            let answer = timeout_at(deadline, async {
                conn.begin_reading().await.map_err(classify)?;
                query.run(&mut conn.conn()).await
            });
            let answer = answer.await;
            match answer {
                Ok(Err(Error::DatabaseUnavailable(error) | Error::Database(error))) if is_broken(&error) => {
                    conn.close_on_drop();
                    attempts.another(error).map_err(classify)?;
                }
                Ok(answer) => return answer,
                Err(_) => {
                    conn.abandon();
                    return Err(silent("no answer within acquire_timeout"));
                }
            }
        }
    }
}

/// Takes one connection of a pool after the other while they turn out to be broken: as many as the pool may hold, all
/// of which a restart of the server breaks, plus a new one.
pub(super) struct Attempts<'a> {
    connections: &'a Connections,
    left: u32,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(connections: &'a Connections) -> Self {
        Self { connections, left: connections.pool.max_connections() }
    }

    pub(super) async fn connection(&self) -> sqlx::Result<PooledConn> {
        self.connections.acquire().await
    }

    /// Allows another attempt after this error; returns the error if all connections have been tried.
    pub(super) fn another(&mut self, error: sqlx::Error) -> sqlx::Result<()> {
        if self.left == 0 {
            return Err(error);
        }
        tracing::debug!(%error, "a broken connection is closed, and another one taken");
        self.left -= 1;
        Ok(())
    }
}
