//! Pages and counts of users, with statements built from fixed pieces.
//!
//! A page is read in the order of an index that also has what its filter asks: first the ids, then the rows of these ids.
//! Its total, and the roles of its users, come with the same statement. [`order`] has the orders, [`condition`] the filters,
//! [`search`] what a search term changes.

pub(super) mod condition;
mod order;
#[cfg(test)]
mod plans;
mod search;

use chrono::{DateTime, Utc};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use self::condition::Hidden;
use self::order::{Order, Rows};
use super::{UserRow, columns, totals};
use crate::db::dynamic::{Statement, run};
use crate::db::{Conn, ReadQuery, classify};
use crate::model::cursor::{Cursor, SortKey};
use crate::model::filter::{DeletedFilter, SortBy, SortOrder, Total, UserFilter};
use crate::model::page::{PageRequest, Seek};
use crate::{Result, UserId};

/// An offset from which it is worth to look whether the other end is nearer.
const FAR_OFFSET: i64 = 200;

pub(crate) fn count_statement(conn: &Conn<'_>, filter: &UserFilter, now: DateTime<Utc>) -> Statement {
    let page = PageRequest {
        filter: filter.clone(),
        sort_by: SortBy::default(),
        sort_order: SortOrder::default(),
        limit: 1,
        seek: Seek::Offset(0),
        total: Total::Exact,
    };
    let mut statement = Statement::new("SELECT ");
    Reading::of(&page, now).push_total(&mut statement, conn);
    statement
}

fn push_limit(to: &mut Statement, limit: Option<i64>) {
    if let Some(limit) = limit {
        to.push(" LIMIT ").number(limit);
    }
}

/// Appends the union of a SELECT for each role, without duplicates.
fn push_union(to: &mut Statement, roles: &[String], mut select: impl FnMut(&mut Statement, &str)) {
    for (at, role) in roles.iter().enumerate() {
        to.push(if at == 0 { "SELECT * FROM (" } else { " UNION SELECT * FROM (" });
        select(to, role);
        to.push(") s");
    }
}

/// Reads the page, its roles and its total in one statement, and so from one snapshot. The total is on the left of the
/// join, so that an empty page has one too.
pub(crate) fn page_statement(conn: &Conn<'_>, page: &PageRequest, now: DateTime<Utc>) -> Statement {
    let reading = Reading::of(page, now);
    let mut to = Statement::new("WITH ");
    if let Some(term) = &page.filter.query {
        search::push_steps(&reading, &mut to, conn, term);
    }
    to.push("t AS MATERIALIZED (SELECT ");
    if page.total == Total::None && !reading.is_far() {
        to.push("CAST(NULL AS bigint)");
    } else {
        reading.push_total(&mut to, conn);
    }
    to.push(" AS total) SELECT ");
    to.push(if page.total == Total::None { "CAST(NULL AS bigint) AS total" } else { "t.total" });
    to.push(concat!(", u.* FROM t LEFT JOIN (SELECT ", columns!(), " FROM "));
    if reading.is_plain() {
        to.push("authfort_users u");
        reading.push_ordered(&mut to, conn, Rows::Users, reading.cursor());
        reading.push_window(&mut to);
    } else {
        to.push("(");
        match page.filter.query {
            None => reading.push_ids(&mut to, conn),
            Some(_) => search::push_ids(&reading, &mut to),
        }
        to.push(") p CROSS JOIN authfort_users u WHERE ").push(reading.row(conn)).push(" = p.id");
    }
    to.push(") u ON TRUE");
    reading.order.push_of_page(&mut to);
    to
}

/// A page to be read: what all parts of its statement are made from.
struct Reading<'a> {
    page: &'a PageRequest,
    order: Order,
    now: DateTime<Utc>,
}

impl<'a> Reading<'a> {
    fn of(page: &'a PageRequest, now: DateTime<Utc>) -> Self {
        let backward = matches!(&page.seek, Seek::Cursor(cursor) if cursor.backward);
        Self { page, order: Order::new(page.sort_by, page.sort_order, backward), now }
    }

    fn offset(&self) -> i64 {
        match &self.page.seek {
            Seek::Offset(offset) => *offset,
            Seek::Cursor(_) => 0,
        }
    }

