//! The statements that change a row of `authfort_users`.

use chrono::{DateTime, Utc};

use super::Profile;
use crate::db::{Conn, Violation, blocked, classify, sql, violation};
use crate::model::validate::Keys;
use crate::{Error, Result, UserId};

pub(crate) struct NewUser<'a> {
    pub id: UserId,
    pub email: &'a str,
    pub email_verified: bool,
    pub name: Option<&'a str>,
    pub keys: &'a Keys,
    pub avatar_url: Option<&'a str>,
    pub phone: Option<&'a str>,
    pub password_hash: Option<&'a str>,
    pub metadata: &'a str,
    pub created_at: DateTime<Utc>,
    pub last_login_at: Option<DateTime<Utc>>,
}

pub(crate) async fn insert(conn: &mut Conn<'_>, user: NewUser<'_>) -> Result<()> {
    sql!(
        conn,
        execute,
        "INSERT INTO authfort_users (id, email, email_key, email_verified, name, name_key, search_key, avatar_url,
             phone, password_hash, metadata, created_at, updated_at, last_login_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13)",
        user.id,
        user.email,
        &user.keys.email,
        user.email_verified,
        user.name,
        &user.keys.name,
        &user.keys.search,
        user.avatar_url,
        user.phone,
        user.password_hash,
        user.metadata,
        user.created_at,
        user.last_login_at
    )
    .map_err(duplicate)?;
    Ok(())
}

fn duplicate(error: sqlx::Error) -> Error {
    match violation(&error) {
        Some(Violation::Unique(_)) => Error::UserExists,
        _ => classify(error),
    }
}

pub(crate) async fn update_profile(
    conn: &mut Conn<'_>,
    id: UserId,
    profile: &Profile,
    keys: &Keys,
    now: DateTime<Utc>,
) -> Result<()> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_users SET email = $2, email_key = $3, email_verified = $4, name = $5, name_key = $6,
             search_key = $7, avatar_url = $8, phone = $9, metadata = $10, updated_at = $11, version = version + 1
         WHERE id = $1",
        id,
        &profile.email,
        &keys.email,
        profile.email_verified,
        &profile.name,
        &keys.name,
        &keys.search,
        &profile.avatar_url,
        &profile.phone,
        &profile.metadata,
        now
    )
    .map_err(duplicate)?;
    Ok(())
}

/// Records a change that was made in another table.
pub(crate) async fn touch(conn: &mut Conn<'_>, id: UserId, now: DateTime<Utc>) -> Result<()> {
    sql!(conn, execute, "UPDATE authfort_users SET updated_at = $2, version = version + 1 WHERE id = $1", id, now)
        .map_err(classify)?;
    Ok(())
}

/// Invalidates every access token of the user.
pub(crate) async fn bump_token_version(conn: &mut Conn<'_>, id: UserId) -> Result<()> {
    sql!(conn, execute, "UPDATE authfort_users SET token_version = token_version + 1 WHERE id = $1", id)
        .map_err(classify)?;
    Ok(())
}

pub(crate) async fn set_email_verified(conn: &mut Conn<'_>, id: UserId, now: DateTime<Utc>) -> Result<()> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_users SET email_verified = TRUE, updated_at = $2, version = version + 1 WHERE id = $1",
        id,
        now
    )
    .map_err(classify)?;
    Ok(())
}

pub(crate) async fn set_last_login(conn: &mut Conn<'_>, id: UserId, now: DateTime<Utc>) -> Result<()> {
    sql!(conn, execute, "UPDATE authfort_users SET last_login_at = $2 WHERE id = $1", id, now).map_err(classify)?;
    Ok(())
}

pub(crate) async fn ban(
    conn: &mut Conn<'_>,
    id: UserId,
    reason: Option<&str>,
    expires_at: Option<DateTime<Utc>>,
    by: Option<UserId>,
    now: DateTime<Utc>,
) -> Result<()> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_users SET banned = TRUE, banned_at = $2, banned_by = $3, ban_reason = $4, ban_expires_at = $5,
             updated_at = $2, version = version + 1 WHERE id = $1",
        id,
        now,
        by,
        reason,
        expires_at
    )
    .map_err(classify)?;
    Ok(())
}

pub(crate) async fn unban(conn: &mut Conn<'_>, id: UserId, now: DateTime<Utc>) -> Result<()> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_users SET banned = FALSE, banned_at = NULL, banned_by = NULL, ban_reason = NULL,
             ban_expires_at = NULL, updated_at = $2, version = version + 1 WHERE id = $1",
        id,
        now
    )
    .map_err(classify)?;
    Ok(())
}

pub(crate) async fn delete(conn: &mut Conn<'_>, id: UserId) -> Result<u64> {
    sql!(conn, execute, "DELETE FROM authfort_users WHERE id = $1", id).map_err(blocked)
}

/// Clears `banned_by` of the users that this user banned: only the event log may name a deleted user.
pub(crate) async fn forget_as_banner(conn: &mut Conn<'_>, id: UserId) -> Result<u64> {
    sql!(conn, execute, "UPDATE authfort_users SET banned_by = NULL WHERE banned_by = $1", id).map_err(classify)
}

/// Replaces the user's data with what every anonymized user shows.
pub(crate) async fn anonymize(
    conn: &mut Conn<'_>,
    id: UserId,
    email: &str,
    name: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    let keys = Keys::of(email, Some(name));
    sql!(
        conn,
        execute,
        "UPDATE authfort_users SET email = $2, email_key = $3, email_verified = FALSE, name = $4, name_key = $5,
             search_key = $6, avatar_url = NULL, phone = NULL, password_hash = NULL, banned = FALSE, banned_at = NULL,
             banned_by = NULL, ban_reason = NULL, ban_expires_at = NULL, metadata = '{}', last_login_at = NULL,
             deleted_at = $7, updated_at = $7, version = version + 1, token_version = token_version + 1
         WHERE id = $1",
        id,
        email,
        &keys.email,
        name,
        &keys.name,
        &keys.search,
        now
    )
    .map_err(classify)?;
    Ok(())
}
