//! Retrying on another connection, where a pool holds broken ones: a server restarts, a network breaks, and an
//! application leaves transactions open.

use tokio::time::{Instant, timeout_at};

#[cfg(feature = "postgres")]
use super::postgres::PooledPg;
use super::{Conn, Connections, Pool, PooledConn, classify, is_broken};
use crate::{Error, Result};

/// A short query that changes nothing, so it may be run again on another connection.
///
/// (A trait, because the compiler cannot see of an `AsyncFn` that its future may change threads.)
pub(crate) trait ReadQuery: Sync {
    type Answer: Send;

    fn run(&self, conn: &mut Conn<'_>) -> impl Future<Output = Result<Self::Answer>> + Send;
}

impl Connections {
    /// A connection that nobody left a transaction open on.
    async fn acquire(&self) -> sqlx::Result<PooledConn> {
        loop {
            let mut conn = match &self.pool {
                #[cfg(feature = "sqlite")]
                Pool::Sqlite(pool) => PooledConn::Sqlite(pool.acquire().await?),
                #[cfg(feature = "postgres")]
                Pool::Postgres(pool) => PooledConn::Postgres(PooledPg::new(pool.acquire().await?, self.prepared)),
            };
            if !conn.is_in_transaction() {
                return Ok(conn);
            }
            tracing::warn!("a connection with a transaction that did not end is closed");
            conn.close_on_drop();
        }
    }

    /// A connection for statements that only read.
    pub(super) async fn acquire_to_read(&self) -> sqlx::Result<PooledConn> {
        let mut conn = self.acquire().await?;
        conn.begin_reading().await?;
        Ok(conn)
    }

    /// Runs a query on whichever connection works: one that breaks meanwhile is closed and the next one taken. So the pool
    /// need not ping each connection beforehand.
    ///
    /// Waiting, running and running again take no longer together than the pool lets a call wait for a connection: a server
    /// that is gone without a word would otherwise keep the caller for as long as the network lets it.
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
                    return Err(Error::DatabaseUnavailable(sqlx::Error::PoolTimedOut));
                }
            }
        }
    }
}

/// Takes one connection of a pool after the other, where they turn out to be broken: as many as the pool may hold,
/// all of which a restart of the server breaks, and one that is made anew.
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

    /// Whether to go on after this error; the error, where all have been tried.
    pub(super) fn another(&mut self, error: sqlx::Error) -> sqlx::Result<()> {
        if self.left == 0 {
            return Err(error);
        }
        tracing::debug!(%error, "a broken connection is closed, and another one taken");
        self.left -= 1;
        Ok(())
    }
}
