//! Two engines behind one set of names.
//!
//! [`Db`] owns the pools, [`Conn`] is a connection borrowed from a pool or from a transaction, and [`sql!`] runs one
//! SQL text on either. What truly differs sits in `sqlite.rs` and `postgres.rs` under the same names.
//!
//! | pool | SQLite | PostgreSQL | used for |
//! |---|---|---|---|
//! | `read` | many connections, `query_only` | the pool | lists, lookups, health |
//! | `write` | one connection, `BEGIN IMMEDIATE` | the pool | transactions |
//! | `guard` | a few of its own, `query_only` | a few of its own | the guard: never behind slow queries |
//!
//! A pool that the application hands in serves all three.

pub(crate) mod diagnosis;
pub(crate) mod dynamic;
pub(crate) mod migrate;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod retry;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
mod tx;

use std::time::Duration;

pub(crate) use retry::ReadQuery;
#[cfg(feature = "sqlite")]
pub use sqlite::open_sqlite;
pub(crate) use tx::{Savepoint, Tx};

use crate::{Error, Result};

/// An error of the application's own statements, sorted as the library's are: a database that is away or locked is
/// [`Error::DatabaseUnavailable`], anything else a fault.
///
/// ```
/// # async fn example(pool: authfort::sqlx::SqlitePool, auth: authfort::AuthFort) -> authfort::Result<()> {
/// let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
/// auth.create_user("jane@example.com").in_tx(&mut tx).await?;
/// tx.commit().await?;
/// # Ok(()) }
/// ```
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        classify(error)
    }
}

/// The pool of an application, of either engine.
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

/// A transaction of the application's, which another connection watches.
pub(crate) enum OpenTransaction {
    /// The one writer of the file.
    #[cfg(feature = "sqlite")]
    Sqlite,
    /// The id of the transaction.
    #[cfg(feature = "postgres")]
    Postgres(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Db {
    read: Pool,
    write: Pool,
    guard: Pool,
}

/// How the pools of [`Db::connect`] are made, as far as the application says.
#[derive(Debug, Clone, Default)]
pub(crate) struct PoolOptions {
    pub max_connections: Option<u32>,
    pub guard_connections: Option<u32>,
    pub acquire_timeout: Option<Duration>,
}

impl Db {
    /// Whether a transaction was committed or rolled back.
    pub(crate) async fn is_over(&self, transaction: &OpenTransaction) -> Result<bool> {
        match transaction {
            // Who gets the place of the writer knows that the one before has left it.
            #[cfg(feature = "sqlite")]
            OpenTransaction::Sqlite => {
                self.begin().await?.rollback().await?;
                Ok(true)
            }
            #[cfg(feature = "postgres")]
            OpenTransaction::Postgres(id) => postgres::is_over(&mut self.read().await?.conn(), id).await,
        }
    }
}

impl PoolOptions {
    pub(crate) fn max_connections(&self) -> u32 {
        self.max_connections.unwrap_or(10)
    }

    /// The guard asks one short question a request; two connections answer thousands a second.
    pub(crate) fn guard_connections(&self) -> u32 {
        self.guard_connections.unwrap_or(2)
    }

    pub(crate) fn acquire_timeout(&self) -> Duration {
        self.acquire_timeout.unwrap_or(Duration::from_secs(5))
    }

    pub(crate) fn check(&self) -> Result<()> {
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

    /// Refuses what a pool of the application's decides by itself.
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

/// A connection, on a pool or inside a transaction.
#[derive(Debug)]
pub enum Conn<'a> {
    /// SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite(&'a mut sqlx::SqliteConnection),
    /// PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(&'a mut sqlx::PgConnection),
}

#[cfg(feature = "sqlite")]
impl<'a> From<&'a mut sqlx::SqliteConnection> for Conn<'a> {
    fn from(conn: &'a mut sqlx::SqliteConnection) -> Self {
        Self::Sqlite(conn)
    }
}

#[cfg(feature = "postgres")]
impl<'a> From<&'a mut sqlx::PgConnection> for Conn<'a> {
    fn from(conn: &'a mut sqlx::PgConnection) -> Self {
        Self::Postgres(conn)
    }
}

#[cfg(feature = "sqlite")]
impl<'a> From<&'a mut sqlx::Transaction<'_, sqlx::Sqlite>> for Conn<'a> {
    fn from(tx: &'a mut sqlx::Transaction<'_, sqlx::Sqlite>) -> Self {
        Self::Sqlite(tx)
    }
}

#[cfg(feature = "postgres")]
impl<'a> From<&'a mut sqlx::Transaction<'_, sqlx::Postgres>> for Conn<'a> {
    fn from(tx: &'a mut sqlx::Transaction<'_, sqlx::Postgres>) -> Self {
        Self::Postgres(tx)
    }
}

/// A connection that goes back to its pool when dropped.
pub(crate) enum PooledConn {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::pool::PoolConnection<sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::pool::PoolConnection<sqlx::Postgres>),
}

