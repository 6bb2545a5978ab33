//! `authfort_users` and `authfort_blocked_emails`.

pub(crate) mod list;

use chrono::{DateTime, Utc};

use crate::db::{Conn, Violation, blocked, classify, row, sql, violation};
use crate::model::cursor::SortKey;
use crate::model::filter::SortBy;
use crate::model::standing::ban_lasts;
use crate::model::user::User;
use crate::model::validate::Keys;
use crate::{Error, Result, UserId, crypto};

/// The columns of [`UserRow`], for `FROM authfort_users u`. The roles come along.
macro_rules! columns {
    () => {
        "u.id, u.email, u.email_key, u.email_verified, u.name, u.name_key, u.avatar_url, u.phone, u.password_hash IS NOT NULL AS \
         has_password, u.token_version, u.version, u.banned, u.banned_at, u.banned_by, u.ban_reason, u.ban_expires_at, \
         u.metadata, u.created_at, u.updated_at, u.last_login_at, u.deleted_at, \
         (SELECT string_agg(r.role, ',') FROM authfort_user_roles r WHERE r.user_id = u.id) AS roles"
    };
}
pub(crate) use columns;

row! {
    #[derive(Debug, Clone)]
    pub(crate) struct UserRow {
        pub id: UserId,
        pub email: String,
        pub email_key: String,
        pub email_verified: bool,
        pub name: Option<String>,
        pub name_key: Option<String>,
        pub avatar_url: Option<String>,
        pub phone: Option<String>,
        pub has_password: bool,
        pub token_version: i64,
        pub version: i64,
        pub banned: bool,
        pub banned_at: Option<DateTime<Utc>>,
        pub banned_by: Option<UserId>,
        pub ban_reason: Option<String>,
        pub ban_expires_at: Option<DateTime<Utc>>,
        pub metadata: String,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
        pub last_login_at: Option<DateTime<Utc>>,
        pub deleted_at: Option<DateTime<Utc>>,
        pub roles: Option<String>,
    }
}

impl UserRow {
    pub(crate) fn is_banned(&self, now: DateTime<Utc>) -> bool {
        ban_lasts(self.banned, self.ban_expires_at, now)
    }

    pub(crate) fn role_list(&self) -> Vec<String> {
        role_list(self.roles.as_deref())
    }

    /// By what an order sorts this row.
    pub(crate) fn sort_key(&self, sort_by: SortBy) -> SortKey {
        match sort_by {
            SortBy::CreatedAt => SortKey::Time(self.created_at),
            SortBy::Email => SortKey::Text(self.email_key.clone()),
            SortBy::Name => self.name_key.clone().map_or(SortKey::Missing, SortKey::Text),
        }
    }

    /// The user as the library gives it out, at this time.
    pub(crate) fn into_user(self, now: DateTime<Utc>) -> Result<User> {
        let banned = self.is_banned(now);
        Ok(User {
            id: self.id,
            roles: self.role_list(),
            email: self.email,
            email_verified: self.email_verified,
            name: self.name,
            avatar_url: self.avatar_url,
            phone: self.phone,
            banned,
            ban_reason: self.ban_reason.filter(|_| banned),
            ban_expires_at: self.ban_expires_at.filter(|_| banned),
            metadata: serde_json::from_str(&self.metadata).map_err(Error::internal)?,
            created_at: self.created_at,
            updated_at: self.updated_at,
            last_login_at: self.last_login_at,
            is_deleted: self.deleted_at.is_some(),
            deleted_at: self.deleted_at,
            version: self.version,
            banned_at: self.banned_at.filter(|_| banned),
            banned_by: self.banned_by.filter(|_| banned),
        })
    }
}

/// Roles as a statement puts them together, sorted. A role's name holds no comma.
pub(super) fn role_list(joined: Option<&str>) -> Vec<String> {
    let mut roles: Vec<String> = joined.into_iter().flat_map(|all| all.split(',')).map(ToOwned::to_owned).collect();
    roles.sort();
    roles
}