    fn cursor(&self) -> Option<&Cursor> {
        match &self.page.seek {
            Seek::Offset(_) => None,
            Seek::Cursor(cursor) => Some(cursor),
        }
    }

    /// The rows in which the users of at most one role are.
    fn walked(&self) -> Rows<'a> {
        match &self.page.filter.roles[..] {
            [role] => Rows::Holders(role),
            _ => Rows::Users,
        }
    }

    /// Whether hardly any users are passed over, so that it is cheaper to read them in one go than to find their ids first.
    fn passes_few(&self) -> bool {
        let filter = &self.page.filter;
        filter.banned.is_none()
            && filter.email_verified.is_none()
            && filter.created_after.is_none()
            && filter.created_before.is_none()
            && filter.deleted != DeletedFilter::Only
            && !filter.asks_last_login()
    }

    /// Whether the page is the beginning of a list of all users.
    fn is_plain(&self) -> bool {
        let filter = &self.page.filter;
        filter.query.is_none() && filter.roles.is_empty() && self.passes_few() && self.offset() == 0
    }

    /// Appends the number of users that match as one expression, up to the cap if the request wants it so, unless their
    /// number is kept.
    fn push_total(&self, to: &mut Statement, conn: &Conn<'_>) {
        let filter = &self.page.filter;
        if let Some(term) = &filter.query {
            return search::push_total(self, to, conn, term);
        }
        if totals::push_kept(to, conn, filter, self.now) {
            return;
        }
        let cap = (self.page.total == Total::Capped).then(Total::counted);
        to.push("(SELECT count(*) FROM (");
        if filter.roles.len() > 1 {
            // Some have several of the roles. Of each role no more are needed than are counted in all.
            push_union(to, &filter.roles, |to, role| {
                to.push("SELECT r.user_id FROM authfort_user_roles r");
                condition::push(to, Rows::Holders(role), filter, Hidden::default(), self.now);
                push_limit(to, cap);
            });
        } else {
            let rows = self.walked();
            to.push("SELECT 1 FROM ").push(rows.table());
            condition::push(to, rows, filter, Hidden::default(), self.now);
            if filter.asks_last_login() {
                // PostgreSQL would read the whole table, which is much larger than an index that has the day.
                Order::new(SortBy::CreatedAt, SortOrder::Asc, false).push(to, conn, rows);
            }
        }
        push_limit(to, cap);
        to.push(") c)");
    }

    /// Whether the page may be nearer to the other end, as the kept total tells.
    fn is_far(&self) -> bool {
        self.offset() >= FAR_OFFSET && totals::is_kept(&self.page.filter)
    }

    /// What must not lead a planner away from the order's index and the place where the page begins in it.
    fn hidden(&self) -> Hidden {
        let filter = &self.page.filter;
        let created = self.order.by == SortBy::CreatedAt;
        let few = filter.banned == Some(true) || filter.deleted == DeletedFilter::Only;
        // A cursor goes further than the bound that it comes from.
        let begins = created && self.cursor().is_some_and(|cursor| cursor.key != SortKey::End);
        Hidden {
            verified: !created || few,
            after: !created || begins && self.order.up,
            before: !created || begins && !self.order.up,
        }
    }

    /// Appends a SELECT of the ids of the page.
    fn push_ids(&self, to: &mut Statement, conn: &Conn<'_>) {
        let roles = &self.page.filter.roles;
        if roles.len() > 1 {
            // The first ones of each role, of which some are the same.
            to.push("SELECT w.id FROM (");
            push_union(to, roles, |to, role| {
                self.push_select(to, conn, Rows::Holders(role), self.cursor());
                let limit = self.page.limit.saturating_add(self.offset());
                to.push(" LIMIT ");
                // As many texts as there are offsets would be too many.
                if self.offset() == 0 {
                    to.number(limit)
                } else {
                    to.bind(limit)
                };
            });
            to.push(") w");
            self.order.push_by(to, "w.key", "w.id");
            self.push_window(to);
        } else if self.is_far() {
            self.push_far(to, conn);
        } else {
            self.push_select(to, conn, self.walked(), self.cursor());
            self.push_window(to);
        }
    }

    /// Appends a SELECT of the ids of the page, counted from the end that is nearer. From the other end, the first rows are
    /// read and left out: where that end is, a planner must see a small limit, or it prefers to sort everything.
    fn push_far(&self, to: &mut Statement, conn: &Conn<'_>) {
        const TOTAL: &str = "(SELECT t.total FROM t)";
        let (limit, offset) = (self.page.limit, self.offset());
        to.push("SELECT w.id FROM (SELECT * FROM (");
        self.push_select(to, conn, self.walked(), None);
        to.push(" LIMIT ").number(limit);
        to.push(" OFFSET CASE WHEN ").bind(offset).push(" <= ").push(TOTAL).push(" / 2 THEN ").bind(offset);
        to.push(" ELSE 0 END) ahead WHERE ").bind(offset).push(" <= ").push(TOTAL);
        to.push(" / 2 UNION ALL SELECT * FROM (SELECT * FROM (");
        Self { order: self.order.turned(), ..*self }.push_select(to, conn, self.walked(), None);
        // So many rows remain from the offset on, which may be fewer than a page, or none.
        let remain = |to: &mut Statement| {
            to.push(TOTAL).push(" - ").bind(offset);
        };
        to.push(" LIMIT ")
            .number(limit)
            .push(" OFFSET CASE WHEN ")
            .bind(offset)
            .push(" > ")
            .push(TOTAL)
            .push(" / 2 AND ");
        remain(to);
        to.push(" > ").number(limit).push(" THEN ");
        remain(to);
        to.push(" - ").number(limit).push(" ELSE 0 END) back WHERE ").bind(offset).push(" > ").push(TOTAL);
        to.push(" / 2 LIMIT CASE WHEN ");
        remain(to);
        to.push(" > 0 THEN ");
        remain(to);
        to.push(" ELSE 0 END) rest) w LIMIT ").number(limit);
    }

    /// What the rows of the page are found again by: where users are walked, the engine may have a shorter way than the id.
    fn row(&self, conn: &Conn<'_>) -> &'static str {
        let filter = &self.page.filter;
        if filter.query.is_none() && filter.roles.is_empty() { conn.user_row() } else { "u.id" }
    }

    /// Appends a SELECT of ids and keys in the order of the page.
    fn push_select(&self, to: &mut Statement, conn: &Conn<'_>, rows: Rows<'_>, cursor: Option<&Cursor>) {
        let row = if rows == Rows::Users { self.row(conn) } else { rows.id() };
        to.push("SELECT ").push(row).push(" AS id, ").push(self.order.key(conn, rows)).push(" AS key FROM ");
        to.push(rows.table());
        self.push_ordered(to, conn, rows, cursor);
    }

    /// Appends `WHERE … ORDER BY …`, apart from the search term.
    fn push_ordered(&self, to: &mut Statement, conn: &Conn<'_>, rows: Rows<'_>, cursor: Option<&Cursor>) {
        condition::push(to, rows, &self.page.filter, self.hidden(), self.now);
        if let Some(cursor) = cursor {
            self.order.push_past(to, conn, rows, cursor);
        }
        self.order.push(to, conn, rows);
    }

    /// Appends the limit, which planners should see, and the offset, which they should not: it is no reason to sort.
    fn push_window(&self, to: &mut Statement) {
        to.push(" LIMIT ").number(self.page.limit);
        if self.offset() > 0 {
            to.push(" OFFSET ").hide(self.offset());
        }
    }
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

/// Reads a page and its total.
pub(crate) struct Page<'a> {
    pub request: &'a PageRequest,
    pub now: DateTime<Utc>,
}

impl ReadQuery for Page<'_> {
    type Answer = (Vec<UserRow>, Option<i64>);

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let statement = page_statement(conn, self.request, self.now);
        let rows: Vec<PageRow> = run!(conn, fetch_all, sqlx::query_as::<_, PageRow>, statement).map_err(classify)?;
        let total = rows.first().and_then(|row| row.total);
        Ok((rows.into_iter().filter_map(|row| row.user).collect(), total))
    }
}

/// Counts users.
pub(crate) struct Count<'a> {
    pub filter: &'a UserFilter,
    pub now: DateTime<Utc>,
}

impl ReadQuery for Count<'_> {
    type Answer = i64;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<i64> {
        let statement = count_statement(conn, self.filter, self.now);
        run!(conn, fetch_one, sqlx::query_scalar::<_, i64>, statement).map_err(classify)
    }
}
