//! The SQLite implementation.
//!
//! WAL and `synchronous = FULL` (an acknowledged commit survives a power loss), enforced foreign keys, one connection
//! that writes and acquires its lock at `BEGIN IMMEDIATE` (a deferred transaction fails without waiting if it starts to
//! write too late), readers that cannot write, and deleted data that is overwritten.

use std::str::FromStr;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::dynamic::Statement;
use super::position::Position;
use super::search::{SearchSource, has_trigram};
use super::{Conn, Connections, Db, Pool, PoolOptions, Tx, classify};
use crate::{Error, Result};

/// The foreign keys, a row for each column. One that names no columns refers to the primary key. Names are case-insensitive, so
/// the parent is written as its own table is.
pub(super) const FOREIGN_KEYS: &str = r#"
    SELECT t.name AS name, '"' || replace(t.name, '"', '""') || '"' AS child, k.seq AS seq,
        (SELECT '"' || replace(p.name, '"', '""') || '"' FROM sqlite_schema p
         WHERE p.type = 'table' AND p.name = k."table" COLLATE NOCASE) AS parent,
        '"' || replace(k."from", '"', '""') || '"' AS own,
        '"' || replace(coalesce(k."to", (SELECT c.name FROM pragma_table_info(k."table") c WHERE c.pk = k.seq + 1)),
            '"', '""') || '"' AS referred,
        k.on_delete AS action
    FROM sqlite_schema t, pragma_foreign_key_list(t.name) k WHERE t.type = 'table' ORDER BY t.name, k.id, k.seq"#;

/// Returns the settings of every connection of this library.
fn settings(url: &str, patience: Duration) -> Result<SqliteConnectOptions> {
    let parsed = SqliteConnectOptions::from_str(url)
        .map_err(|_| Error::config("database_url", "is no SQLite URL; write sqlite://path/to/file.db"))?;
    // A mode in the URL already says whether the file may be created.
    let parsed = if url.contains("mode=") { parsed } else { parsed.create_if_missing(true) };
    Ok(parsed
        .foreign_keys(true)
        // Waits as long for another process's lock as for a connection.
        .busy_timeout(patience)
        .synchronous(SqliteSynchronous::Full)
        // Overwrites deleted data, so that no free page contains data of an erased person.
        .pragma("secure_delete", "ON")
        .optimize_on_close(true, 400))
}

fn is_in_memory(url: &str) -> bool {
    url.contains(":memory:") || url.contains("mode=memory")
}

/// Returns the settings for a file, and creates the file if the URL allows it.
fn file_settings(url: &str, patience: Duration) -> Result<SqliteConnectOptions> {
    let settings = settings(url, patience)?;
    if !url.contains("mode=") || url.contains("mode=rwc") {
        create_private(settings.get_filename())?;
    }
    Ok(settings.journal_mode(SqliteJournalMode::Wal))
}

/// Refuses the options that only a server has a use for.
pub(crate) fn check_options(options: &PoolOptions) -> Result<()> {
    options.check_no_server("is only for PostgreSQL; leave it out with SQLite")
}

pub(crate) async fn connect(url: &str, options: &PoolOptions) -> Result<Db> {
    // Before the file is made.
    check_options(options)?;
    let timeout = options.acquire_timeout();
    let pool = || SqlitePoolOptions::new().acquire_timeout(timeout).max_lifetime(None);

    if is_in_memory(url) {
        if options.guard_connections.is_some() {
            return Err(Error::config(
                "guard_connections",
                "cannot be had in memory: there the one connection serves all",
            ));
        }
        // An in-memory database lives as long as its one connection.
        let only = pool().max_connections(1).min_connections(1).idle_timeout(None);
        let only = only.connect_with(settings(url, timeout)?).await;
        let db = Db::of_pool(Pool::Sqlite(only.map_err(classify)?), true);
        db.check_pool().await?;
        return Ok(db);
    }

    let base = file_settings(url, timeout)?;
    let write = open(&pool().max_connections(1), &base, timeout).await?;
    check_pool(&write).await?;
    let reader = base.pragma("query_only", "ON");
    let read = pool().max_connections(options.max_connections()).connect_lazy_with(reader.clone());
    // Opened now and kept open: on a full disk no connection can be opened, but an open one can still read.
    let guard = pool().max_connections(options.guard_connections()).min_connections(1).idle_timeout(None);
    let guard = open(&guard.test_before_acquire(false), &reader, timeout).await?;
    let connections = |name, pool| Connections::new(name, Pool::Sqlite(pool), true);
    Ok(Db::new(connections("read", read), connections("write", write), connections("guard", guard)))
}

