//! `authfort_user_roles`.

use chrono::{DateTime, Utc};

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
