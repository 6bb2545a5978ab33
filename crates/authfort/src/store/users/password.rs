//! The password hash of a user.

use chrono::{DateTime, Utc};

use crate::db::{Conn, classify, row, sql};
use crate::{Result, UserId};

row! {
    #[derive(Debug)]
    pub(crate) struct Credentials {
        pub id: UserId,
        pub password_hash: Option<String>,
        pub banned: bool,
        pub ban_expires_at: Option<DateTime<Utc>>,
    }
}

/// Reads what a login needs of a user who is not anonymized.
pub(crate) async fn credentials(conn: &mut Conn<'_>, email_key: &str) -> Result<Option<Credentials>> {
    sql!(
        conn,
        fetch_optional,
        query_as::<_, Credentials>,
        "SELECT id, password_hash, banned, ban_expires_at FROM authfort_users
         WHERE email_key = $1 AND deleted_at IS NULL",
        email_key
    )
    .map_err(classify)
}

pub(crate) async fn password_hash(conn: &mut Conn<'_>, id: UserId) -> Result<Option<String>> {
    let found: Option<Option<String>> = sql!(
        conn,
        fetch_optional,
        query_scalar,
        "SELECT password_hash FROM authfort_users WHERE id = $1 AND deleted_at IS NULL",
        id
    )
    .map_err(classify)?;
    Ok(found.flatten())
}

pub(crate) async fn set_password_hash(conn: &mut Conn<'_>, id: UserId, hash: &str, now: DateTime<Utc>) -> Result<()> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_users SET password_hash = $2, updated_at = $3, version = version + 1 WHERE id = $1",
        id,
        hash,
        now
    )
    .map_err(classify)?;
    Ok(())
}

/// Removes the user's password.
pub(crate) async fn clear_password(conn: &mut Conn<'_>, id: UserId, now: DateTime<Utc>) -> Result<()> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_users SET password_hash = NULL, updated_at = $2, version = version + 1 WHERE id = $1",
        id,
        now
    )
    .map_err(classify)?;
    Ok(())
}

/// Stores a stronger hash of the same password, unless the hash was replaced in the meantime.
pub(crate) async fn rehash_password(conn: &mut Conn<'_>, id: UserId, old: &str, new: &str) -> Result<u64> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
        id,
        old,
        new
    )
    .map_err(classify)
}