/// Opens a pool on a SQLite file that the application shares with the service, for
/// [`AuthFort::from_pool`](crate::AuthFort::from_pool) and the application's own statements.
///
/// Each connection enforces foreign keys, waits up to 5 seconds for another connection's lock, overwrites deleted data
/// (`secure_delete`), and makes commits that survive a power loss (WAL, `synchronous = FULL`). A new file is readable
/// by its owner only (mode 600). Begin transactions that write with `BEGIN IMMEDIATE`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let file = std::env::temp_dir().join(format!("authfort-doc-{}.db", std::process::id()));
/// # let url = format!("sqlite://{}", file.display());
/// let pool = authfort::open_sqlite(&url, 5).await?; // sqlite://app.db
/// let auth = authfort::AuthFort::from_pool(pool.clone()).await?;
/// let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
/// auth.create_user("jane@example.com").in_tx(&mut tx).await?;
/// tx.commit().await?;
/// # auth.close().await;
/// # std::fs::remove_file(file)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// - [`Error::Config`] if the URL does not name a file, and for zero connections.
/// - [`Error::Start`], with cause and remedy, if the file cannot be opened.
pub async fn open_sqlite(url: impl AsRef<str>, max_connections: u32) -> Result<SqlitePool> {
    let (url, patience) = (url.as_ref(), Duration::from_secs(5));
    if is_in_memory(url) || !url.starts_with("sqlite:") {
        return Err(Error::config("database_url", "names no file to share; write sqlite://path/to/file.db"));
    }
    if max_connections == 0 {
        return Err(Error::config("max_connections", "must be at least 1"));
    }
    let pool = SqlitePoolOptions::new().max_connections(max_connections).acquire_timeout(patience).max_lifetime(None);
    let opened = match file_settings(url, patience) {
        Ok(settings) => open(&pool, &settings, patience).await,
        Err(error) => Err(error),
    };
    match opened {
        Ok(pool) => Ok(pool),
        Err(error) => Err(super::diagnosis::of_url(url, patience, error).await),
    }
}

/// Opens the first connection, which switches a new file to WAL. SQLite refuses that at once, without its usual wait
/// for locks, while another process writes to the file, such as when several nodes start together. So this retries.
async fn open(pool: &SqlitePoolOptions, base: &SqliteConnectOptions, patience: Duration) -> Result<SqlitePool> {
    let started = tokio::time::Instant::now();
    loop {
        match pool.clone().connect_with(base.clone()).await {
            Err(error) if super::is_conflict(&error) && started.elapsed() < patience => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome.map_err(classify),
        }
    }
}

/// Creates a new file that only its owner can read: it holds password hashes and keys. SQLite gives its companion files
/// (`-wal`, `-shm`) the same permissions. An existing file keeps its permissions; a dangling link leads to the new
/// file.
fn create_private(path: &std::path::Path) -> Result<()> {
    if std::fs::exists(path).unwrap_or(false) {
        return Ok(());
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|error| classify(error.into()))
}

/// Refuses a pool whose connections do not enforce foreign keys: deleting a user would leave orphans.
pub(crate) async fn check_pool(pool: &SqlitePool) -> Result<()> {
    let mut conn = pool.acquire().await.map_err(classify)?;
    check_conn(&mut conn).await
}

/// Refuses a connection that does not enforce foreign keys.
pub(crate) async fn check_conn(conn: &mut sqlx::SqliteConnection) -> Result<()> {
    let on: bool = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(conn).await.map_err(classify)?;
    if on {
        Ok(())
    } else {
        Err(Error::config("pool", "foreign keys are off; open it with SqliteConnectOptions::foreign_keys(true)"))
    }
}

pub(crate) async fn begin(connections: &Connections) -> Result<Tx> {
    let mut tx = Tx::begin(connections, "BEGIN IMMEDIATE").await.map_err(classify)?;
    // Checked for each transaction: the pool may be the application's, and the pragma belongs to the connection.
    let checked = match tx.conn() {
        Conn::Sqlite(conn) => check_conn(conn).await,
        #[cfg(feature = "postgres")]
        Conn::Postgres(..) => Ok(()),
    };
    match checked {
        Ok(()) => Ok(tx),
        Err(error) => {
            tx.rollback().await?;
            Err(error)
        }
    }
}

/// Locks the file exclusively while migrations run; others wait for as long as for a connection.
pub(crate) async fn begin_migration(connections: &Connections) -> Result<Option<Tx>> {
    match Tx::begin(connections, "BEGIN EXCLUSIVE").await {
        Ok(tx) => Ok(Some(tx)),
        Err(error) if super::is_conflict(&error) => Ok(None),
        Err(error) => Err(classify(error)),
    }
}

const READONLY: i32 = 8;
const IOERR: i32 = 10;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;

/// Returns the primary code, which is the low byte of the extended one.
fn primary(code: &str) -> i32 {
    code.parse::<i32>().unwrap_or_default() & 0xff
}

pub(crate) fn is_unavailable(_: &dyn sqlx::error::DatabaseError, code: &str) -> bool {
    matches!(primary(code), READONLY | IOERR | FULL | CANTOPEN)
}

pub(crate) fn is_conflict(_: &dyn sqlx::error::DatabaseError, code: &str) -> bool {
    matches!(primary(code), BUSY | LOCKED)
}

const CONSTRAINT_TRIGGER: &str = "1811";