impl PooledConn {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => Conn::Postgres(conn),
        }
    }

    /// Runs statements without values and without an answer: what begins and ends transactions.
    async fn run(&mut self, statements: &'static str) -> sqlx::Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => sqlx::query(statements).execute(&mut **conn).await.map(|_| ()),
            // Several in one message need the simple protocol.
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => sqlx::raw_sql(statements).execute(&mut **conn).await.map(|_| ()),
        }
    }

    /// Closes the connection instead of giving it back.
    fn close_on_drop(&mut self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => conn.close_on_drop(),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => conn.close_on_drop(),
        }
    }

    /// Leaves a statement alone that took too long. A server may never answer it, so that connection is closed; SQLite ends
    /// it by itself, and a database in memory must not go with its connection.
    fn abandon(&mut self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {}
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => conn.close_on_drop(),
        }
    }

    /// Whether sqlx counts an open transaction on it. On one that comes out of a pool, that is a transaction of the
    /// application's which could neither be committed nor rolled back.
    fn is_in_transaction(&self) -> bool {
        use sqlx::Connection as _;
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => conn.is_in_transaction(),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => conn.is_in_transaction(),
        }
    }
}

impl Pool {
    fn max_connections(&self) -> u32 {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => pool.options().get_max_connections(),
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => pool.options().get_max_connections(),
        }
    }

    fn acquire_timeout(&self) -> Duration {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => pool.options().get_acquire_timeout(),
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => pool.options().get_acquire_timeout(),
        }
    }

    async fn close(&self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => pool.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Db {
    /// Opens the database that the URL names: `sqlite:…` or `postgres://…`.
    pub(crate) async fn connect(url: &str, options: &PoolOptions) -> Result<Self> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            #[cfg(feature = "sqlite")]
            Some("sqlite") => sqlite::connect(url, options).await,
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => postgres::connect(url, options).await,
            // The URL may hold a password: it is not repeated.
            _ => Err(Error::config(
                "database_url",
                "must begin with sqlite: or postgres:, and the feature of that name must be on",
            )),
        }
    }

    /// One pool for everything.
    pub(crate) fn of_pool(pool: Pool) -> Self {
        Self { read: pool.clone(), write: pool.clone(), guard: pool }
    }

    /// Refuses a pool that the library cannot work with.
    pub(crate) async fn check_pool(&self) -> Result<()> {
        match &self.write {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(inner) => sqlite::check_pool(inner).await,
            #[cfg(feature = "postgres")]
            Pool::Postgres(inner) => postgres::check_pool(inner).await,
        }
    }

    /// A connection for reading.
    pub(crate) async fn read(&self) -> Result<PooledConn> {
        self.read.acquire().await.map_err(classify)
    }

    /// Reads for the guard, on a connection that does not wait behind lists. See [`Pool::read`].
    pub(crate) async fn on_guard<Q: ReadQuery>(&self, query: &Q) -> Result<Q::Answer> {
        self.guard.read(query).await
    }

    /// Reads where everybody does. See [`Pool::read`].
    pub(crate) async fn on_read<Q: ReadQuery>(&self, query: &Q) -> Result<Q::Answer> {
        self.read.read(query).await
    }

    /// A transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        match &self.write {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => sqlite::begin(&self.write).await,
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => postgres::begin(&self.write).await,
        }
    }

    /// Refuses a connection of the application's that is of the other engine, or does not keep foreign keys.
    pub(crate) async fn check_joined(&self, conn: &mut Conn<'_>) -> Result<()> {
        match (&self.write, conn) {
            #[cfg(feature = "sqlite")]
            (Pool::Sqlite(_), Conn::Sqlite(conn)) => sqlite::check_conn(conn).await,
            #[cfg(feature = "postgres")]
            (Pool::Postgres(_), Conn::Postgres(conn)) => postgres::check_conn(conn).await,
            #[cfg(all(feature = "sqlite", feature = "postgres"))]
            _ => Err(Error::config("in_tx", "the transaction is of another engine than the pool")),
        }
    }

    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
        self.guard.close().await;
    }
}

