//! Pages and counts of a search.
//!
//! A term that many users match is found by reading users in the order of the page; a term that few match, by an index of
//! the terms, whose hits are then sorted. Which of the two it is shows the beginning of the page itself:
//!
//! 1. `near`: the first thousand users, in the order of the page. If they fill the page, or if there are no more, it is done.
//! 2. `few`: if hardly any of these matched, the hits of the index, up to some thousands. If these are all, they are sorted.
//! 3. `far`: if some matched, or if the hits are many, the first twenty thousand users.
//! 4. `rest`: all hits of the index, sorted.
//!
//! All of this is one statement. What a step finds decides whether the next one runs, and no planner's guess does.
//!
//! A term of one or two characters has no trigram. It finds the addresses and names that begin with it, by the indexes of
//! the orders.

use uuid::Uuid;

use super::order::Rows;
use super::{Reading, condition, push_limit};
use crate::db::dynamic::Statement;
use crate::db::{Conn, has_trigram};
use crate::model::cursor::Cursor;
use crate::model::filter::Total;

/// How many users the first step reads.
const NEAR: i64 = 1_000;
/// How many of them must have matched for it to be worth to read on.
const SOME: i64 = 5;
/// How many hits are sorted without a look further.
const FEW: i64 = 5_000;
/// How many users the third step reads.
const FAR: i64 = 20_000;
/// How many users are read to count up to a cap. A term that fills a page from a thousand of them reaches it.
const COUNTED: i64 = 25_000;

/// Appends the parts of the statement before `t`: the steps, and between them `first`, `second` and `last`, each the number
/// of the step that has the page, or else of the one that runs next.
pub(super) fn push_steps(reading: &Reading<'_>, to: &mut Statement, conn: &Conn<'_>, term: &str) {
    let limit = reading.page.limit;
    to.push("near AS MATERIALIZED (");
    push_walk(reading, to, conn, term, NEAR, None);
    to.push("), first AS MATERIALIZED (SELECT CASE WHEN (SELECT count(*) FROM near) = ").number(limit);
    to.push(" THEN 1 WHEN (SELECT count(*) FROM (");
    reading.push_select(to, conn, reading.walked(), reading.cursor());
    to.push(" LIMIT ").number(NEAR).push(") x) < ").number(NEAR);
    to.push(" THEN 1 WHEN (SELECT count(*) FROM near) < ").number(SOME).push(" THEN 2 ELSE 3 END AS step), ");
    to.push("few AS MATERIALIZED (");
    push_hits(reading, to, conn, term, Hits::Few);
    to.push("), second AS MATERIALIZED (SELECT CASE WHEN (SELECT count(*) FROM few) > ").number(FEW);
    to.push(" THEN 3 ELSE (SELECT first.step FROM first) END AS step), far AS MATERIALIZED (");
    push_walk(reading, to, conn, term, FAR, Some("(SELECT second.step FROM second) = 3"));
    to.push("), last AS MATERIALIZED (SELECT CASE WHEN (SELECT second.step FROM second) < 3 ");
    to.push("THEN (SELECT second.step FROM second) WHEN (SELECT count(*) FROM far) = ").number(limit);
    to.push(" THEN 3 ELSE 4 END AS step), rest AS MATERIALIZED (");
    push_hits(reading, to, conn, term, Hits::Rest);
    to.push("), ");
}

/// Appends a SELECT of the matches on the page among so many users, if this condition is true.
fn push_walk(
    reading: &Reading<'_>,
    to: &mut Statement,
    conn: &Conn<'_>,
    term: &str,
    users: i64,
    wanted: Option<&'static str>,
) {
    to.push("SELECT w.id, w.key FROM (");
    push_keys(reading, to, conn, reading.cursor(), users, wanted);
    to.push(") w WHERE ");
    if let Some(wanted) = wanted {
        to.push(wanted).push(" AND ");
    }
    push_matches(reading, to, conn, term);
    reading.push_window(to);
}

/// Appends a SELECT of the ids of the page, from the step that has it.
pub(super) fn push_ids(reading: &Reading<'_>, to: &mut Statement) {
    to.push("SELECT near.id FROM near WHERE (SELECT last.step FROM last) = 1 ");
    to.push("UNION ALL SELECT far.id FROM far WHERE (SELECT last.step FROM last) = 3 ");
    to.push("UNION ALL SELECT * FROM (SELECT hit.id FROM (SELECT * FROM few WHERE (SELECT last.step FROM last) = 2 ");
    to.push("UNION ALL SELECT * FROM rest) hit");
    reading.order.push_by(to, "hit.key", "hit.id");
    reading.push_window(to);
    to.push(") hits");
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
    push_keys(reading, to, conn, None, COUNTED, None);
    to.push(") w WHERE ");
    push_matches(reading, to, conn, term);
    to.push(" LIMIT ").number(cap).push(") c)");
}