/// SQLite implements `ON DELETE RESTRICT` as a trigger: the error has a trigger's code and a foreign key's message.
pub(crate) fn is_restriction(error: &dyn sqlx::error::DatabaseError, code: &str) -> bool {
    code == CONSTRAINT_TRIGGER && error.message() == "FOREIGN KEY constraint failed"
}

/// Generated columns, because SQLite seeks by key and id at once only for a column.
pub(crate) fn name_key(ascending: bool) -> &'static str {
    if ascending { "u.name_asc" } else { "u.name_desc" }
}

pub(crate) fn search_match(term: &str) -> (&'static str, &'static str, String) {
    if has_trigram(term) {
        ("instr(w.search_key, ", ") > 0", term.to_owned())
    } else {
        ("instr(char(10) || w.search_key, ", ") > 0", format!("\n{term}"))
    }
}

pub(crate) fn search_source(term: &str) -> SearchSource {
    SearchSource {
        from: "authfort_users_search CROSS JOIN authfort_users u",
        before: "authfort_users_search MATCH (SELECT ",
        after: ") AND u.seq = authfort_users_search.rowid",
        value: format!("\"{}\"", term.replace('"', "\"\"")),
    }
}

/// Does nothing: `BEGIN IMMEDIATE` allows one writer at a time.
#[expect(clippy::unused_async, reason = "the other engine has to ask")]
pub(crate) async fn lock_admins(_: &mut sqlx::SqliteConnection) -> Result<()> {
    Ok(())
}

/// A computed column.
pub(crate) const BAN_DAY: &str = "u.ban_day";

/// As text, like the times: the day alone sorts before all times of that day, however they are written.
pub(crate) fn midnight(day: chrono::NaiveDate) -> super::dynamic::Arg {
    day.to_string().into()
}

pub(crate) fn push_position(to: &mut Statement, log: &'static str) {
    to.push("coalesce((SELECT CAST(q.seq AS TEXT) FROM sqlite_sequence q WHERE q.name = '").push(log).push("'), '0')");
}

pub(crate) fn push_unseen(
    to: &mut Statement,
    log: &'static str,
    column: &'static str,
    position: &Position,
    limit: i64,
) {
    // What is no id could not be read; without one, a row stands for all users.
    to.push("SELECT CASE WHEN length(c.")
        .push(column)
        .push(") = 16 AND typeof(c.")
        .push(column)
        .push(") = 'blob' THEN c.");
    to.push(column).push(" END AS ").push(column).push(" FROM ").push(log).push(" c WHERE c.id > CAST(");
    to.hide(position.0.as_str()).push(" AS INTEGER) ORDER BY c.id LIMIT ").number(limit);
}

pub(crate) fn push_delete_seen(to: &mut Statement, log: &'static str, position: &Position, limit: i64) {
    to.push("DELETE FROM ").push(log).push(" WHERE id IN (SELECT c.id FROM ").push(log).push(" c WHERE c.id <= CAST(");
    to.hide(position.0.as_str()).push(" AS INTEGER) LIMIT ").number(limit).push(")");
}

#[cfg(test)]
mod tests {
    use authfort_testkit::{Engine, TestDatabase};

    use super::*;

    async fn pragmas(conn: &mut sqlx::SqliteConnection) -> Vec<String> {
        let mut values = Vec::new();
        for pragma in ["foreign_keys", "journal_mode", "synchronous", "busy_timeout", "query_only"] {
            let text = format!("SELECT '{pragma} ' || {pragma} FROM pragma_{pragma}");
            let text = if pragma == "busy_timeout" { text.replace("|| busy_timeout", "|| timeout") } else { text };
            values.push(sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_one(&mut *conn).await.unwrap());
        }
        values
    }

    /// Holds as many connections of each pool as it can have, all at once.
    #[tokio::test]
    async fn and_defect_13_every_connection_keeps_foreign_keys_and_what_was_committed() {
        let file = TestDatabase::create(Engine::Sqlite).await;
        let options = PoolOptions { max_connections: Some(3), guard_connections: Some(4), ..PoolOptions::default() };
        let db = connect(file.url(), &options).await.unwrap();
        for (pool, size, query_only) in [(&db.write, 1, 0), (&db.read, 3, 1), (&db.guard, 4, 1)] {
            let Pool::Sqlite(pool) = &pool.pool else { panic!("of the other engine") };
            let mut held = Vec::new();
            for _ in 0..size {
                let mut conn = pool.acquire().await.unwrap();
                let found = pragmas(&mut conn).await;
                let query_only = format!("query_only {query_only}");
                // 2 is FULL: an acknowledged commit survives a power loss.
                let expected =
                    ["foreign_keys 1", "journal_mode wal", "synchronous 2", "busy_timeout 5000", query_only.as_str()];
                assert_eq!(found, expected);
                held.push(conn);
            }
            assert_eq!(pool.options().get_max_connections(), size);
        }
        let Pool::Sqlite(read) = &db.read.pool else { panic!("of the other engine") };
        let error = sqlx::query("CREATE TABLE t (n int)").execute(read).await.unwrap_err();
        assert!(super::super::classify(error).code() == "database_unavailable", "a reader cannot write");
    }
}
