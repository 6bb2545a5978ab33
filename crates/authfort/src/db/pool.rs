//! Pools and their connections.

use std::time::Duration;

use secrecy::SecretString;
use tracing::Span;

use super::Conn;
#[cfg(feature = "postgres")]
use super::postgres::PooledPg;
use super::sql::either;
use crate::metrics::PoolWait;
use crate::{Error, Result};

/// A pool of the application, of either engine.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use authfort::AuthFort;
/// let pool = authfort::sqlx::SqlitePool::connect("sqlite::memory:").await?;
/// let auth = AuthFort::from_pool(pool).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Pool {
    /// SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    /// PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
}

#[cfg(feature = "sqlite")]
impl From<sqlx::SqlitePool> for Pool {
    fn from(pool: sqlx::SqlitePool) -> Self {
        Self::Sqlite(pool)
    }
}

#[cfg(feature = "postgres")]
impl From<sqlx::PgPool> for Pool {
    fn from(pool: sqlx::PgPool) -> Self {
        Self::Postgres(pool)
    }
}

impl Pool {
    pub(super) fn max_connections(&self) -> u32 {
        either!(Self, self, pool => pool.options().get_max_connections())
    }

    pub(super) fn acquire_timeout(&self) -> Duration {
        either!(Self, self, pool => pool.options().get_acquire_timeout())
    }

    pub(super) async fn close(&self) {
        either!(Self, self, pool => pool.close().await);
    }
}

/// The application's settings for the pools of [`Db::connect`].
#[derive(Debug, Clone, Default)]
pub(crate) struct PoolOptions {
    pub max_connections: Option<u32>,
    pub guard_connections: Option<u32>,
    pub acquire_timeout: Option<Duration>,
    pub prepared_statements: Option<bool>,
    /// Its `Debug` does not show the URL, which may contain a password.
    pub replica: Option<SecretString>,
    pub replica_lag: Option<Duration>,
    pub notifications: Option<bool>,
    /// Its `Debug` does not show the URL, which may contain a password.
    pub listen: Option<SecretString>,
}

/// A pool, and how statements are sent through it.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    pub pool: Pool,
    /// The name of the pool in metrics and spans.
    name: &'static str,
    wait: PoolWait,
    /// Whether statements stay prepared on a connection. Only PostgreSQL uses it.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "only PostgreSQL prepares statements on a server")
    )]
    pub prepared: bool,
}

impl Connections {
    pub(crate) fn new(name: &'static str, pool: Pool, prepared: bool) -> Self {
        Self { pool, name, prepared, wait: PoolWait::of(name) }
    }
}

impl PoolOptions {
    pub(crate) fn max_connections(&self) -> u32 {
        self.max_connections.unwrap_or(10)
    }

    /// The guard runs one short query per request; two connections handle thousands per second.
    pub(crate) fn guard_connections(&self) -> u32 {
        self.guard_connections.unwrap_or(2)
    }

    pub(crate) fn acquire_timeout(&self) -> Duration {
        self.acquire_timeout.unwrap_or(Duration::from_secs(5))
    }