/// Appends a SELECT of ids, keys and search keys in the order of the page. Where rows are passed over, the ids come first.
fn push_keys(
    reading: &Reading<'_>,
    to: &mut Statement,
    conn: &Conn<'_>,
    cursor: Option<&Cursor>,
    users: i64,
    wanted: Option<&'static str>,
) {
    let rows = reading.walked();
    if rows == Rows::Users && reading.passes_few() {
        to.push("SELECT u.id AS id, ").push(reading.order.key(conn, rows)).push(" AS key, u.search_key AS search_key");
        to.push(" FROM authfort_users u");
        reading.push_ordered(to, conn, rows, cursor);
        push_limit_if(to, conn, Some(users), wanted);
    } else {
        to.push(
            "SELECT x.id, x.key, (SELECT s.search_key FROM authfort_users s WHERE s.id = x.id) AS search_key FROM (",
        );
        reading.push_select(to, conn, rows, cursor);
        push_limit_if(to, conn, Some(users), wanted);
        to.push(") x");
    }
}

/// Appends a limit that is zero unless this condition is true, where that is what keeps the engine from reading. PostgreSQL
/// checks the condition itself, and plans better if it sees the limit.
fn push_limit_if(to: &mut Statement, conn: &Conn<'_>, limit: Option<i64>, wanted: Option<&'static str>) {
    match wanted {
        Some(wanted) if !conn.checks_conditions_first() => {
            to.push(" LIMIT CASE WHEN ")
                .push(wanted)
                .push(" THEN ")
                .number(limit.unwrap_or(i64::MAX))
                .push(" ELSE 0 END");
        }
        _ => push_limit(to, limit),
    }
}

/// Appends the condition that a user `w` of a walk matches: the term, and the roles unless the walk is theirs.
fn push_matches(reading: &Reading<'_>, to: &mut Statement, conn: &Conn<'_>, term: &str) {
    let (before, after, value) = conn.search_match(term);
    to.push("(").push(before).bind(value).push(after);
    if let Some(id) = whole_id(term) {
        to.push(" OR w.id = ").hide(id);
    }
    to.push(")");
    if reading.walked() == Rows::Users {
        condition::push_roles(to, &reading.page.filter, "w.id");
    }
}

/// What the hits of the index are read for.
#[derive(Clone, Copy, PartialEq)]
enum Hits {
    /// The second step of a page.
    Few,
    /// The last step of a page.
    Rest,
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
                to.push("u.id = ").hide(id);
            });
        }
        return;
    }
    // After all that begin with the term: no address and no name contains this character.
    let end = format!("{term}\u{10ffff}");
    for (at, key) in ["u.email_key", conn.name_key(false)].into_iter().enumerate() {
        to.push(if at == 0 { "" } else { " UNION " });
        push_found(reading, to, conn, all_users, hits, |to| {
            to.push(key).push(" >= ").hide(term).push(" AND ").push(key).push(" < ").hide(end.as_str());
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
    if matches!(hits, Hits::Few | Hits::Rest) {
        to.push(", ").push(reading.order.key(conn, Rows::Users)).push(" AS key");
    }
    to.push(" FROM ").push(from);
    condition::push(to, Rows::Users, &reading.page.filter, condition::Hidden::all(), reading.now);
    condition::push_roles(to, &reading.page.filter, "u.id");
    to.push(" AND ");
    condition(to);
    let (wanted, limit) = match hits {
        Hits::Few => (Some("(SELECT first.step FROM first) = 2"), Some(FEW + 1)),
        Hits::Rest => (Some("(SELECT last.step FROM last) = 4"), None),
        Hits::Capped => (None, Some(Total::counted())),
        Hits::All => (None, None),
    };
    if let Some(wanted) = wanted {
        if let Some(cursor) = reading.cursor() {
            reading.order.push_past(to, conn, Rows::Users, cursor);
        }
        to.push(" AND ").push(wanted);
    }
    push_limit_if(to, conn, limit, wanted);
    to.push(") f");
}

/// The term as an id, if it is a whole one in any spelling.
fn whole_id(term: &str) -> Option<Uuid> {
    Uuid::try_parse(term).ok()
}
