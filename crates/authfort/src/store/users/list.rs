//! Pages and counts of users, with statements built from fixed pieces.

#[cfg(test)]
mod plans;

use chrono::{DateTime, Utc};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};
use uuid::Uuid;

use super::{UserRow, columns, totals};
use crate::db::dynamic::{Arg, Statement, run};
use crate::db::{Conn, classify};
use crate::model::cursor::{Cursor, SortKey};
use crate::model::filter::{DeletedFilter, SortBy, SortOrder, Total, UserFilter};
use crate::model::page::{PageRequest, Seek};
use crate::{Result, UserId};

/// The key that an order sorts by before the id. A missing name sorts last in both directions, so each direction has
/// its own key with its own index, in which a missing name counts as U+10FFFF, which no name contains, or as empty.
struct Order {
    /// The key as its index has it.
    key: &'static str,
    /// The same key, computed from a row of the page.
    read: &'static str,
    /// The value of a missing name.
    missing: &'static str,
    up: bool,
}

impl Order {
    fn new(conn: &Conn<'_>, sort_by: SortBy, sort_order: SortOrder, backward: bool) -> Self {
        let ascending = sort_order == SortOrder::Asc;
        let (key, read, missing) = match (sort_by, ascending) {
            (SortBy::CreatedAt, _) => ("u.created_at", "u.created_at", ""),
            (SortBy::Email, _) => ("u.email_key", "u.email_key", ""),
            (SortBy::Name, true) => (conn.name_key(true), "coalesce(u.name_key, '\u{10ffff}')", "\u{10ffff}"),
            (SortBy::Name, false) => (conn.name_key(false), "coalesce(u.name_key, '')", ""),
        };
        Self { key, read, missing, up: ascending != backward }
    }

    fn push_by(&self, to: &mut Statement, key: &'static str) {
        to.push(" ORDER BY ").push(key).push(if self.up { ", u.id" } else { " DESC, u.id DESC" });
    }

    /// Selects only rows past the cursor. Comparing (key, id) as one row value is one index seek, however many keys are
    /// equal.
    fn push_past(&self, to: &mut Statement, cursor: &Cursor) {
        let key: Arg = match &cursor.key {
            SortKey::Time(time) => (*time).into(),
            SortKey::Text(text) => text.as_str().into(),
            SortKey::Missing => self.missing.into(),
            SortKey::End => return,
        };
        to.push(" AND (").push(self.key).push(if self.up { ", u.id) > (" } else { ", u.id) < (" }).bind(key);
        to.push(", ").bind(cursor.id).push(")");
    }
}

/// Appends `WHERE …`. The first condition is always there, so each other one begins with AND.
fn push_filter(to: &mut Statement, conn: &Conn<'_>, filter: &UserFilter, now: DateTime<Utc>) {
    to.push(match filter.deleted {
        DeletedFilter::Without => " WHERE u.deleted_at IS NULL",
        DeletedFilter::With => " WHERE TRUE",
        DeletedFilter::Only => " WHERE u.deleted_at IS NOT NULL",
    });
    match filter.banned {
        Some(true) => {
            to.push(" AND u.banned AND (u.ban_expires_at IS NULL OR u.ban_expires_at > ").bind(now).push(")");
        }
        Some(false) => {
            to.push(" AND (NOT u.banned OR u.ban_expires_at <= ").bind(now).push(")");
        }
        None => {}
    }
    if let Some(verified) = filter.email_verified {
        to.push(" AND u.email_verified = ").bind(verified);
    }
    if let Some(time) = filter.created_after {
        to.push(" AND u.created_at >= ").bind(time);
    }
    if let Some(time) = filter.created_before {
        to.push(" AND u.created_at < ").bind(time);
    }
    if let Some((first, others)) = filter.roles.split_first() {
        to.push(" AND u.id IN (SELECT r.user_id FROM authfort_user_roles r WHERE r.role IN (").bind(first.as_str());
        for role in others {
            to.push(", ").bind(role.as_str());
        }
        to.push("))");
    }
    if let Some(term) = &filter.query {
        let (before, after, value) = conn.search_condition(term);
        to.push(" AND (").push(before).bind(value).push(after);
        if let Ok(id) = Uuid::try_parse(term) {
            to.push(" OR u.id = ").bind(id);
        }
        to.push(")");
    }
}

