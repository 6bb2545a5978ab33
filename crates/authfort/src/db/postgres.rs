//! The PostgreSQL implementation.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgPoolOptions, PgSeverity, PgTransactionManager};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, Row as _, SqlStr};
// sqlx does not re-export this trait, and offers no other way to roll back on drop.
use sqlx_core::transaction::TransactionManager as _;

use super::dynamic::{Statement, run};
use super::position::Position;
use super::replica::WalState;
use super::search::{SearchSource, has_trigram};
use super::{Conn, Connections, Db, Pool, PoolOptions, Tx, classify, sql};
use crate::{Error, Result};

/// The foreign keys, a row for each column; of a partitioned table, its own. A key does not cover the tables that inherit.
pub(super) const FOREIGN_KEYS: &str = "
    SELECT t.relname::text AS name,
        CASE t.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || c.conrelid::regclass::text AS child,
        k.position - 1 AS seq,
        CASE p.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || c.confrelid::regclass::text AS parent,
        quote_ident(own.attname) AS own,
        quote_ident(referred.attname) AS referred,
        CASE c.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' ELSE '' END AS action
    FROM pg_constraint c
    JOIN pg_class t ON t.oid = c.conrelid
    JOIN pg_class p ON p.oid = c.confrelid
    CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (own, referred, position)
    JOIN pg_attribute own ON own.attrelid = c.conrelid AND own.attnum = k.own
    JOIN pg_attribute referred ON referred.attrelid = c.confrelid AND referred.attnum = k.referred
    WHERE c.contype = 'f' AND c.conparentid = 0
    ORDER BY t.relname, c.oid, k.position";

pub(crate) async fn connect(url: &str, options: &PoolOptions) -> Result<Db> {
    let parsed = PgConnectOptions::from_str(url)
        .map_err(|_| Error::config("database_url", "is no PostgreSQL URL; write postgres://user@host/database"))?;
    let parsed = parsed.application_name("authfort");
    let main = general_pool(options).acquire_timeout(options.acquire_timeout());
    let main = main.connect_with(parsed.clone()).await.map_err(classify)?;
    check_pool(&main).await?;
    let guard = PgPoolOptions::new().max_connections(options.guard_connections());
    let patience = options.acquire_timeout();
    let guard = guard.acquire_timeout(patience).test_before_acquire(false);
    // Without prepared statements, the sessions belong to a pooler, and to others.
    let guard = if options.prepared_statements() {
        guard.after_connect(move |conn, _| Box::pin(set_lock_timeout(conn, patience)))
    } else {
        guard
    };
    let guard = guard.connect_lazy_with(parsed);
    let connections = |name, pool| Connections::new(name, Pool::Postgres(pool), options.prepared_statements());
    let main = connections("main", main);
    Ok(Db::new(main.clone(), main, connections("guard", guard)))
}

/// Makes a session wait for a lock no longer than its caller does, who leaves it then.
async fn set_lock_timeout(conn: &mut sqlx::PgConnection, patience: Duration) -> sqlx::Result<()> {
    let milliseconds = patience.as_millis().to_string();
    let wait = sqlx::query("SELECT set_config('lock_timeout', $1, FALSE)").bind(milliseconds);
    ignore_unsupported(wait.execute(conn).await)
}

/// Makes the pool of a replica, which connects when it is used.
pub(crate) fn replica(url: &str, options: &PoolOptions, patience: Duration) -> Result<Connections> {
    let parsed = further_options("replica_url", url)?.application_name("authfort");
    // The query that asks for its position also tests the connection.
    let pool = general_pool(options).acquire_timeout(patience).test_before_acquire(false).connect_lazy_with(parsed);
    Ok(Connections::new("replica", Pool::Postgres(pool), options.prepared_statements()))
}

/// The options of a pool that serves lists.
fn general_pool(options: &PoolOptions) -> PgPoolOptions {
    let pool = PgPoolOptions::new().max_connections(options.max_connections());
    // Without prepared statements, the sessions belong to a pooler, and to others.
    if options.prepared_statements() { pool.after_connect(|conn, _| Box::pin(set_up(conn))) } else { pool }
}

