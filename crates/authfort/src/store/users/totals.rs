//! `authfort_user_totals`: the number of users, kept by the triggers of migration 4.
//!
//! There is a number for each role (`''` for all users), anonymized or not, verified or not, and each day on which a ban
//! ends (`'never'` sorts after the days). The day `''` counts everybody, banned or not. So
//!
//! - all users are the sum at the day `''`;
//! - the users who are banned now are the sums of the days after today, and a count of the bans that end later today, by
//!   their index;
//! - the others are all users without these.

use chrono::{DateTime, Days, Utc};

use super::list::condition;
use crate::Result;
use crate::db::dynamic::{Statement, run};
use crate::db::{Conn, classify, row, sql};
use crate::model::filter::{DeletedFilter, UserFilter};

/// Returns whether the number of users that match is kept: for any combination of banned, anonymized, verified and at most
/// one role.
pub(super) fn is_kept(filter: &UserFilter) -> bool {
    let UserFilter { query, created_after, created_before, roles, .. } = filter;
    query.is_none()
        && created_after.is_none()
        && created_before.is_none()
        && roles.len() <= 1
        && !filter.asks_last_login()
}

/// Appends the number of users that match as one expression, if it is kept.
pub(super) fn push_kept(to: &mut Statement, conn: &Conn<'_>, filter: &UserFilter, now: DateTime<Utc>) -> bool {
    if !is_kept(filter) {
        return false;
    }
    match filter.banned {
        None => push_all(to, filter),
        Some(true) => push_banned(to, conn, filter, now),
        Some(false) => {
            push_all(to, filter);
            to.push(" - (");
            push_banned(to, conn, filter, now);
            to.push(")");
        }
    }
    true
}

/// Appends the sum of the rows of a role, up to the condition on the day.
fn push_sum(to: &mut Statement, filter: &UserFilter) {
    to.push("(SELECT CAST(coalesce(sum(k.n), 0) AS bigint) FROM authfort_user_totals k WHERE k.role = ");
    match filter.roles.first() {
        Some(role) => to.hide(role.as_str()),
        None => to.push("''"),
    };
    to.push(match filter.deleted {
        DeletedFilter::Without => " AND k.deleted = FALSE",
        DeletedFilter::With => " AND k.deleted IN (FALSE, TRUE)",
        DeletedFilter::Only => " AND k.deleted = TRUE",
    });
    to.push(match filter.email_verified {
        None => " AND k.verified IN (FALSE, TRUE)",
        Some(true) => " AND k.verified = TRUE",
        Some(false) => " AND k.verified = FALSE",
    });
}

fn push_all(to: &mut Statement, filter: &UserFilter) {
    push_sum(to, filter);
    to.push(" AND k.ban_day = '')");
}

fn push_banned(to: &mut Statement, conn: &Conn<'_>, filter: &UserFilter, now: DateTime<Utc>) {
    let today = now.date_naive();
    let tomorrow = today.checked_add_days(Days::new(1)).unwrap_or(today);
    push_sum(to, filter);
    to.push(" AND k.ban_day > ").hide(today.to_string());
    // If PostgreSQL's planner sees the bounds, it expects each plan for given values to be cheaper than the generic one, and
    // plans each time anew, which costs more than the count.
    to.push(") + (SELECT count(*) FROM authfort_users b WHERE b.banned AND b.ban_expires_at > ").hide(now);
    to.push(" AND b.ban_expires_at < ").hide(conn.midnight(tomorrow));
    to.push(match filter.deleted {
        DeletedFilter::Without => " AND b.deleted_at IS NULL",
        DeletedFilter::With => "",
        DeletedFilter::Only => " AND b.deleted_at IS NOT NULL",
    });
    // So that those whose ban ends today are found by that day.
    condition::push_verified(to, filter, "b.email_verified");
    condition::push_roles(to, filter, "b.id");
    to.push(")");
}

row! {
    #[derive(Debug)]
    pub(crate) struct Difference {
        pub role: String,
        pub deleted: bool,
        pub verified: bool,
        pub ban_day: String,
        pub kept: i64,
        pub counted: i64,
    }
}