/// Runs one SQL text on whichever engine the connection has: `sql!(conn, fetch_all, query_as::<_, Row>(SQL), bind, …)`.
///
/// Any number may be bound: both engines read `$1`, `$2`, …; SQLite takes NULL for one that is missing, so each
/// statement is run by a test on both.
macro_rules! sql {
    ($conn:expr, execute, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $conn {
            #[cfg(feature = "sqlite")]
            $crate::db::Conn::Sqlite(c) => sqlx::query($sql)$(.bind($bind))*.execute(&mut **c).await.map(|r| r.rows_affected()),
            #[cfg(feature = "postgres")]
            $crate::db::Conn::Postgres(c) => sqlx::query($sql)$(.bind($bind))*.execute(&mut **c).await.map(|r| r.rows_affected()),
        }
    };
    ($conn:expr, $method:ident, $kind:ident $(::<$($ty:ty),*>)?, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $conn {
            #[cfg(feature = "sqlite")]
            $crate::db::Conn::Sqlite(c) => sqlx::$kind$(::<$($ty),*>)?($sql)$(.bind($bind))*.$method(&mut **c).await,
            #[cfg(feature = "postgres")]
            $crate::db::Conn::Postgres(c) => sqlx::$kind$(::<$($ty),*>)?($sql)$(.bind($bind))*.$method(&mut **c).await,
        }
    };
}
pub(crate) use sql;

/// Declares a row and reads it by the names of its fields, on either engine.
///
/// (sqlx's derive would do the same, and make every build compile sqlx a second time for its macros.)
macro_rules! row {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident { $($(#[$note:meta])* $seen:vis $field:ident: $type:ty,)* }) => {
        $(#[$attribute])*
        $visibility struct $name { $($(#[$note])* $seen $field: $type,)* }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $name
        where
            &'static str: sqlx::ColumnIndex<R>,
            $($type: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                Ok(Self { $($field: row.try_get(stringify!($field))?,)* })
            }
        }
    };
}
pub(crate) use row;

impl Conn<'_> {
    /// The same connection, for a shorter while.
    pub(crate) fn reborrow(&mut self) -> Conn<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => Conn::Postgres(conn),
        }
    }

    /// Takes row locks where the engine has them; SQLite's one writer needs none.
    pub(crate) fn has_row_locks(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => true,
        }
    }

    /// The transaction that this connection is in, for [`Db::is_over`].
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "the other engine has to ask"))]
    pub(crate) async fn open_transaction(&mut self) -> Result<OpenTransaction> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => Ok(OpenTransaction::Sqlite),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => postgres::transaction_id(conn).await.map(OpenTransaction::Postgres),
        }
    }

    /// Makes changes to administrators wait for each other until the transaction ends.
    pub(crate) async fn lock_admins(&mut self) -> Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => sqlite::lock_admins(conn).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => postgres::lock_admins(conn).await,
        }
    }

    /// A table of the application whose rows do not let this user go; asked once the delete was refused and undone.
    pub(crate) async fn blocking_table(&mut self, user: crate::UserId) -> Result<Option<String>> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => sqlite::blocking_table(conn, user).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => postgres::blocking_table(conn, user).await,
        }
    }

    /// The key of `u` that an order by name goes by, upwards or downwards: one in which a missing name comes last.
    pub(crate) fn name_key(&self, ascending: bool) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::name_key(ascending),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => postgres::name_key(ascending),
        }
    }

    /// The condition that finds a folded term in the search key of `u`: what stands before and after the bound value,
    /// and that value.
    pub(crate) fn search_condition(&self, term: &str) -> (&'static str, &'static str, String) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::search_condition(term),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => postgres::search_condition(term),
        }
    }
}

