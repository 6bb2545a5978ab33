//! Which rows match a filter, apart from its search term.

use chrono::{DateTime, Utc};

use super::order::Rows;
use crate::db::dynamic::Statement;
use crate::model::filter::{DeletedFilter, UserFilter};

/// Which conditions are written so that no planner can use an index for them: it would read and sort all rows that match,
/// for one page of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hidden {
    pub(super) verified: bool,
    pub(super) after: bool,
    pub(super) before: bool,
}

impl Hidden {
    pub(super) fn all() -> Self {
        Self { verified: true, after: true, before: true }
    }
}

/// Appends `WHERE …`. The first condition is always there, so each other one begins with AND.
pub(super) fn push(to: &mut Statement, rows: Rows<'_>, filter: &UserFilter, hidden: Hidden, now: DateTime<Utc>) {
    match rows {
        Rows::Users => of_users(to, filter, hidden, now),
        Rows::Holders(role) => of_holders(to, role, filter, now),
    }
    let (open, covered) = match rows {
        Rows::Users => ("u.created_at", "coalesce(u.created_at, u.created_at)"),
        Rows::Holders(_) => ("r.user_created_at", "coalesce(r.user_created_at, r.user_created_at)"),
    };
    if let Some(time) = filter.created_after {
        to.push(" AND ").push(if hidden.after { covered } else { open }).push(" >= ").hide(time);
    }
    if let Some(time) = filter.created_before {
        to.push(" AND ").push(if hidden.before { covered } else { open }).push(" < ").hide(time);
    }
    push_last_login(to, rows, filter);
}

/// Appends the conditions on the day of the last sign-in. A role's row does not have it, since every day would change most of
/// these rows.
fn push_last_login(to: &mut Statement, rows: Rows<'_>, filter: &UserFilter) {
    let (day, end) = match rows {
        Rows::Users => (" AND coalesce(u.last_login_day", ", FALSE)"),
        Rows::Holders(_) => {
            (" AND coalesce((SELECT b.last_login_day", " FROM authfort_users b WHERE b.id = r.user_id), FALSE)")
        }
    };
    if let Some(signed_in) = filter.signed_in {
        to.push(day).push(if signed_in { " IS NOT NULL" } else { " IS NULL" }).push(end);
    }
    if let Some(from) = filter.last_login_after {
        to.push(day).push(" >= ").hide(from).push(end);
    }
    if let Some(before) = filter.last_login_before {
        to.push(day).push(" < ").hide(before).push(end);
    }
}

fn of_users(to: &mut Statement, filter: &UserFilter, hidden: Hidden, now: DateTime<Utc>) {
    to.push(match filter.deleted {
        // Without statistics, PostgreSQL takes a bare IS NULL for a rare thing.
        DeletedFilter::Without => " WHERE coalesce(u.deleted_at IS NULL, FALSE)",
        DeletedFilter::With => " WHERE TRUE",
        DeletedFilter::Only => " WHERE u.deleted_at IS NOT NULL",
    });
    match filter.banned {
        Some(true) => {
            to.push(" AND u.banned AND (u.ban_expires_at IS NULL OR u.ban_expires_at > ").hide(now).push(")");
        }
        Some(false) => {
            to.push(" AND (NOT u.banned OR u.ban_expires_at <= ").hide(now).push(")");
        }
        None => {}
    }
    match filter.email_verified {
        Some(verified) if !hidden.verified => {
            to.push(if verified { " AND u.email_verified = TRUE" } else { " AND u.email_verified = FALSE" });
        }
        _ => push_verified(to, filter, "u.email_verified"),
    }
}

/// A role's row knows the day on which its user's ban ends, `''` without a ban; on that day, the user's row knows more.
fn of_holders(to: &mut Statement, role: &str, filter: &UserFilter, now: DateTime<Utc>) {
    to.push(" WHERE r.role = ").hide(role);
    to.push(match filter.deleted {
        DeletedFilter::Without => " AND r.user_deleted = FALSE",
        DeletedFilter::With => "",
        DeletedFilter::Only => " AND r.user_deleted",
    });
    let today = now.date_naive().to_string();
    match filter.banned {
        Some(true) => {
            to.push(" AND r.user_ban_day <> '' AND (r.user_ban_day > ").hide(today.as_str());
            to.push(" OR r.user_ban_day = ").hide(today).push(" AND ");
            push_banned_later(to, now);
            to.push(")");
        }
        Some(false) => {
            to.push(" AND (r.user_ban_day < ").hide(today.as_str());
            to.push(" OR r.user_ban_day = ").hide(today).push(" AND NOT ");
            push_banned_later(to, now);
            to.push(")");
        }
        None => {}
    }
    push_verified(to, filter, "r.user_verified");
}

/// Appends the condition on this column, so that no planner uses an index for it, or takes its matches for few enough to be
/// sorted.
pub(in super::super) fn push_verified(to: &mut Statement, filter: &UserFilter, column: &'static str) {
    if let Some(verified) = filter.email_verified {
        to.push(" AND coalesce(").push(column).push(if verified { ", FALSE) = TRUE" } else { ", FALSE) = FALSE" });
    }
}

/// Appends the condition that this user has one of the roles, if there are any. A number, and not EXISTS, of which a planner
/// may make a join with all who have the role.
pub(in super::super) fn push_roles(to: &mut Statement, filter: &UserFilter, id: &'static str) {
    if let Some((first, others)) = filter.roles.split_first() {
        to.push(" AND (SELECT count(*) FROM authfort_user_roles r WHERE r.user_id = ").push(id);
        to.push(" AND r.role IN (").hide(first.as_str());
        for role in others {
            to.push(", ").hide(role.as_str());
        }
        to.push(")) > 0");
    }
}

/// A subquery that gives a value is run for the row at hand; of `EXISTS`, a planner may make a table of all users.
fn push_banned_later(to: &mut Statement, now: DateTime<Utc>) {
    to.push("coalesce((SELECT b.ban_expires_at > ").hide(now);
    to.push(" FROM authfort_users b WHERE b.id = r.user_id), FALSE)");
}