    pub(crate) fn prepared_statements(&self) -> bool {
        self.prepared_statements.unwrap_or(true)
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn replica_url(&self) -> Option<&str> {
        self.replica.as_ref().map(secrecy::ExposeSecret::expose_secret)
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn replica_lag(&self) -> Duration {
        self.replica_lag.unwrap_or(Duration::from_secs(1))
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn listen_url(&self) -> Option<&str> {
        self.listen.as_ref().map(secrecy::ExposeSecret::expose_secret)
    }

    /// Whether to listen to notifications. A connection through a pooler that changes the server's session hears nothing.
    #[cfg(feature = "postgres")]
    pub(crate) fn notifications(&self) -> bool {
        self.notifications.unwrap_or(self.listen.is_some() || self.prepared_statements())
    }

    pub(crate) fn check(&self) -> Result<()> {
        #[cfg(feature = "postgres")]
        for (field, url) in [("replica_url", self.replica_url()), ("listen_url", self.listen_url())] {
            url.map(|url| super::postgres::further_options(field, url)).transpose()?;
        }
        if self.listen.is_some() && self.notifications == Some(false) {
            return Err(Error::config("listen_url", "means nothing if notifications are off; leave one of them out"));
        }
        #[cfg(not(feature = "postgres"))]
        self.check_no_server("needs the feature postgres")?;
        if self.replica.is_none() && self.replica_lag.is_some() {
            return Err(Error::config(
                "replica_lag",
                "means nothing without replica_url; set that too, or leave this out",
            ));
        }
        if self.replica_lag.is_some_and(|lag| lag > Duration::from_hours(1)) {
            return Err(Error::config("replica_lag", "must be at most an hour"));
        }
        for (field, number) in
            [("max_connections", self.max_connections()), ("guard_connections", self.guard_connections())]
        {
            if number == 0 {
                return Err(Error::config(field, "must be at least 1"));
            }
        }
        if self.acquire_timeout().is_zero() || self.acquire_timeout() > Duration::from_hours(24) {
            return Err(Error::config("acquire_timeout", "must be longer than nothing and at most a day"));
        }
        Ok(())
    }

    /// Refuses the URLs that only PostgreSQL has a use for.
    #[cfg(any(feature = "sqlite", not(feature = "postgres")))]
    pub(crate) fn check_no_server(&self, reason: &str) -> Result<()> {
        let set = [("replica_url", self.replica.is_some()), ("listen_url", self.listen.is_some())];
        match set.into_iter().find(|(_, set)| *set) {
            Some((field, _)) => Err(Error::config(field, reason)),
            None => Ok(()),
        }
    }

    /// Refuses options that the application's pool sets itself.
    pub(crate) fn check_unset(&self) -> Result<()> {
        let set = [
            ("max_connections", self.max_connections.is_some()),
            ("guard_connections", self.guard_connections.is_some()),
            ("acquire_timeout", self.acquire_timeout.is_some()),
        ];
        match set.into_iter().find(|(_, set)| *set) {
            Some((field, _)) => Err(Error::config(field, "is the pool's own with from_pool; set it there")),
            None => Ok(()),
        }
    }
}

/// A connection that returns to its pool when dropped.
pub(crate) struct PooledConn {
    conn: EngineConn,
    /// Ends when the connection returns.
    _span: Span,
}

enum EngineConn {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::pool::PoolConnection<sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(PooledPg),
}

impl Connections {
    /// Acquires the next connection, whatever state it is in.
    pub(super) async fn acquire_any(&self) -> sqlx::Result<PooledConn> {
        let _waiting = self.wait.begin();
        let conn = match &self.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(pool) => EngineConn::Sqlite(pool.acquire().await?),
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => EngineConn::Postgres(PooledPg::new(pool.acquire().await?, self.prepared)),
        };
        Ok(PooledConn { conn, _span: self.span() })
    }

    /// Returns the span in which a connection is in use, named as OpenTelemetry's conventions name a call of a database whose
    /// statement is not told. What no request asked for, such as the reading of a log, has none.
    fn span(&self) -> Span {
        macro_rules! of {
            ($system:literal) => {
                tracing::debug_span!(
                    $system,
                    "otel.kind" = "client",
                    "db.system.name" = $system,
                    "db.client.connection.pool.name" = self.name
                )
            };
        }
        if Span::current().is_none() {
            return Span::none();
        }
        match &self.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => of!("sqlite"),
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => of!("postgresql"),
        }
    }
}

impl PooledConn {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match &mut self.conn {
            #[cfg(feature = "sqlite")]
            EngineConn::Sqlite(conn) => Conn::Sqlite(conn),
            #[cfg(feature = "postgres")]
            EngineConn::Postgres(conn) => conn.conn(),
        }
    }

    /// Runs statements without values and without a result: those that begin and end transactions.
    pub(super) async fn run(&mut self, statements: &'static str) -> sqlx::Result<()> {
        match &mut self.conn {
            #[cfg(feature = "sqlite")]
            EngineConn::Sqlite(conn) => sqlx::query(statements).execute(&mut **conn).await.map(|_| ()),
            #[cfg(feature = "postgres")]
            EngineConn::Postgres(conn) => conn.run(statements).await,
        }
    }

    /// Closes the connection instead of returning it to the pool.
    pub(super) fn close_on_drop(&mut self) {
        either!(EngineConn, &mut self.conn, conn => conn.close_on_drop());
    }

    /// Gives up a statement that took too long. A server may never answer it, so its connection is closed. SQLite
    /// finishes it by itself, and closing the connection would delete an in-memory database.
    pub(super) fn abandon(&mut self) {
        match &mut self.conn {
            #[cfg(feature = "sqlite")]
            EngineConn::Sqlite(_) => {}
            #[cfg(feature = "postgres")]
            EngineConn::Postgres(conn) => conn.close_on_drop(),
        }
    }

    /// Prepares the connection for statements that only read.
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "the other engine has to ask"))]
    pub(super) async fn begin_reading(&mut self) -> sqlx::Result<()> {
        match &mut self.conn {
            #[cfg(feature = "sqlite")]
            EngineConn::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            EngineConn::Postgres(conn) => conn.begin_reading().await,
        }
    }

    /// Returns whether sqlx counts an open transaction on it. On a connection from a pool, that is a transaction of the
    /// application that could neither be committed nor rolled back.
    pub(super) fn is_in_transaction(&self) -> bool {
        #[cfg(feature = "sqlite")]
        use sqlx::Connection as _;
        either!(EngineConn, &self.conn, conn => conn.is_in_transaction())
    }
}
