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

/// What a reader of a log has seen. It is good for one server only: see [`Conn::server`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position(pub String);

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

    /// Appends the condition that a reader at this position has not seen the row `c` of the log, and the order that makes an
    /// index find such rows.
    pub(crate) fn push_unseen(&self, to: &mut Statement, position: &Position) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::push_unseen(to, position),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::push_unseen(to, position),
        }
    }

    /// Appends the condition that a reader at this position, or at a later one, has seen the row `c` of the log.
    pub(crate) fn push_seen(&self, to: &mut Statement, position: &Position) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => sqlite::push_seen(to, position),
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::push_seen(to, position),
        }
    }

    /// Returns an expression that changes with the server: a promoted replica, or a restored backup, may have lost what
    /// a reader has seen, and numbers its transactions anew.
    pub(crate) fn server(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "''",
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => postgres::SERVER,
        }
    }
}
