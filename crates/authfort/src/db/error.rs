//! The meaning of a driver's error: which constraint failed, whether to retry, and which part may be shown.

use std::io;

#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite;
use crate::Error;

/// Classifies an error of the application's own statements like the library's: a database that is unavailable or locked
/// is [`Error::DatabaseUnavailable`], any other error is [`Error::Database`].
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

/// Classifies an error of the driver: the database is unavailable, or it is an internal error.
pub(crate) fn classify(error: sqlx::Error) -> Error {
    if is_unavailable(&error) || is_conflict(&error) {
        Error::DatabaseUnavailable(error)
    } else {
        Error::Database(without_row(error))
    }
}

/// PostgreSQL's errors repeat the refused row, including hashes and keys; those must not be logged.
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

/// Returns whether the connection is unusable for any further statement.
pub(super) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        #[cfg(feature = "postgres")]
        sqlx::Error::Database(inner) => postgres::has_hung_up(&**inner),
        _ => false,
    }
}

/// Returns whether running the whole transaction again can succeed: deadlock, serialization failure, a locked file.
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

/// Like [`classify`], for deletes of rows that the application's rows may refer to.
pub(crate) fn blocked(error: sqlx::Error) -> Error {
    match violation(&error) {
        Some(Violation::ForeignKey(table)) => Error::BlockedByReference { table },
        // The application's `SET NULL` on its row violates a constraint of its table.
        Some(Violation::Row(table)) => Error::BlockedByReference { table: Some(table) },
        _ => classify(error),
    }
}

/// The schema constraint that a statement violated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A key of this table would occur twice.
    Unique(String),
    /// A row refers to one that is deleted or does not exist; the referring table, where the engine names it.
    ForeignKey(Option<String>),
    /// A row of this table would violate NOT NULL.
    Row(String),
}

/// Extracts the violated constraint from an error: SQLite names columns in its message, PostgreSQL has fields for it.
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
/// The error of a database that did not answer in time.
pub(crate) fn silent(limit: &'static str) -> Error {
    Error::DatabaseUnavailable(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, limit)))
}
