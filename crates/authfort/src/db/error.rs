//! What an error of the driver means: which rule it is about, whether to try again, and what of it may be shown.

#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite;
use crate::Error;

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
pub(super) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        #[cfg(feature = "postgres")]
        sqlx::Error::Database(inner) => postgres::has_hung_up(&**inner),
        _ => false,
    }
}

/// Whether running the whole transaction again can succeed: deadlock, serialization failure, a locked file.
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
