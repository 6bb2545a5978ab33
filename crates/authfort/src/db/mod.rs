//! Both engines behind one set of names.
//!
//! [`Db`] owns the pools, [`Conn`] is a connection borrowed from a pool or from a transaction, and [`sql!`] runs one
//! SQL text on either. Code that differs between the engines is in `sqlite.rs` and `postgres.rs`, under the same names.
//!
//! | pool | SQLite | PostgreSQL | used for |
//! |---|---|---|---|
//! | `read` | many connections, `query_only` | the pool | lists, lookups, health |
//! | `write` | one connection, `BEGIN IMMEDIATE` | the pool | transactions |
//! | `guard` | a few of its own, `query_only` | a few of its own | the guard: it never waits behind slow queries |
//! | `replica` | none | one of another server, if configured | lists and counts, while it keeps up |
//!
//! A pool of the application serves the first three purposes.

mod blocking;
mod conn;
pub(crate) mod diagnosis;
pub(crate) mod dynamic;
mod error;
pub(crate) mod migrate;
#[cfg(feature = "postgres")]
mod notifications;
mod pool;
pub(crate) mod position;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod reconnect;
#[cfg(feature = "postgres")]
mod replica;
mod search;
mod sql;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
mod triggers;
mod tx;

pub use conn::Conn;
use error::is_broken;
pub(crate) use error::{Violation, blocked, classify, is_conflict, silent, violation};
pub use pool::Pool;
pub(crate) use pool::{Connections, PoolOptions, PooledConn};
pub(crate) use reconnect::ReadQuery;
pub(crate) use search::has_trigram;
pub(crate) use sql::{row, sql};
#[cfg(feature = "sqlite")]
pub use sqlite::open_sqlite;
pub(crate) use tx::{Savepoint, Tx};

#[cfg(feature = "postgres")]
use std::sync::Arc;
use std::time::Duration;

use crate::{Error, Result};

#[derive(Debug, Clone)]
pub(crate) struct Db {
    read: Connections,
    write: Connections,
    guard: Connections,
    #[cfg(feature = "postgres")]
    replica: Option<Arc<replica::Replica>>,
    #[cfg(feature = "postgres")]
    notifications: Option<notifications::Notifications>,
}

impl Db {
    fn new(read: Connections, write: Connections, guard: Connections) -> Self {
        Self {
            read,
            write,
            guard,
            #[cfg(feature = "postgres")]
            replica: None,
            #[cfg(feature = "postgres")]
            notifications: None,
        }
    }

    /// Opens the database of this URL: `sqlite:…` or `postgres://…`.
    pub(crate) async fn connect(url: &str, options: &PoolOptions) -> Result<Self> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            #[cfg(feature = "sqlite")]
            Some("sqlite") => sqlite::connect(url, options).await,
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => postgres::connect(url, options).await,
            // The URL may contain a password, so the error does not repeat it.
            _ => Err(Error::config(
                "database_url",
                "must begin with sqlite: or postgres:, and the feature of that name must be on",
            )),
        }
    }

    /// Uses one pool for everything.
    pub(crate) fn of_pool(pool: Pool, prepared: bool) -> Self {
        let all = Connections::new("main", pool, prepared);
        Self::new(all.clone(), all.clone(), all)
    }

    /// Refuses a pool that does not meet the library's requirements.
    pub(crate) async fn check_pool(&self) -> Result<()> {
        match &self.write.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(inner) => sqlite::check_pool(inner).await,
            #[cfg(feature = "postgres")]
            Pool::Postgres(inner) => postgres::check_pool(inner).await,
        }
    }

    /// Acquires a connection for reading.
    pub(crate) async fn read(&self) -> Result<PooledConn> {
        self.read.acquire_to_read().await.map_err(classify)
    }

    /// Runs a query for the guard, on a connection that does not wait behind lists. See [`Connections::read`].
    pub(crate) async fn on_guard<Q: ReadQuery>(&self, query: &Q) -> Result<Q::Answer> {
        self.guard.read(query).await
    }

    /// The longest that a query for the guard takes, waiting included.
    pub(crate) fn patience(&self) -> Duration {
        self.guard.pool.acquire_timeout()
    }

    /// Runs a query on the general read pool. See [`Connections::read`].
    pub(crate) async fn on_read<Q: ReadQuery>(&self, query: &Q) -> Result<Q::Answer> {
        self.read.read(query).await
    }

    /// Adds what PostgreSQL has beside the pools: a replica, if the options name one, and notifications, unless the options
    /// say otherwise; nothing connects for them yet.
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "the other engine has to connect"))]
    pub(crate) async fn with_servers(self, options: &PoolOptions) -> Result<Self> {
        match &self.write.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => sqlite::check_options(options).map(|()| self),
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => {
                let notifications = postgres::listen_options(pool, options)?.map(notifications::Notifications::open);
                let replica = match options.replica_url() {
                    Some(url) => Some(Arc::new(replica::Replica::open(url, options, &self).await?)),
                    None => None,
                };
                Ok(Self { replica, notifications, ..self })
            }
        }
    }

    /// Calls back for each notification on a channel, and whenever one may have been missed. Returns if there are none: on
    /// SQLite, or if they are switched off.
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, unused_variables, reason = "SQLite has none"))]
    pub(crate) async fn listen(&self, channel: &str, heard: impl Fn()) {
        #[cfg(feature = "postgres")]
        if let Some(notifications) = &self.notifications {
            notifications.listen(channel, &self.write, heard).await;
        }
    }

    /// Runs a query of a list: on the replica, if there is one that is up to date. It may run twice.
    pub(crate) async fn on_lists<Q: ReadQuery>(&self, query: &Q) -> Result<Q::Answer> {
        #[cfg(feature = "postgres")]
        if let Some(replica) = &self.replica
            && let Some(answer) = replica.answer(self, query).await
        {
            return Ok(answer);
        }
        query.run(&mut self.read().await?.conn()).await
    }

    /// Says that a change was committed which lists are to show: the next ones wait for a replica that has it.
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_self, reason = "SQLite has no replica"))]
    pub(crate) fn changed(&self) {
        #[cfg(feature = "postgres")]
        if let Some(replica) = &self.replica {
            replica.note_change();
        }
    }

    /// Begins a transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        match &self.write.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => sqlite::begin(&self.write).await,
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => postgres::begin(&self.write).await,
        }
    }

    /// Prepares a connection of the application for use here. Refuses one of the other engine, or one that does not
    /// enforce foreign keys.
    #[cfg_attr(not(feature = "sqlite"), expect(clippy::unused_async, reason = "only SQLite runs a statement"))]
    pub(crate) async fn check_joined(&self, conn: &mut Conn<'_>) -> Result<()> {
        match (&self.write.pool, &mut *conn) {
            #[cfg(feature = "sqlite")]
            (Pool::Sqlite(_), Conn::Sqlite(conn)) => sqlite::check_conn(conn).await,
            #[cfg(feature = "postgres")]
            (Pool::Postgres(_), Conn::Postgres(_, prepared)) => {
                *prepared = self.write.prepared;
                Ok(())
            }
            #[cfg(all(feature = "sqlite", feature = "postgres"))]
            _ => Err(Error::config("in_tx", "the transaction is of another engine than the pool")),
        }
    }

    pub(crate) async fn close(&self) {
        self.read.pool.close().await;
        self.write.pool.close().await;
        self.guard.pool.close().await;
        #[cfg(feature = "postgres")]
        if let Some(replica) = &self.replica {
            replica.close().await;
        }
        #[cfg(feature = "postgres")]
        if let Some(notifications) = &self.notifications {
            notifications.close().await;
        }
    }
}
