//! Pages and counts of a search.
//!
//! A term that many users match is found by reading users in the order of the page; a term that few match, by an index of
//! the terms, whose hits are then sorted. Which of the two it is shows the beginning of the page itself:
//!
//! 1. `near`: the first thousand users, in the order of the page. If they fill the page, or if there are no more, it is done.
//! 2. `far`: if some of these matched, the first twenty thousand.
//! 3. `rest`: all hits of the index, sorted.
//!
//! All of this is one statement. What a step finds decides whether the next one runs, and no planner's guess does.
//!
//! A term of one or two characters has no trigram. It finds the addresses and names that begin with it, by the indexes of
//! the orders.

use uuid::Uuid;

use super::order::Rows;
use super::{Reading, condition};
use crate::db::dynamic::Statement;
use crate::db::{Conn, has_trigram};
use crate::model::cursor::Cursor;
use crate::model::filter::Total;

/// How many users the first step reads.
const NEAR: i64 = 1_000;
/// How many the second one reads, and how many of the first step's must have matched.
const FAR: i64 = 20_000;
const SOME: i64 = 5;
/// How many users are read to count up to a cap. A term that fills a page from a thousand of them reaches it.
const COUNTED: i64 = 25_000;

/// Appends the parts of the statement before `t`: the steps.
pub(super) fn push_steps(reading: &Reading<'_>, to: &mut Statement, conn: &Conn<'_>, term: &str) {
    let limit = reading.page.limit;
    to.push("near AS MATERIALIZED (SELECT w.id, w.key FROM (");
    push_keys(reading, to, conn, NEAR, reading.cursor());
    to.push(") w WHERE ");
    push_matches(reading, to, conn, term);
    reading.push_window(to);
    to.push("), step AS MATERIALIZED (SELECT CASE WHEN (SELECT count(*) FROM near) = ").number(limit);
    to.push(" THEN 1 WHEN (SELECT count(*) FROM (");
    reading.push_select(to, conn, reading.walked(), reading.cursor());
    to.push(" LIMIT ").number(NEAR).push(") x) < ").number(NEAR);
    to.push(" THEN 1 WHEN (SELECT count(*) FROM near) < ").number(SOME).push(" THEN 3 ELSE 2 END AS at), ");
    to.push("far AS MATERIALIZED (SELECT w.id, w.key FROM (");
    push_keys(reading, to, conn, FAR, reading.cursor());
    to.push(") w WHERE (SELECT step.at FROM step) = 2 AND ");
    push_matches(reading, to, conn, term);
    reading.push_window(to);
    to.push("), rest AS MATERIALIZED (");
    push_hits(reading, to, conn, term, Hits::Page);
    to.push("), ");
}

/// Appends a SELECT of the ids of the page, from the step that found it.
pub(super) fn push_ids(reading: &Reading<'_>, to: &mut Statement) {
    to.push("SELECT near.id FROM near WHERE (SELECT step.at FROM step) = 1 ");
    to.push("UNION ALL SELECT far.id FROM far WHERE (SELECT count(*) FROM far) = ").number(reading.page.limit);
    to.push(" UNION ALL SELECT * FROM (SELECT rest.id FROM rest");
    reading.order.push_by(to, "rest.key", "rest.id");
    reading.push_window(to);
    to.push(") hit");
}

/// Appends the number of users that a page's search finds, as its request wants it, as one expression.
pub(super) fn push_total(reading: &Reading<'_>, to: &mut Statement, conn: &Conn<'_>, term: &str) {
    if reading.page.total == Total::Exact {
        return push_count(reading, to, conn, term, Hits::All);
    }
    let cap = Total::counted();
    // Of an index that must be read whole, a term of many hits is dear; the walk tells whether it is one.
    let walk = !conn.search_streams();
    if walk {
        to.push("CASE WHEN (SELECT count(*) FROM near) = ").number(reading.page.limit).push(" AND ");
        push_walked(reading, to, conn, term, cap);
        to.push(" = ").number(cap).push(" THEN ").number(cap).push(" ELSE ");
    }
    push_count(reading, to, conn, term, Hits::Capped);
    if walk {
        to.push(" END");
    }
}

/// Appends the number of hits as one expression.
fn push_count(reading: &Reading<'_>, to: &mut Statement, conn: &Conn<'_>, term: &str, hits: Hits) {
    // Of all hits, PostgreSQL's planner knows best which way is shorter, if it sees the term.
    to.plan_anew |= hits == Hits::All;
    to.push("(SELECT count(*) FROM (");
    push_hits(reading, to, conn, term, hits);
    if hits == Hits::Capped {
        to.push(" LIMIT ").number(Total::counted());
    }
    to.push(") c)");
}

/// Appends the number of matches, up to a cap, among the users with whom the list begins, or ends.
fn push_walked(reading: &Reading<'_>, to: &mut Statement, conn: &Conn<'_>, term: &str, cap: i64) {
    to.push("(SELECT count(*) FROM (SELECT 1 FROM (");
    push_keys(reading, to, conn, COUNTED, None);
    to.push(") w WHERE ");
    push_matches(reading, to, conn, term);
    to.push(" LIMIT ").number(cap).push(") c)");
}

