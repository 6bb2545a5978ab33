//! The order of a page: by a key, then by the id.
//!
//! A missing name sorts last in both directions, so each direction has its own key with its own index, in which a missing
//! name counts as U+10FFFF, which no name contains, or as empty.

use crate::db::Conn;
use crate::db::dynamic::{Arg, Statement};
use crate::model::cursor::{Cursor, SortKey};
use crate::model::filter::{SortBy, SortOrder};

/// The rows that a page is read from, in the order of one of their indexes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rows<'a> {
    /// `authfort_users u`.
    Users,
    /// `authfort_user_roles r` of this role: each row has the keys and the state of its user.
    Holders(&'a str),
}

#[derive(Clone, Copy)]
pub(super) struct Order {
    pub(super) by: SortBy,
    ascending: bool,
    /// Whether the page is read from small keys to large ones; the other way for a page that ends at its cursor.
    pub(super) up: bool,
}

impl Order {
    pub(super) fn new(by: SortBy, order: SortOrder, backward: bool) -> Self {
        let ascending = order == SortOrder::Asc;
        Self { by, ascending, up: ascending != backward }
    }

    /// The same rows from the other end.
    pub(super) fn turned(self) -> Self {
        Self { up: !self.up, ..self }
    }

    /// The key as an index of the rows has it.
    pub(super) fn key(self, conn: &Conn<'_>, rows: Rows<'_>) -> &'static str {
        match (rows, self.by) {
            (Rows::Users, SortBy::CreatedAt) => "u.created_at",
            (Rows::Users, SortBy::Email) => "u.email_key",
            (Rows::Users, SortBy::Name) => conn.name_key(self.ascending),
            (Rows::Holders(_), SortBy::CreatedAt) => "r.user_created_at",
            (Rows::Holders(_), SortBy::Email) => "r.user_email_key",
            (Rows::Holders(_), SortBy::Name) if self.ascending => "r.user_name_asc",
            (Rows::Holders(_), SortBy::Name) => "r.user_name_desc",
        }
    }

    /// The key of a row of the page, computed from its columns.
    fn of_page(self) -> &'static str {
        match self.by {
            SortBy::CreatedAt => "u.created_at",
            SortBy::Email => "u.email_key",
            SortBy::Name if self.ascending => "coalesce(u.name_key, '\u{10ffff}')",
            SortBy::Name => "coalesce(u.name_key, '')",
        }
    }

    /// Appends `ORDER BY` for rows in the order of an index.
    pub(super) fn push(self, to: &mut Statement, conn: &Conn<'_>, rows: Rows<'_>) {
        self.push_by(to, self.key(conn, rows), rows.id());
    }

    /// Appends `ORDER BY` for the rows of the page.
    pub(super) fn push_of_page(self, to: &mut Statement) {
        self.push_by(to, self.of_page(), "u.id");
    }

    /// Appends `ORDER BY` for these two columns.
    pub(super) fn push_by(self, to: &mut Statement, key: &'static str, id: &'static str) {
        let direction = if self.up { "" } else { " DESC" };
        to.push(" ORDER BY ").push(key).push(direction).push(", ").push(id).push(direction);
    }

    /// Appends the condition that a row is past the cursor. Comparing (key, id) as one row value is one index seek, however
    /// many keys are equal. The values are hidden, so that PostgreSQL's planner does not guess how many rows remain: it
    /// looks at the key alone, and would sort them if it takes them for few.
    pub(super) fn push_past(self, to: &mut Statement, conn: &Conn<'_>, rows: Rows<'_>, cursor: &Cursor) {
        let key: Arg = match &cursor.key {
            SortKey::Time(time) => (*time).into(),
            SortKey::Text(text) => text.as_str().into(),
            SortKey::Missing if self.ascending => "\u{10ffff}".into(),
            SortKey::Missing => "".into(),
            SortKey::End => return,
        };
        to.push(" AND (").push(self.key(conn, rows)).push(", ").push(rows.id());
        to.push(if self.up { ") > (" } else { ") < (" }).hide(key).push(", ").hide(cursor.id).push(")");
    }
}

impl Rows<'_> {
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Users => "u.id",
            Self::Holders(_) => "r.user_id",
        }
    }

    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Users => "authfort_users u",
            Self::Holders(_) => "authfort_user_roles r",
        }
    }
}