/// What a user's owner and an administrator can edit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Profile {
    pub email: String,
    pub email_verified: bool,
    pub name: Option<String>,
    pub avatar_url: Option<String>,
    pub phone: Option<String>,
    pub metadata: String,
}

impl Profile {
    pub(crate) fn of(row: &UserRow) -> Self {
        Self {
            email: row.email.clone(),
            email_verified: row.email_verified,
            name: row.name.clone(),
            avatar_url: row.avatar_url.clone(),
            phone: row.phone.clone(),
            metadata: row.metadata.clone(),
        }
    }

    /// The names of the fields that differ.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        [
            ("email", self.email != other.email),
            ("email_verified", self.email_verified != other.email_verified),
            ("name", self.name != other.name),
            ("avatar_url", self.avatar_url != other.avatar_url),
            ("phone", self.phone != other.phone),
            ("metadata", self.metadata != other.metadata),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
    }
}

pub(crate) async fn by_id(conn: &mut Conn<'_>, id: UserId) -> Result<Option<UserRow>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM authfort_users u WHERE u.id = $1");
    sql!(conn, fetch_optional, query_as::<_, UserRow>, SQL, id).map_err(classify)
}

/// The user as the library gives it out.
pub(crate) async fn read(conn: &mut Conn<'_>, id: UserId, now: DateTime<Utc>) -> Result<User> {
    by_id(conn, id).await?.ok_or(Error::UserNotFound)?.into_user(now)
}

pub(crate) async fn by_email_key(conn: &mut Conn<'_>, key: &str) -> Result<Option<UserRow>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM authfort_users u WHERE u.email_key = $1");
    sql!(conn, fetch_optional, query_as::<_, UserRow>, SQL, key).map_err(classify)
}

/// Locks the user's row until the transaction ends. What is read afterwards, by a statement of its own, is as new as the
/// lock: a statement that waited for it would read other tables as they were before.
pub(crate) async fn lock(conn: &mut Conn<'_>, id: UserId) -> Result<()> {
    if conn.has_row_locks() {
        sql!(conn, execute, "SELECT 1 FROM authfort_users WHERE id = $1 FOR UPDATE", id).map_err(classify)?;
    }
    Ok(())
}

/// Keeps the user's row as it is until the transaction ends; others may do so at the same time.
pub(crate) async fn keep(conn: &mut Conn<'_>, id: UserId) -> Result<()> {
    if conn.has_row_locks() {
        sql!(conn, execute, "SELECT 1 FROM authfort_users WHERE id = $1 FOR SHARE", id).map_err(classify)?;
    }
    Ok(())
}

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

/// Marks a change that sits in another table.
pub(crate) async fn touch(conn: &mut Conn<'_>, id: UserId, now: DateTime<Utc>) -> Result<()> {
    sql!(conn, execute, "UPDATE authfort_users SET updated_at = $2, version = version + 1 WHERE id = $1", id, now)
        .map_err(classify)?;
    Ok(())
}

/// Makes every access token of the user worthless.
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

/// Forgets who banned others, where that was this user: nothing but the log names somebody who is gone.
pub(crate) async fn forget_as_banner(conn: &mut Conn<'_>, id: UserId) -> Result<u64> {
    sql!(conn, execute, "UPDATE authfort_users SET banned_by = NULL WHERE banned_by = $1", id).map_err(classify)
}

/// Leaves of the person only what is shown of everybody who was anonymised.
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

row! {
    #[derive(Debug)]
    pub(crate) struct Credentials {
        pub id: UserId,
        pub password_hash: Option<String>,
        pub banned: bool,
        pub ban_expires_at: Option<DateTime<Utc>>,
    }
}

/// What a login needs to know of a user who is not anonymised.
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

/// Leaves the user without a password.
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

/// Keeps the same password under a stronger hash; only where nobody replaced it in the meantime.
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

/// What is kept of a blocked address.
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
