//! `authfort_users` and `authfort_blocked_emails`.

mod belongings;
mod blocked_email;
pub(crate) mod list;
mod password;
pub(crate) mod totals;
mod write;

use chrono::{DateTime, Utc};

use crate::db::{Conn, classify, row, sql};
use crate::model::cursor::SortKey;
use crate::model::filter::SortBy;
use crate::model::standing::ban_lasts;
use crate::model::user::User;
use crate::{Error, Result, UserId};
pub(crate) use belongings::CountBelongings;
pub(crate) use blocked_email::{block_email, email_is_blocked, unblock_email};
pub(crate) use password::{clear_password, credentials, password_hash, rehash_password, set_password_hash};
pub(crate) use write::{
    NewUser, anonymize, ban, bump_token_version, delete, forget_as_banner, insert, set_email_verified, set_last_login,
    touch, unban, update_profile,
};

/// The columns of [`UserRow`], for `FROM authfort_users u`, including the roles.
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

    /// Returns the key by which an order sorts this row.
    pub(crate) fn sort_key(&self, sort_by: SortBy) -> SortKey {
        match sort_by {
            SortBy::CreatedAt => SortKey::Time(self.created_at),
            SortBy::Email => SortKey::Text(self.email_key.clone()),
            SortBy::Name => self.name_key.clone().map_or(SortKey::Missing, SortKey::Text),
        }
    }

    /// Converts the row to the public user, at this time.
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

/// Splits and sorts the roles that a statement joined. A role's name contains no comma.
pub(super) fn role_list(joined: Option<&str>) -> Vec<String> {
    let mut roles: Vec<String> = joined.into_iter().flat_map(|all| all.split(',')).map(ToOwned::to_owned).collect();
    roles.sort();
    roles
}

/// The fields that a user and an administrator can edit.
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

    /// Returns the names of the fields that differ.
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
    // The value is hidden from planners: see `Statement::hide`.
    const SQL: &str = concat!("SELECT ", columns!(), " FROM authfort_users u WHERE u.id = (SELECT $1)");
    sql!(conn, fetch_optional, query_as::<_, UserRow>, SQL, id).map_err(classify)
}

/// Reads the user in its public form.
pub(crate) async fn read(conn: &mut Conn<'_>, id: UserId, now: DateTime<Utc>) -> Result<User> {
    by_id(conn, id).await?.ok_or(Error::UserNotFound)?.into_user(now)
}

pub(crate) async fn by_email_key(conn: &mut Conn<'_>, key: &str) -> Result<Option<UserRow>> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM authfort_users u WHERE u.email_key = $1");
    sql!(conn, fetch_optional, query_as::<_, UserRow>, SQL, key).map_err(classify)
}

/// Locks the user's row until the transaction ends. Read the row afterwards, with another statement: a statement that
/// waits for the lock itself would see other tables as they were before the wait.
pub(crate) async fn lock(conn: &mut Conn<'_>, id: UserId) -> Result<()> {
    if conn.has_row_locks() {
        sql!(conn, execute, "SELECT 1 FROM authfort_users WHERE id = $1 FOR UPDATE", id).map_err(classify)?;
    }
    Ok(())
}

/// Locks the user's row against changes until the transaction ends; other transactions may do so at the same time.
pub(crate) async fn keep(conn: &mut Conn<'_>, id: UserId) -> Result<()> {
    if conn.has_row_locks() {
        sql!(conn, execute, "SELECT 1 FROM authfort_users WHERE id = $1 FOR SHARE", id).map_err(classify)?;
    }
    Ok(())
}
