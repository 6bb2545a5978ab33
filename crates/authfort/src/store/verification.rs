//! `authfort_verification_tokens`.

use chrono::{DateTime, Utc};

use crate::db::{Conn, blocked, classify, row, sql};
use crate::{Result, UserId};

row! {
    #[derive(Debug, Clone)]
    pub(crate) struct VerificationRow {
        pub user_id: UserId,
        pub email: String,
        pub expires_at: DateTime<Utc>,
        pub used_at: Option<DateTime<Utc>>,
    }
}

pub(crate) async fn find(conn: &mut Conn<'_>, hash: &[u8; 32], purpose: &str) -> Result<Option<VerificationRow>> {
    sql!(
        conn,
        fetch_optional,
        query_as::<_, VerificationRow>,
        "SELECT user_id, email, expires_at, used_at FROM authfort_verification_tokens
         WHERE token_hash = $1 AND purpose = $2",
        hash.as_slice(),
        purpose
    )
    .map_err(classify)
}

pub(crate) async fn insert(
    conn: &mut Conn<'_>,
    hash: &[u8; 32],
    user: UserId,
    purpose: &str,
    email: &str,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<()> {
    sql!(
        conn,
        execute,
        "INSERT INTO authfort_verification_tokens (token_hash, user_id, purpose, email, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        hash.as_slice(),
        user,
        purpose,
        email,
        now,
        expires_at
    )
    .map_err(classify)?;
    Ok(())
}

/// Marks the token as used: returns 1 for the first caller, 0 for every later one.
pub(crate) async fn spend(conn: &mut Conn<'_>, hash: &[u8; 32], now: DateTime<Utc>) -> Result<u64> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_verification_tokens SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL",
        hash.as_slice(),
        now
    )
    .map_err(classify)
}

/// Deletes the user's tokens of one purpose, used or not.
pub(crate) async fn void(conn: &mut Conn<'_>, user: UserId, purpose: &str) -> Result<u64> {
    sql!(conn, execute, "DELETE FROM authfort_verification_tokens WHERE user_id = $1 AND purpose = $2", user, purpose)
        .map_err(classify)
}

pub(crate) async fn delete_all(conn: &mut Conn<'_>, user: UserId) -> Result<u64> {
    sql!(conn, execute, "DELETE FROM authfort_verification_tokens WHERE user_id = $1", user).map_err(blocked)
}