/// Appends a SELECT of ids, keys and search keys in the order of the page. Where rows are passed over, the ids come first.
fn push_keys(reading: &Reading<'_>, to: &mut Statement, conn: &Conn<'_>, limit: i64, cursor: Option<&Cursor>) {
    let rows = reading.walked();
    if rows == Rows::Users && reading.passes_few() {
        to.push("SELECT u.id AS id, ").push(reading.order.key(conn, rows)).push(" AS key, u.search_key AS search_key");
        to.push(" FROM authfort_users u");
        reading.push_ordered(to, conn, rows, cursor);
        to.push(" LIMIT ").number(limit);
    } else {
        to.push(
            "SELECT x.id, x.key, (SELECT s.search_key FROM authfort_users s WHERE s.id = x.id) AS search_key FROM (",
        );
        reading.push_select(to, conn, rows, cursor);
        to.push(" LIMIT ").number(limit).push(") x");
    }
}

/// Appends the condition that a user `w` of a walk matches: the term, and the roles unless the walk is theirs.
fn push_matches(reading: &Reading<'_>, to: &mut Statement, conn: &Conn<'_>, term: &str) {
    let (before, after, value) = conn.search_match(term);
    to.push("(").push(before).bind(value).push(after);
    if let Some(id) = whole_id(term) {
        to.push(" OR w.id = ").bind(id);
    }
    to.push(")");
    if reading.walked() == Rows::Users {
        push_roles(reading, to, "w.id");
    }
}

/// Appends the condition that this user has one of the roles. A number, and not EXISTS, of which a planner may make a join
/// with all who have the role.
fn push_roles(reading: &Reading<'_>, to: &mut Statement, id: &'static str) {
    if let Some((first, others)) = reading.page.filter.roles.split_first() {
        to.push(" AND (SELECT count(*) FROM authfort_user_roles r WHERE r.user_id = ").push(id);
        to.push(" AND r.role IN (").bind(first.as_str());
        for role in others {
            to.push(", ").bind(role.as_str());
        }
        to.push(")) > 0");
    }
}

/// What the hits of the index are read for.
#[derive(Clone, Copy, PartialEq)]
enum Hits {
    /// To be sorted for the third step of a page.
    Page,
    /// To be counted up to a cap.
    Capped,
    /// To be counted.
    All,
}

/// Appends a SELECT of the users that the indexes find. A user whom several conditions find is there once.
fn push_hits(reading: &Reading<'_>, to: &mut Statement, conn: &Conn<'_>, term: &str, hits: Hits) {
    let all_users = "authfort_users u";
    if has_trigram(term) {
        let source = conn.search_source(term, hits != Hits::All);
        push_found(reading, to, conn, source.from, hits, |to| {
            to.push(source.before).bind(source.value).push(source.after);
        });
        if let Some(id) = whole_id(term) {
            to.push(" UNION ");
            push_found(reading, to, conn, all_users, hits, |to| {
                to.push("u.id = ").bind(id);
            });
        }
        return;
    }
    // After all that begin with the term: no address and no name contains this character.
    let end = format!("{term}\u{10ffff}");
    for (at, key) in ["u.email_key", conn.name_key(false)].into_iter().enumerate() {
        to.push(if at == 0 { "" } else { " UNION " });
        push_found(reading, to, conn, all_users, hits, |to| {
            to.push(key).push(" >= (SELECT ").bind(term).push(") AND ");
            to.push(key).push(" < (SELECT ").bind(end.as_str()).push(")");
        });
    }
}

/// Appends a SELECT from these tables, of users whom this condition finds.
fn push_found(
    reading: &Reading<'_>,
    to: &mut Statement,
    conn: &Conn<'_>,
    from: &'static str,
    hits: Hits,
    condition: impl FnOnce(&mut Statement),
) {
    to.push("SELECT * FROM (SELECT u.id AS id");
    if hits == Hits::Page {
        to.push(", ").push(reading.order.key(conn, Rows::Users)).push(" AS key");
    }
    to.push(" FROM ").push(from);
    condition::push(to, Rows::Users, &reading.page.filter, condition::Hidden::all(), reading.now);
    push_roles(reading, to, "u.id");
    to.push(" AND ");
    condition(to);
    match hits {
        Hits::Page => {
            if let Some(cursor) = reading.cursor() {
                reading.order.push_past(to, conn, Rows::Users, cursor);
            }
            to.push(" AND (SELECT step.at FROM step) > 1 AND (SELECT count(*) FROM far) < ").number(reading.page.limit);
        }
        Hits::Capped => {
            to.push(" LIMIT ").number(Total::counted());
        }
        Hits::All => {}
    }
    to.push(") f");
}

/// The term as an id, if it is a whole one in any spelling.
fn whole_id(term: &str) -> Option<Uuid> {
    Uuid::try_parse(term).ok()
}
