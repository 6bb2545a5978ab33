//! A connection of either engine, and what each engine does in its own way.

#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite;
use crate::Result;

/// A connection, on a pool or inside a transaction.
#[derive(Debug)]
#[non_exhaustive]
pub enum Conn<'a> {
    /// SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite(&'a mut sqlx::SqliteConnection),
    /// PostgreSQL, and whether statements stay prepared on this connection.
    #[cfg(feature = "postgres")]
    Postgres(&'a mut sqlx::PgConnection, bool),
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
        Self::Postgres(conn, true)
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
        Self::Postgres(tx, true)
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

impl Conn<'_> {
    /// The same connection, for a shorter while.
    pub(crate) fn reborrow(&mut self) -> Conn<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn, prepared) => Conn::Postgres(conn, *prepared),
        }
    }

    /// Takes row locks where the engine has them; SQLite's one writer needs none.
    pub(crate) fn has_row_locks(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => true,
        }
    }

    /// The transaction that this connection is in, for [`Db::is_over`].
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "the other engine has to ask"))]
    pub(crate) async fn open_transaction(&mut self) -> Result<OpenTransaction> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => Ok(OpenTransaction::Sqlite),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::transaction_id(self).await.map(OpenTransaction::Postgres),
        }
    }

    /// Makes changes to administrators wait for each other until the transaction ends.
    pub(crate) async fn lock_admins(&mut self) -> Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => sqlite::lock_admins(conn).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::lock_admins(self).await,
        }
    }

    /// A table of the application whose rows do not let this user go; asked once the delete was refused and undone.
    pub(crate) async fn blocking_table(&mut self, user: crate::UserId) -> Result<Option<String>> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => sqlite::blocking_table(conn, user).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => Ok(None),
        }
    }

    /// The key of `u` that an order by name goes by, upwards or downwards: one in which a missing name comes last.
    pub(crate) fn name_key(&self, ascending: bool) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::name_key(ascending),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::name_key(ascending),
        }
    }

    /// The condition that finds a folded term in the search key of `u`: what stands before and after the bound value,
    /// and that value.
    pub(crate) fn search_condition(&self, term: &str) -> (&'static str, &'static str, String) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::search_condition(term),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::search_condition(term),
        }
    }
}