/// Parses a URL beside that of the database. The error does not repeat it: it may contain a password.
pub(crate) fn further_options(field: &'static str, url: &str) -> Result<PgConnectOptions> {
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        let parsed = PgConnectOptions::from_str(url);
        parsed.map_err(|_| Error::config(field, "is no PostgreSQL URL; write postgres://user@host/database"))
    } else {
        Err(Error::config(field, "must begin with postgres:"))
    }
}

/// Returns where to listen to notifications: at the URL for that, else where the pool connects.
pub(crate) fn listen_options(pool: &PgPool, options: &PoolOptions) -> Result<Option<PgConnectOptions>> {
    if !options.notifications() {
        return Ok(None);
    }
    match options.listen_url() {
        Some(url) => Ok(Some(further_options("listen_url", url)?.application_name("authfort"))),
        None => Ok(Some(pool.connect_options().as_ref().clone())),
    }
}

/// Returns which database a server has, and how far its WAL is.
pub(crate) async fn wal_state(conn: &mut Conn<'_>) -> sqlx::Result<WalState> {
    // Each of the two functions fails, or gives nothing, on the other kind of server.
    let text = "SELECT CAST(s.system_identifier AS text) || '/' || current_database() AS identity,
             pg_is_in_recovery() AS in_recovery,
             CAST(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0' AS bigint) AS lsn
         FROM pg_control_system() s";
    sql!(conn, fetch_one, query_as::<_, WalState>, text)
}

/// Compiling a plan costs more than any of this library's statements takes: a page of a large table has high estimates and
/// reads little.
async fn set_up(conn: &mut PgConnection) -> sqlx::Result<()> {
    ignore_unsupported(sqlx::raw_sql("SET jit = off").execute(conn).await)
}

/// Passes over a setting that was refused: a server that speaks PostgreSQL's protocol need not know each of them.
fn ignore_unsupported<T>(set: sqlx::Result<T>) -> sqlx::Result<()> {
    match set {
        Ok(_) | Err(sqlx::Error::Database(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Until the transaction ends: half a second for a lock, two seconds for a statement.
pub(super) async fn set_local_timeouts(conn: &mut Conn<'_>) -> Result<()> {
    let text = "SELECT set_config('lock_timeout', '500', TRUE), set_config('statement_timeout', '2000', TRUE)";
    run!(conn, execute, Statement::new(text)).map_err(classify)?;
    Ok(())
}

/// A connection that returns to its pool when dropped.
pub(crate) struct PooledPg {
    conn: PoolConnection<Postgres>,
    prepared: bool,
    reading: Reading,
}

/// The read-only transaction of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    None,
    /// `BEGIN` was sent and not answered: a transaction may be open on the server.
    Beginning,
    Open,
}

impl PooledPg {
    pub(crate) fn new(conn: PoolConnection<Postgres>, prepared: bool) -> Self {
        Self { conn, prepared, reading: Reading::None }
    }

    pub(crate) fn conn(&mut self) -> Conn<'_> {
        Conn::Postgres(&mut self.conn, self.prepared)
    }

    /// Begins a read-only transaction if statements do not stay prepared: each statement is then sent in two parts,
    /// which a pooler may give to different server sessions unless a transaction holds them together. It ends when this
    /// value is dropped.
    pub(crate) async fn begin_reading(&mut self) -> sqlx::Result<()> {
        if !self.prepared {
            // A caller that goes away drops this future in the middle.
            self.reading = Reading::Beginning;
            PgTransactionManager::begin(&mut self.conn, Some(SqlStr::from_static("BEGIN READ ONLY"))).await?;
            self.reading = Reading::Open;
        }
        Ok(())
    }

    /// Runs statements as text, several in one message.
    pub(crate) async fn run(&mut self, statements: &'static str) -> sqlx::Result<()> {
        sqlx::raw_sql(statements).execute(&mut *self.conn).await.map(|_| ())
    }

    pub(crate) fn close_on_drop(&mut self) {
        self.conn.close_on_drop();
    }

    pub(crate) fn is_in_transaction(&self) -> bool {
        self.conn.is_in_transaction()
    }
}

impl Drop for PooledPg {
    fn drop(&mut self) {
        match self.reading {
            Reading::None => {}
            Reading::Beginning => self.conn.close_on_drop(),
            // Sent when the connection returns to its pool.
            Reading::Open => PgTransactionManager::start_rollback(&mut self.conn),
        }
    }
}

/// Refuses a database whose encoding cannot store every text.
pub(crate) async fn check_pool(pool: &PgPool) -> Result<()> {
    // Sent as text, so no statement is prepared.
    let row = sqlx::raw_sql("SHOW server_encoding").fetch_one(pool).await.map_err(classify)?;
    let encoding: String = row.try_get(0).map_err(classify)?;
    if encoding == "UTF8" {
        Ok(())
    } else {
        Err(Error::config("database_url", format!("the database's encoding is {encoding}; it must be UTF8")))
    }
}

/// The rules are checked after the locks are taken, so each statement has to see what was committed before it, whatever the
/// database's default is. A transaction waits at most this long for another's lock at a time; it is then run again, or given
/// up. The setting ends with the transaction, and is sent in the message that begins it.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '2s'";

pub(crate) async fn begin(connections: &Connections) -> Result<Tx> {
    Tx::begin(connections, BEGIN).await.map_err(classify)
}

/// The rows of this table are used as locks: distributed databases that speak PostgreSQL's protocol have row locks but
/// no advisory locks.
const LOCKS: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS authfort_locks (name text COLLATE \"C\" PRIMARY KEY)",
    "INSERT INTO authfort_locks (name) VALUES ('administrators'), ('migrations') ON CONFLICT DO NOTHING",
    "SELECT 1 FROM authfort_locks WHERE name = 'migrations' FOR UPDATE NOWAIT",
];

/// Begins the transaction that may migrate; `None` if another node is migrating.
///
/// It waits for at most two seconds: a session that waits for a lock would block `CREATE INDEX CONCURRENTLY` elsewhere.
/// The lock belongs to the transaction, so a node that dies leaves none. The first lock of all is the creation of the
/// table itself, which a second node waits for.
pub(crate) async fn begin_migration(connections: &Connections) -> Result<Option<Tx>> {
    let mut tx = Tx::begin(connections, BEGIN).await.map_err(classify)?;
    for statement in LOCKS {
        match sql!(&mut tx.conn(), execute, statement) {
            Ok(_) => {}
            Err(error) if is_taken(&error) => {
                tx.rollback().await?;
                return Ok(None);
            }
            Err(error) => return Err(classify(error)),
        }
    }
    // A migration may wait longer than a change.
    sql!(&mut tx.conn(), execute, "SET LOCAL lock_timeout TO DEFAULT").map_err(classify)?;
    Ok(Some(tx))
}

/// Returns whether another node holds the lock, or is creating its table at this moment.
fn is_taken(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code).unwrap_or_default();
    // Unique violation in the catalogue, duplicate table, duplicate object, and the conflicts.
    matches!(&*code, "23505" | "42P07" | "42710" | "40001" | "40P01" | "55P03")
}

/// Serializes changes to administrators until the transaction ends. The row is written instead of only locked, so that
/// it exists even if it was deleted before.
pub(crate) async fn lock_admins(conn: &mut Conn<'_>) -> Result<()> {
    sql!(
        conn,
        execute,
        "INSERT INTO authfort_locks (name) VALUES ('administrators')
         ON CONFLICT (name) DO UPDATE SET name = excluded.name"
    )
    .map_err(classify)?;
    Ok(())
}

pub(crate) fn is_unavailable(_: &dyn DatabaseError, code: &str) -> bool {
    // 08 connection, 53 resources (disk full, too many connections), 57P shutdown, 58 system, 25006 read only, 3D000 no
    // such database, 28 role or password not accepted; and the administrator's timeouts: 57014 for a statement, 25P03
    // and 25P04 for a transaction.
    matches!(code.get(..2), Some("08" | "28" | "53" | "58"))
        || code.starts_with("57P")
        || matches!(code, "25006" | "3D000" | "57014" | "25P03" | "25P04")
}

/// Returns whether this error ended the connection: by a shutdown, an administrator, or a timeout.
pub(crate) fn has_hung_up(error: &dyn DatabaseError) -> bool {
    let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
}

pub(crate) fn is_conflict(_: &dyn DatabaseError, code: &str) -> bool {
    // Serialization failure, deadlock, lock not available.
    matches!(code, "40001" | "40P01" | "55P03")
}

/// `ON DELETE RESTRICT` has its own code since PostgreSQL 18.
pub(crate) fn is_restriction(_: &dyn DatabaseError, code: &str) -> bool {
    code == "23001"
}

/// The same expressions as in the indexes. The literal is U+10FFFF.
pub(crate) fn name_key(ascending: bool) -> &'static str {
    if ascending { "coalesce(u.name_key, '\u{10ffff}')" } else { "coalesce(u.name_key, '')" }
}

/// An error without its detail: "Failing row contains (…)".
struct WithoutRow(Box<dyn DatabaseError>);

pub(super) fn without_row(error: Box<dyn DatabaseError>) -> Box<dyn DatabaseError> {
    if error.try_downcast_ref::<PgDatabaseError>().is_some() { Box::new(WithoutRow(error)) } else { error }
}

impl fmt::Debug for WithoutRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgDatabaseError")
            .field("code", &self.code())
            .field("message", &self.message())
            .field("table", &self.table())
            .field("constraint", &self.constraint())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for WithoutRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for WithoutRow {}

impl DatabaseError for WithoutRow {
    fn message(&self) -> &str {
        self.0.message()
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.0.code()
    }

    fn constraint(&self) -> Option<&str> {
        self.0.constraint()
    }

    fn table(&self) -> Option<&str> {
        self.0.table()
    }

    fn kind(&self) -> ErrorKind {
        self.0.kind()
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }
}

pub(crate) async fn has_search_index(conn: &mut Conn<'_>) -> Result<bool> {
    let text = "SELECT to_regclass('authfort_users_search') IS NOT NULL";
    sql!(conn, fetch_one, query_scalar, text).map_err(classify)
}

/// Returns the pattern of LIKE that finds the term itself, whatever is in it.
fn pattern(term: &str) -> String {
    let mut pattern = String::with_capacity(term.len() + 2);
    pattern.push('%');
    for c in term.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

pub(crate) fn search_match(term: &str) -> (&'static str, &'static str, String) {
    if has_trigram(term) {
        ("w.search_key LIKE (SELECT ", ")", pattern(term))
    } else {
        ("strpos(chr(10) || w.search_key, ", ") > 0", format!("\n{term}"))
    }
}

pub(crate) fn search_source(term: &str, hidden: bool) -> SearchSource {
    let (before, after) = if hidden { ("u.search_key LIKE (SELECT ", ")") } else { ("u.search_key LIKE ", "") };
    SearchSource { from: "authfort_users u", before, after, value: pattern(term) }
}

pub(crate) const BAN_DAY: &str = "authfort_ban_day(u.banned, u.ban_expires_at)";

pub(crate) fn midnight(day: chrono::NaiveDate) -> super::dynamic::Arg {
    day.and_time(chrono::NaiveTime::MIN).and_utc().into()
}

/// The start of the server, since one that was promoted is another process; and the identities of the tables, since a restored
/// dump makes them anew.
pub(crate) const SERVER: &str = "CAST(pg_postmaster_start_time() AS text) || ' ' \
     || CAST(CAST('authfort_users' AS regclass) AS oid) || ' ' || CAST(CAST('authfort_standing_changes' AS regclass) AS oid)";

pub(crate) const CONNECTION: &str = "CAST(pg_backend_pid() AS text)";

pub(crate) const POSITION: &str = "CAST(pg_current_snapshot() AS text)";

/// A snapshot does not show the transactions that began later, and those that it lists as open. Each of the two is a place in
/// the index, however long the oldest of them stays open.
pub(crate) fn push_unseen(
    to: &mut Statement,
    log: &'static str,
    column: &'static str,
    position: &Position,
    limit: i64,
) {
    let arm = |to: &mut Statement, begin: &'static str, end: &'static str| {
        to.push("(SELECT c.").push(column).push(" FROM ").push(log).push(" c WHERE ").push(begin).push("(CAST(");
        to.hide(position.0.as_str())
            .push(" AS pg_snapshot))")
            .push(end)
            .push(" ORDER BY c.writer LIMIT ")
            .number(limit)
            .push(")");
    };
    // What is beyond the present snapshot was restored from another server.
    arm(to, "c.writer >= pg_snapshot_xmax", " AND c.writer < pg_snapshot_xmax(pg_current_snapshot())");
    to.push(" UNION ALL ");
    arm(to, "c.writer = ANY (ARRAY(SELECT pg_snapshot_xip", "))");
}

pub(super) async fn say_has_read(conn: &mut Conn<'_>) -> Result<()> {
    let text = "SELECT set_config('authfort.has_read', 'on', TRUE)";
    sql!(conn, execute, text).map_err(classify)?;
    Ok(())
}

pub(crate) fn push_delete_seen(to: &mut Statement, log: &'static str, position: &Position, limit: i64) {
    to.push("DELETE FROM ").push(log).push(" WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM ").push(log);
    to.push(" c WHERE c.writer < pg_snapshot_xmin(CAST(").hide(position.0.as_str()).push(" AS pg_snapshot))");
    to.push(" OR c.writer >= pg_snapshot_xmax(pg_current_snapshot()) LIMIT ").number(limit).push("))");
}

#[cfg(test)]
mod tests {
    use authfort_testkit::{Engine, TestDatabase};

    use super::*;
    use crate::{Algorithm, AuthFort};

    /// Returns how many statements stay prepared on the one connection after a user was created and deleted.
    async fn prepared(on: bool) -> (i64, String) {
        let db = TestDatabase::create(Engine::Postgres).await;
        let builder = AuthFort::builder().algorithm(Algorithm::EdDsa).max_connections(1).prepared_statements(on);
        let auth = builder.connect(db.url()).await.unwrap();
        let id = auth.create_user("jane@example.com").role("editor").await.unwrap().id;
        auth.create_session(id).await.unwrap();
        assert_eq!(auth.list_users().query("jane").await.unwrap().users.len(), 1);
        auth.delete_user(id).await.unwrap();
        let mut reading = auth.core().db().read().await.unwrap();
        let mut conn = reading.conn();
        let left = "SELECT count(*) FROM pg_prepared_statements WHERE statement NOT LIKE '%pg_prepared_statements%'";
        let left: i64 = sql!(&mut conn, fetch_one, query_scalar, left).unwrap();
        let read_only: String = sql!(&mut conn, fetch_one, query_scalar, "SHOW transaction_read_only").unwrap();
        (left, read_only)
    }

    #[tokio::test]
    async fn where_statements_do_not_stay_prepared_what_reads_is_a_transaction() {
        assert_eq!(prepared(false).await, (0, "on".to_owned()));
        let (left, read_only) = prepared(true).await;
        assert!(left > 10, "{left}");
        assert_eq!(read_only, "off");
    }

    #[tokio::test]
    async fn each_statement_sees_what_was_committed_before_it_whatever_the_default_is() {
        let db = TestDatabase::create(Engine::Postgres).await;
        let builder = || AuthFort::builder().algorithm(Algorithm::EdDsa);
        let before = builder().connect(db.url()).await.unwrap();
        let mut tx = before.core().db().begin().await.unwrap();
        let text = "DO $$ BEGIN
             EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''serializable''', current_database());
         END $$";
        sql!(&mut tx.conn(), execute, text).unwrap();
        tx.commit().await.unwrap();
        let auth = builder().connect(db.url()).await.unwrap();
        let mut tx = auth.core().db().begin().await.unwrap();
        let level = "SELECT current_setting('transaction_isolation')";
        let level = sql!(&mut tx.conn(), fetch_one, query_scalar::<_, String>, level).unwrap();
        assert_eq!(level, "read committed");
        tx.rollback().await.unwrap();
    }
}