/// Begins a statement with `pair`: each total as it is kept, and as a recount of the users gives it.
fn compared(conn: &Conn<'_>) -> Statement {
    let mut statement = Statement::new(
        "WITH facts AS (SELECT '' AS role, u.deleted_at IS NOT NULL AS deleted, u.email_verified AS verified, ",
    );
    statement.push(conn.ban_day());
    statement.push(
        " AS ban_day FROM authfort_users u UNION ALL SELECT r.role, u.deleted_at IS NOT NULL, u.email_verified, ",
    );
    statement.push(conn.ban_day());
    statement.push(
        " FROM authfort_user_roles r JOIN authfort_users u ON u.id = r.user_id), \
         per_day AS (SELECT role, deleted, verified, ban_day, count(*) AS n FROM facts GROUP BY role, deleted, verified, \
         ban_day), \
         pair AS (SELECT role, deleted, verified, ban_day, n AS kept, 0 AS counted FROM authfort_user_totals \
         UNION ALL SELECT role, deleted, verified, '', 0, n FROM per_day \
         UNION ALL SELECT role, deleted, verified, ban_day, 0, n FROM per_day WHERE ban_day <> '') ",
    );
    statement
}

/// Returns the totals that differ from a recount, read by one statement and so from one snapshot.
pub(crate) async fn differences(conn: &mut Conn<'_>) -> Result<Vec<Difference>> {
    let mut statement = compared(conn);
    statement.push(
        "SELECT role, deleted, verified, ban_day, CAST(sum(kept) AS bigint) AS kept, CAST(sum(counted) AS bigint) AS \
         counted FROM pair GROUP BY role, deleted, verified, ban_day HAVING sum(kept) <> sum(counted) \
         ORDER BY role, deleted, verified, ban_day",
    );
    run!(conn, fetch_all, sqlx::query_as::<_, Difference>, statement).map_err(classify)
}

/// Appends the condition that the copy of the keys and the state of its user `u` in a row of a role `r` is out of date.
fn push_stale(to: &mut Statement, conn: &Conn<'_>) {
    to.push("(r.user_created_at <> u.created_at OR r.user_verified <> u.email_verified");
    to.push(" OR r.user_deleted <> (u.deleted_at IS NOT NULL) OR r.user_ban_day <> ").push(conn.ban_day());
    to.push(" OR r.user_email_key <> u.email_key OR r.user_name_asc <> ").push(conn.name_key(true));
    to.push(" OR r.user_name_desc <> ").push(conn.name_key(false)).push(")");
}

/// Counts the rows of roles whose copy is out of date, or whose user is gone.
pub(crate) async fn stale_roles(conn: &mut Conn<'_>) -> Result<i64> {
    let mut statement = Statement::new(
        "SELECT count(*) FROM authfort_user_roles r LEFT JOIN authfort_users u ON u.id = r.user_id WHERE u.id IS NULL OR ",
    );
    push_stale(&mut statement, conn);
    run!(conn, fetch_one, sqlx::query_scalar::<_, i64>, statement).map_err(classify)
}

/// Brings these copies up to date, and deletes what is left of users who are gone. The triggers move the totals along.
pub(crate) async fn refresh_roles(conn: &mut Conn<'_>) -> Result<()> {
    let orphans =
        "DELETE FROM authfort_user_roles WHERE NOT EXISTS (SELECT 1 FROM authfort_users u WHERE u.id = user_id)";
    sql!(conn, execute, orphans).map_err(classify)?;
    if conn.has_row_locks() {
        // An update that waits for a change of the user would then write what the user was before.
        let mut lock =
            Statement::new("SELECT u.id FROM authfort_user_roles r JOIN authfort_users u ON u.id = r.user_id WHERE ");
        push_stale(&mut lock, conn);
        lock.push(" ORDER BY u.id FOR NO KEY UPDATE OF u");
        run!(&mut *conn, execute, lock).map_err(classify)?;
    }
    let mut statement = Statement::new(
        "UPDATE authfort_user_roles AS r SET user_created_at = u.created_at, user_deleted = u.deleted_at IS NOT NULL, \
         user_verified = u.email_verified, user_email_key = u.email_key, user_ban_day = ",
    );
    statement.push(conn.ban_day()).push(", user_name_asc = ").push(conn.name_key(true));
    statement
        .push(", user_name_desc = ")
        .push(conn.name_key(false))
        .push(" FROM authfort_users u WHERE u.id = r.user_id AND ");
    push_stale(&mut statement, conn);
    run!(conn, execute, statement).map_err(classify)?;
    Ok(())
}

/// Adds to each total what a recount has more, or less. One statement, so the two are of one snapshot: what others commit
/// meanwhile is in neither. On PostgreSQL it neither waits for writers nor blocks them.
pub(crate) async fn correct(conn: &mut Conn<'_>) -> Result<()> {
    let mut statement = compared(conn);
    statement.push(
        "INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n) \
         SELECT role, deleted, verified, ban_day, CAST(sum(counted) - sum(kept) AS bigint) FROM pair WHERE TRUE \
         GROUP BY role, deleted, verified, ban_day HAVING sum(kept) <> sum(counted)",
    );
    statement.push(conn.on_conflict_add());
    run!(conn, execute, statement).map_err(classify)?;
    Ok(())
}
