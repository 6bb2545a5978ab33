//! Users: what one is, and what can be done to one.

mod ban;
mod create;
mod delete;
mod get;
pub(crate) mod list;
mod proof;
mod update;
pub(crate) mod validate;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

pub use ban::{BanUser, UnbanUser};
pub use create::CreateUser;
pub(crate) use create::insert_user;
pub(crate) use delete::UnblockEmail;
pub use delete::{DeleteReceipt, DeleteUser};
pub use get::{FindUser, GetUser};
pub use list::{CountUsers, DeletedFilter, ListUsers, SortBy, SortOrder, Total, UserFilter, UserPage};
pub(crate) use proof::{prove_email, proven_by_another};
pub use update::UpdateUser;
pub use validate::{check_email, email_key, normalise_email};

use crate::db::Conn;
use crate::store::users::UserRow;
use crate::work::Work;
use crate::{Error, Result, UserId, store};

/// A user, as the library gives it out. It holds no password hash and no token version.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// let id = auth.create_user("jane@example.com").role("editor").await?.id;
/// let user = auth.get_user(id).await?;
/// assert_eq!(user.email, "jane@example.com");
/// assert_eq!(user.roles, ["editor"]);
/// assert!(!user.email_verified);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct User {
    /// The user, for ever.
    pub id: UserId,
    /// The address, trimmed, NFKC-normalised and lower-cased: to show, and to send mail to. To compare addresses, compare
    /// their [`email_key`].
    pub email: String,
    /// Whether the address is known to be the user's.
    pub email_verified: bool,
    /// The name.
    pub name: Option<String>,
    /// Where a picture is.
    pub avatar_url: Option<String>,
    /// A phone number.
    pub phone: Option<String>,
    /// Whether the user is banned now. A ban that has run out counts as none.
    pub banned: bool,
    /// Why, while the ban lasts.
    pub ban_reason: Option<String>,
    /// Until when, while the ban lasts; none where it has no end.
    pub ban_expires_at: Option<DateTime<Utc>>,
    /// The roles, sorted.
    pub roles: Vec<String>,
    /// What the application keeps about the user.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::HashMap<String, Value>))]
    pub metadata: Map<String, Value>,
    /// When the user was created.
    pub created_at: DateTime<Utc>,
    /// When the user last changed; signing in does not count.
    pub updated_at: DateTime<Utc>,
    /// When the user last signed in.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Whether the user was anonymised.
    pub is_deleted: bool,
    /// When.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Counts the changes of what can be edited; the `ETag` of the HTTP interface.
    #[serde(skip)]
    pub version: i64,
    /// When the ban was set, while it lasts.
    #[serde(skip)]
    pub banned_at: Option<DateTime<Utc>>,
    /// Who set the ban, while it lasts; none where nobody was signed in.
    #[serde(skip)]
    pub banned_by: Option<UserId>,
}

impl User {
    /// Whether the user has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role)
    }

    pub(crate) fn from_row(row: UserRow, now: DateTime<Utc>) -> Result<Self> {
        let banned = row.is_banned(now);
        let metadata = serde_json::from_str(&row.metadata).map_err(Error::internal)?;
        Ok(Self {
            id: row.id,
            roles: row.role_list(),
            email: row.email,
            email_verified: row.email_verified,
            name: row.name,
            avatar_url: row.avatar_url,
            phone: row.phone,
            banned,
            ban_reason: row.ban_reason.filter(|_| banned),
            ban_expires_at: row.ban_expires_at.filter(|_| banned),
            metadata,
            created_at: row.created_at,
            updated_at: row.updated_at,
            last_login_at: row.last_login_at,
            is_deleted: row.deleted_at.is_some(),
            deleted_at: row.deleted_at,
            version: row.version,
            banned_at: row.banned_at.filter(|_| banned),
            banned_by: row.banned_by.filter(|_| banned),
        })
    }
}

impl Work<'_> {
    /// The user's row, locked until the transaction ends, at the version that the caller demands. An anonymised user is
    /// not found.
    pub(crate) async fn lock_user(&mut self, id: UserId) -> Result<UserRow> {
        self.lock_row(id).await?;
        let row = store::users::by_id(&mut self.conn, id).await?;
        at_version(row.filter(|row| row.deleted_at.is_none()), self.if_version)
    }

    /// The same, also of an anonymised user.
    pub(crate) async fn lock_any_user(&mut self, id: UserId) -> Result<UserRow> {
        self.lock_row(id).await?;
        at_version(store::users::by_id(&mut self.conn, id).await?, self.if_version)
    }

    /// The user as it is after the changes of this transaction.
    pub(crate) async fn read_user(&mut self, id: UserId) -> Result<User> {
        read(&mut self.conn, id, self.now).await
    }

    /// Makes changes to administrators wait for each other until the commit.
    pub(crate) async fn lock_admins(&mut self) -> Result<()> {
        self.conn.lock_admins().await?;
        self.locked();
        Ok(())
    }

    /// The rule where `target`, which is locked, may lose its standing as an administrator: one usable administrator
    /// remains.
    pub(crate) async fn protect_admins(&mut self, target: &UserRow) -> Result<()> {
        let admin = self.auth.config().admin_role.as_str();
        if !target.role_list().iter().any(|role| role == admin) {
            return Ok(());
        }
        self.lock_admins().await?;
        if target.is_banned(self.now) {
            return Ok(());
        }
        let admin = admin.to_owned();
        if store::roles::another_usable_holder(&mut self.conn, target.id, &admin, self.now).await? {
            Ok(())
        } else {
            Err(Error::LastAdmin)
        }
    }
}

/// A user who is there, and at the version that the caller demands.
pub(crate) fn at_version(row: Option<UserRow>, if_version: Option<i64>) -> Result<UserRow> {
    let row = row.ok_or(Error::UserNotFound)?;
    match if_version {
        Some(version) if version != row.version => Err(Error::PreconditionFailed),
        _ => Ok(row),
    }
}

pub(crate) async fn read(conn: &mut Conn<'_>, id: UserId, now: DateTime<Utc>) -> Result<User> {
    let row = store::users::by_id(conn, id).await?.ok_or(Error::UserNotFound)?;
    User::from_row(row, now)
}