pub(crate) fn count_statement(conn: &Conn<'_>, filter: &UserFilter, now: DateTime<Utc>) -> Statement {
    let mut statement = Statement::new("SELECT ");
    if !totals::push_kept(&mut statement, conn, filter, now) {
        statement.push("count(*) FROM authfort_users u");
        push_filter(&mut statement, conn, filter, now);
    }
    statement
}

/// Reads the page, its roles and its total in one statement, and so from one snapshot. The total is on the left of the
/// join, so that an empty page has one too.
pub(crate) fn page_statement(conn: &Conn<'_>, page: &PageRequest, now: DateTime<Utc>) -> Statement {
    let backward = matches!(&page.seek, Seek::Cursor(cursor) if cursor.backward);
    let order = Order::new(conn, page.sort_by, page.sort_order, backward);
    let mut statement = Statement::new("SELECT t.total, u.* FROM (SELECT ");
    match page.total {
        _ if page.total != Total::None && totals::push_kept(&mut statement, conn, &page.filter, now) => {
            statement.push(" AS total");
        }
        Total::Exact => {
            statement.push("count(*) AS total FROM authfort_users u");
            push_filter(&mut statement, conn, &page.filter, now);
        }
        // One more than the cap tells whether there are more.
        Total::Capped => {
            statement.push("count(*) AS total FROM (SELECT 1 FROM authfort_users u");
            push_filter(&mut statement, conn, &page.filter, now);
            statement.push(" LIMIT ").bind(i64::try_from(Total::CAP).unwrap_or(i64::MAX).saturating_add(1)).push(") c");
        }
        Total::None => {
            statement.push("CAST(NULL AS bigint) AS total");
        }
    }
    statement.push(concat!(") t LEFT JOIN (SELECT ", columns!(), " FROM authfort_users u"));
    push_filter(&mut statement, conn, &page.filter, now);
    let offset = match &page.seek {
        Seek::Offset(offset) => *offset,
        Seek::Cursor(cursor) => {
            order.push_past(&mut statement, cursor);
            0
        }
    };
    order.push_by(&mut statement, order.key);
    statement.push(" LIMIT ").bind(page.limit).push(" OFFSET ").bind(offset).push(") u ON TRUE");
    order.push_by(&mut statement, order.read);
    statement
}

/// A row of the join: the total alone, or with a user.
struct PageRow {
    total: Option<i64>,
    user: Option<UserRow>,
}

impl<'r, R: Row> FromRow<'r, R> for PageRow
where
    UserRow: FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
    Option<UserId>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        let id: Option<UserId> = row.try_get("id")?;
        let user = id.map(|_| UserRow::from_row(row)).transpose()?;
        Ok(Self { total: row.try_get("total")?, user })
    }
}

pub(crate) async fn page(
    conn: &mut Conn<'_>,
    page: &PageRequest,
    now: DateTime<Utc>,
) -> Result<(Vec<UserRow>, Option<i64>)> {
    let statement = page_statement(conn, page, now);
    let rows: Vec<PageRow> = run!(conn, fetch_all, sqlx::query_as::<_, PageRow>, statement).map_err(classify)?;
    let total = rows.first().and_then(|row| row.total);
    Ok((rows.into_iter().filter_map(|row| row.user).collect(), total))
}

pub(crate) async fn count(conn: &mut Conn<'_>, filter: &UserFilter, now: DateTime<Utc>) -> Result<i64> {
    let statement = count_statement(conn, filter, now);
    run!(conn, fetch_one, sqlx::query_scalar::<_, i64>, statement).map_err(classify)
}
