//! `authfort_blocked_emails`

use chrono::{DateTime, Utc};

use crate::db::{Conn, classify, sql};
use crate::{Result, crypto};

/// The hash that is stored of a blocked address.
fn email_hash(email_key: &str) -> [u8; 32] {
    crypto::sha256(email_key.as_bytes())
}

pub(crate) async fn email_is_blocked(conn: &mut Conn<'_>, email_key: &str) -> Result<bool> {
    let found: Option<i64> = sql!(
        conn,
        fetch_optional,
        query_scalar,
        "SELECT CAST(1 AS bigint) FROM authfort_blocked_emails WHERE email_hash = $1",
        email_hash(email_key).as_slice()
    )
    .map_err(classify)?;
    Ok(found.is_some())
}

pub(crate) async fn block_email(conn: &mut Conn<'_>, email_key: &str, now: DateTime<Utc>) -> Result<()> {
    sql!(
        conn,
        execute,
        "INSERT INTO authfort_blocked_emails (email_hash, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        email_hash(email_key).as_slice(),
        now
    )
    .map_err(classify)?;
    Ok(())
}

pub(crate) async fn unblock_email(conn: &mut Conn<'_>, email_key: &str) -> Result<u64> {
    sql!(conn, execute, "DELETE FROM authfort_blocked_emails WHERE email_hash = $1", email_hash(email_key).as_slice())
        .map_err(classify)
}