/// Sorts an error of the driver: the database is not there, or it is a fault of ours.
pub(crate) fn classify(error: sqlx::Error) -> Error {
    if is_unavailable(&error) || is_conflict(&error) {
        Error::DatabaseUnavailable(error)
    } else {
        Error::Database(without_row(error))
    }
}

/// PostgreSQL repeats the row that it refuses, with hashes and keys; what goes into logs must not.
fn without_row(error: sqlx::Error) -> sqlx::Error {
    match error {
        #[cfg(feature = "postgres")]
        sqlx::Error::Database(inner) => sqlx::Error::Database(postgres::without_row(inner)),
        other => other,
    }
}

fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(inner) => engine_says(
            &**inner,
            #[cfg(feature = "sqlite")]
            sqlite::is_unavailable,
            #[cfg(feature = "postgres")]
            postgres::is_unavailable,
        ),
        _ => false,
    }
}

/// Whether the connection is of no use any more, whatever is asked on it.
fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        #[cfg(feature = "postgres")]
        sqlx::Error::Database(inner) => postgres::has_hung_up(&**inner),
        _ => false,
    }
}

/// Whether running the whole transaction again can succeed: deadlock, serialisation failure, a locked file.
pub(crate) fn is_conflict(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(inner) => engine_says(
            &**inner,
            #[cfg(feature = "sqlite")]
            sqlite::is_conflict,
            #[cfg(feature = "postgres")]
            postgres::is_conflict,
        ),
        _ => false,
    }
}

type Asked = fn(&dyn sqlx::error::DatabaseError, &str) -> bool;

fn engine_says(
    error: &dyn sqlx::error::DatabaseError,
    #[cfg(feature = "sqlite")] sqlite: Asked,
    #[cfg(feature = "postgres")] postgres: Asked,
) -> bool {
    let code = error.code().unwrap_or_default();
    #[cfg(feature = "sqlite")]
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        return sqlite(error, &code);
    }
    #[cfg(feature = "postgres")]
    if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
        return postgres(error, &code);
    }
    false
}

/// Like [`classify`], where rows go that the application's own may refer to.
pub(crate) fn blocked(error: sqlx::Error) -> Error {
    match violation(&error) {
        Some(Violation::ForeignKey(table)) => Error::BlockedByReference { table },
        // What the application's `SET NULL` made of its row is against a rule of its table.
        Some(Violation::Row(table)) => Error::BlockedByReference { table: Some(table) },
        _ => classify(error),
    }
}

/// Which rule of the schema a statement ran into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Two rows with one key in this table.
    Unique(String),
    /// A row refers to one that goes or is not there; the table that refers, where the engine tells.
    ForeignKey(Option<String>),
    /// A row of this table may not be as it became: NOT NULL.
    Row(String),
}

/// Reads the violated rule out of an error: SQLite names columns in its message, PostgreSQL has fields for it.
pub(crate) fn violation(error: &sqlx::Error) -> Option<Violation> {
    let sqlx::Error::Database(inner) = error else { return None };
    let is_restriction = engine_says(
        &**inner,
        #[cfg(feature = "sqlite")]
        sqlite::is_restriction,
        #[cfg(feature = "postgres")]
        postgres::is_restriction,
    );
    match inner.kind() {
        sqlx::error::ErrorKind::UniqueViolation => Some(Violation::Unique(table_of(&**inner))),
        sqlx::error::ErrorKind::NotNullViolation => Some(Violation::Row(table_of(&**inner))),
        sqlx::error::ErrorKind::ForeignKeyViolation => {
            Some(Violation::ForeignKey(inner.table().map(ToOwned::to_owned)))
        }
        _ if is_restriction => Some(Violation::ForeignKey(inner.table().map(ToOwned::to_owned))),
        _ => None,
    }
}

fn table_of(error: &dyn sqlx::error::DatabaseError) -> String {
    error.table().map_or_else(
        || {
            let list = error.message().split_once("failed: ").map_or("", |(_, columns)| columns);
            list.split('.').next().unwrap_or_default().to_owned()
        },
        ToOwned::to_owned,
    )
}
