//! `authfort_user_roles`.

use chrono::{DateTime, Utc};

use crate::db::dynamic::{Statement, run};
use crate::db::{Conn, blocked, classify, sql};
use crate::{Result, UserId};

pub(crate) async fn add(conn: &mut Conn<'_>, id: UserId, role: &str, now: DateTime<Utc>) -> Result<u64> {
    sql!(
        conn,
        execute,
        "INSERT INTO authfort_user_roles (user_id, role, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        id,
        role,
        now
    )
    .map_err(classify)
}

pub(crate) async fn remove(conn: &mut Conn<'_>, id: UserId, role: &str) -> Result<u64> {
    sql!(conn, execute, "DELETE FROM authfort_user_roles WHERE user_id = $1 AND role = $2", id, role).map_err(classify)
}

pub(crate) async fn delete_all(conn: &mut Conn<'_>, id: UserId) -> Result<u64> {
    sql!(conn, execute, "DELETE FROM authfort_user_roles WHERE user_id = $1", id).map_err(blocked)
}

/// Returns the names of the roles that users have, sorted; each is a probe of the key.
pub(crate) async fn names(conn: &mut Conn<'_>, limit: i64) -> Result<Vec<String>> {
    let mut statement = Statement::new(
        "WITH RECURSIVE names (role) AS (
             SELECT min(role) FROM authfort_user_roles
             UNION ALL
             SELECT (SELECT min(r.role) FROM authfort_user_roles r WHERE r.role > n.role)
             FROM names n WHERE n.role IS NOT NULL)
         SELECT role FROM names WHERE role IS NOT NULL LIMIT ",
    );
    statement.number(limit);
    run!(conn, fetch_all, sqlx::query_scalar::<_, String>, statement).map_err(classify)
}

/// Returns whether the user holds the role and can use it: neither banned nor anonymized.
pub(crate) async fn is_usable_holder(conn: &mut Conn<'_>, id: UserId, role: &str, now: DateTime<Utc>) -> Result<bool> {
    sql!(
        conn,
        fetch_one,
        query_scalar::<_, bool>,
        "SELECT EXISTS (SELECT 1 FROM authfort_user_roles r JOIN authfort_users u ON u.id = r.user_id
             WHERE r.user_id = $1 AND r.role = $2 AND u.deleted_at IS NULL
               AND (NOT u.banned OR u.ban_expires_at <= $3))",
        id,
        role,
        now
    )
    .map_err(classify)
}

/// Returns whether another user holds the role and can use it.
pub(crate) async fn another_usable_holder(
    conn: &mut Conn<'_>,
    id: UserId,
    role: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    sql!(
        conn,
        fetch_one,
        query_scalar::<_, bool>,
        "SELECT EXISTS (SELECT 1 FROM authfort_user_roles r JOIN authfort_users u ON u.id = r.user_id
             WHERE r.user_id <> $1 AND r.role = $2 AND u.deleted_at IS NULL
               AND (NOT u.banned OR u.ban_expires_at <= $3))",
        id,
        role,
        now
    )
    .map_err(classify)
}
