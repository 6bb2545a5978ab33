//! A connection of either engine, and the operations that differ between the engines.

#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite;
use crate::Result;

/// A connection, from a pool or inside a transaction.
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

impl Conn<'_> {
    /// Returns the same connection with a shorter lifetime.
    pub(crate) fn reborrow(&mut self) -> Conn<'_> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            #[cfg(feature = "postgres")]
            Self::Postgres(conn, prepared) => Conn::Postgres(conn, *prepared),
        }
    }

    /// Returns whether the engine has row locks; SQLite's single writer needs none.
    pub(crate) fn has_row_locks(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => true,
        }
    }

    /// Serializes changes to administrators until the transaction ends.
    pub(crate) async fn lock_admins(&mut self) -> Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => sqlite::lock_admins(conn).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::lock_admins(self).await,
        }
    }

    /// Returns a table of the application whose rows prevent the deletion of this user. In a transaction in which the deletion
    /// has failed, call it after the rollback.
    pub(crate) async fn blocking_table(&mut self, user: crate::UserId) -> Result<Option<String>> {
        super::blocking::blocking_table(self, user).await
    }

    /// Limits what statements of this transaction wait for and how long they take, where the engine can.
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "only PostgreSQL runs a statement"))]
    pub(super) async fn set_local_timeouts(&mut self) -> Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::set_local_timeouts(self).await,
        }
    }

    /// Returns the query of all foreign keys.
    pub(super) fn foreign_keys(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::FOREIGN_KEYS,
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::FOREIGN_KEYS,
        }
    }

    /// Returns the day on which the ban of `u` ends, as `authfort_user_totals` names it.
    pub(crate) fn ban_day(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::BAN_DAY,
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::BAN_DAY,
        }
    }

    /// Returns whether committed events wait for their position.
    pub(crate) fn has_unplaced_events(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "FALSE",
            // In the order of the index that has only these: no planner may look for them in the table.
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => {
                "(SELECT id FROM authfort_events WHERE position IS NULL ORDER BY written LIMIT 1) IS NOT NULL"
            }
        }
    }

    /// Returns the end of an insertion into `authfort_user_totals`: SQLite has one row for each total, PostgreSQL any number.
    pub(crate) fn on_conflict_add(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => " ON CONFLICT DO UPDATE SET n = n + excluded.n",
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => "",
        }
    }

    /// Returns the first moment of a day, to compare `ban_expires_at` with.
    pub(crate) fn midnight(&self, day: chrono::NaiveDate) -> super::dynamic::Arg {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::midnight(day),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::midnight(day),
        }
    }

    /// Returns the key of `u` for an order by name, ascending or descending, in which a missing name comes last.
    pub(crate) fn name_key(&self, ascending: bool) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::name_key(ascending),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::name_key(ascending),
        }
    }

    /// Returns the column by which a row of `u` is found fastest, and which each index has.
    pub(crate) fn user_row(&self) -> &'static str {
        match self {
            // The rowid: by the id it would be looked up in an index first.
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "u.seq",
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => "u.id",
        }
    }

    /// Returns the condition that a folded term is in the search key of `w`, or at the beginning of one of its lines if it
    /// is too short for an index of trigrams: the SQL before and after the bound value, and that value.
    pub(crate) fn search_match(&self, term: &str) -> (&'static str, &'static str, String) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::search_match(term),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::search_match(term),
        }
    }

    /// Returns how the index of trigrams finds users by a folded term. If the term is `hidden`, planners use that index
    /// whatever they would guess from the term.
    #[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "SQLite's planner never looks at values"))]
    pub(crate) fn search_source(&self, term: &str, hidden: bool) -> super::search::SearchSource {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::search_source(term),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::search_source(term, hidden),
        }
    }

    /// Returns whether a SELECT whose condition is false for all rows reads none. SQLite reads them all the same, unless its
    /// limit is zero.
    pub(crate) fn checks_conditions_first(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => true,
        }
    }

    /// Returns whether the index of trigrams gives its first hits before it knows all of them.
    pub(crate) fn search_streams(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => true,
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => false,
        }
    }
}
