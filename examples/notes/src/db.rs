//! The table `notes`. The statements are the same on both engines, so each is written once; an application on one
//! engine uses its pool directly.

use authfort::sqlx::{self, PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use authfort::{AuthFort, Conn, Result, UserId};
use serde::Serialize;

const INSERT: &str = "INSERT INTO notes (owner, text, shared) VALUES ($1, $2, $3) RETURNING id, text, shared";

/// The number of notes on a page.
const PAGE: i64 = 50;

/// The pool, shared by the service and the application. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Db {
    /// SQLite.
    Sqlite(SqlitePool),
    /// PostgreSQL.
    Postgres(PgPool),
}

/// A transaction that operations of the library join by `in_tx(tx.conn())`.
pub enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// A note as its readers see it.
#[derive(Debug, Serialize)]
pub struct Note {
    id: i64,
    text: String,
    shared: bool,
}

impl From<(i64, String, bool)> for Note {
    fn from((id, text, shared): (i64, String, bool)) -> Self {
        Self { id, text, shared }
    }
}

/// Runs the same code on either engine.
macro_rules! on_either {
    ($type:ident, $value:expr, $inner:ident => $run:expr) => {
        match $value {
            $type::Sqlite($inner) => $run,
            $type::Postgres($inner) => $run,
        }
    };
}

impl Db {
    /// Opens a pool, and the service on it.
    ///
    /// # Errors
    /// The errors of the database.
    pub async fn connect(url: &str) -> Result<(Self, AuthFort)> {
        if url.starts_with("sqlite") {
            let pool = authfort::open_sqlite(url, 5).await?;
            return Ok((Self::Sqlite(pool.clone()), AuthFort::from_pool(pool).await?));
        }
        let pool = PgPool::connect(url).await?;
        Ok((Self::Postgres(pool.clone()), AuthFort::from_pool(pool).await?))
    }

    pub(crate) async fn create_table(&self) -> sqlx::Result<()> {
        let (id, owner) = match self {
            Self::Sqlite(_) => ("INTEGER PRIMARY KEY AUTOINCREMENT", "BLOB"),
            Self::Postgres(_) => ("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "UUID"),
        };
        // Notes are deleted with the row of their owner, whatever deletes that row.
        let statements = format!(
            "CREATE TABLE IF NOT EXISTS notes (
                 id {id},
                 owner {owner} NOT NULL REFERENCES authfort_users (id) ON DELETE CASCADE,
                 text TEXT NOT NULL,
                 shared BOOLEAN NOT NULL
             );
             CREATE INDEX IF NOT EXISTS notes_of_owner ON notes (owner, id);
             CREATE INDEX IF NOT EXISTS notes_shared ON notes (id) WHERE shared"
        );
        let statements = sqlx::AssertSqlSafe(statements);
        on_either!(Self, self, pool => { sqlx::raw_sql(statements).execute(pool).await?; });
        Ok(())
    }

    pub(crate) async fn begin(&self) -> sqlx::Result<Tx> {
        Ok(match self {
            Self::Sqlite(pool) => Tx::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Needs no explicit transaction: a single statement is atomic.
    pub(crate) async fn add_note(&self, owner: UserId, text: &str, shared: bool) -> sqlx::Result<Note> {
        let row: (i64, String, bool) = on_either!(Self, self, pool => {
            sqlx::query_as(INSERT).bind(owner).bind(text).bind(shared).fetch_one(pool).await?
        });
        Ok(row.into())
    }

    pub(crate) async fn notes_of(&self, owner: UserId, after: i64) -> sqlx::Result<Vec<Note>> {
        let text = "SELECT id, text, shared FROM notes WHERE owner = $1 AND id > $2 ORDER BY id LIMIT $3";
        let rows: Vec<(i64, String, bool)> = on_either!(Self, self, pool => {
            sqlx::query_as(text).bind(owner).bind(after).bind(PAGE).fetch_all(pool).await?
        });
        Ok(rows.into_iter().map(Note::from).collect())
    }

    /// Counts the notes of a user: all, and those that are shared.
    pub(crate) async fn count_notes(&self, owner: UserId) -> sqlx::Result<(i64, i64)> {
        let text = "SELECT count(*), count(CASE WHEN shared THEN 1 END) FROM notes WHERE owner = $1";
        Ok(on_either!(Self, self, pool => sqlx::query_as(text).bind(owner).fetch_one(pool).await?))
    }

    pub(crate) async fn shared_notes(&self, after: i64) -> sqlx::Result<Vec<Note>> {
        // Checked on every read, so a note that was being written while its owner was banned is not shown either.
        let text = "SELECT id, text, shared FROM notes
             WHERE shared AND id > $1 AND EXISTS (
                 SELECT 1 FROM authfort_users u WHERE u.id = owner AND NOT u.banned AND u.deleted_at IS NULL)
             ORDER BY id LIMIT $2";
        let rows: Vec<(i64, String, bool)> = on_either!(Self, self, pool => {
            sqlx::query_as(text).bind(after).bind(PAGE).fetch_all(pool).await?
        });
        Ok(rows.into_iter().map(Note::from).collect())
    }

    pub(crate) async fn delete_note(&self, id: i64, owner: UserId) -> sqlx::Result<bool> {
        let text = "DELETE FROM notes WHERE id = $1 AND owner = $2";
        Ok(on_either!(Self, self, pool => {
            sqlx::query(text).bind(id).bind(owner).execute(pool).await?.rows_affected() > 0
        }))
    }

    pub(crate) async fn unshare(&self, id: i64) -> sqlx::Result<bool> {
        let text = "UPDATE notes SET shared = FALSE WHERE id = $1 AND shared";
        Ok(on_either!(Self, self, pool => sqlx::query(text).bind(id).execute(pool).await?.rows_affected() > 0))
    }

    pub(crate) async fn delete_all(&self, owner: UserId) -> sqlx::Result<()> {
        let text = "DELETE FROM notes WHERE owner = $1";
        on_either!(Self, self, pool => {
            sqlx::query(text).bind(owner).execute(pool).await?;
        });
        Ok(())
    }

    pub(crate) async fn unshare_all(&self, owner: UserId) -> sqlx::Result<()> {
        let text = "UPDATE notes SET shared = FALSE WHERE owner = $1 AND shared";
        on_either!(Self, self, pool => { sqlx::query(text).bind(owner).execute(pool).await?; });
        Ok(())
    }
}

impl Tx {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        on_either!(Self, self, tx => tx.into())
    }

    pub(crate) async fn add_note(&mut self, owner: UserId, text: &str) -> sqlx::Result<()> {
        on_either!(Self, self, tx => {
            sqlx::query(INSERT).bind(owner).bind(text).bind(false).execute(&mut **tx).await?;
        });
        Ok(())
    }

    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        on_either!(Self, self, tx => tx.commit().await)
    }
}
