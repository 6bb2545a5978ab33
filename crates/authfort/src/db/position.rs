//! Where a reader of a log is. A log is a table that transactions append rows to; a reader comes back for the rows that were
//! committed since.
//!
//! A number cannot say where a reader is if several transactions write at once: they commit in another order than they take
//! their numbers, so a reader that has seen a higher number would miss the lower one that comes late. On PostgreSQL a
//! position is therefore a snapshot, and a row names the transaction that wrote it, in the column `writer`: it is new if the
//! snapshot does not show that transaction. SQLite has one writer at a time, so there a position is the last number, in the
//! column `id`.

use super::Conn;
use super::dynamic::Statement;
#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite;
use crate::Result;

/// What a reader of a log has seen. It is good for one server only: see [`Conn::server`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position(pub String);

impl Position {
    /// Returns whether this position, read later than the other one, is before it: the log was replaced by an older one. Only
    /// a file can be; a server then starts anew.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        self.number() < other.number()
    }

    /// Returns how many rows were appended since the other position, where rows have numbers without a gap.
    pub(crate) fn rows_since(&self, other: &Self) -> Option<i64> {
        self.number()?.checked_sub(other.number()?)
    }

    fn number(&self) -> Option<i64> {
        self.0.parse().ok()
    }
}

impl Conn<'_> {
    /// Appends the position of a reader who reads the log with this very statement.
    #[cfg_attr(not(feature = "sqlite"), expect(unused_variables, reason = "a snapshot is one of all tables"))]
    pub(crate) fn push_position(&self, to: &mut Statement, log: &'static str) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::push_position(to, log),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => drop(to.push(postgres::POSITION)),
        }
    }

    /// Appends a query of one column of the rows of the log that a reader at this position has not seen: at most so many of each
    /// kind.
    pub(crate) fn push_unseen(
        &self,
        to: &mut Statement,
        (log, column): (&'static str, &'static str),
        position: &Position,
        limit: i64,
    ) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::push_unseen(to, log, column, position, limit),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::push_unseen(to, log, column, position, limit),
        }
    }

    /// Appends a statement that deletes rows of the log which every reader at this position, or at a later one, has seen: at
    /// most so many.
    pub(crate) fn push_delete_seen(&self, to: &mut Statement, log: &'static str, position: &Position, limit: i64) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::push_delete_seen(to, log, position, limit),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::push_delete_seen(to, log, position, limit),
        }
    }

    /// Says, until the transaction ends, that what is deleted from a log has been read: a trigger asks for it.
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "only PostgreSQL runs a statement"))]
    pub(crate) async fn say_has_read(&mut self) -> Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::say_has_read(self).await,
        }
    }

    /// Returns an expression that changes with the server, and one that changes with the connection. A promoted replica may
    /// have lost what a reader has seen, and so may a server that recovers from a crash, which closes all connections.
    pub(crate) fn server(&self) -> (&'static str, &'static str) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => ("''", "''"),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => (postgres::SERVER, postgres::CONNECTION),
        }
    }

    /// Returns the time by the database's clock, in seconds since 1970.
    pub(crate) fn seconds(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "CAST(strftime('%s', 'now') AS bigint)",
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => "CAST(extract(epoch FROM clock_timestamp()) AS bigint)",
        }
    }

    /// Returns the time by the database's clock, in milliseconds since 1970.
    pub(crate) fn milliseconds(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "CAST(round((julianday('now') - 2440587.5) * 86400000) AS bigint)",
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)",
        }
    }

    /// Returns which of the eight lanes an event is in: the last three bits of the user's id, or zero if it concerns nobody.
    pub(crate) fn lane_of_event(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {
                "((instr('0123456789ABCDEF', substr(hex(coalesce(user_id, zeroblob(16))), 32)) - 1) & 7)"
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => {
                "(get_byte(uuid_send(coalesce(user_id, '00000000-0000-0000-0000-000000000000'::uuid)), 15) & 7)"
            }
        }
    }
}
