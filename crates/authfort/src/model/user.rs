//! A user.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::UserId;

/// A user, as the library returns it. It holds no password hash and no token version.
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
    /// The id of the user. It never changes.
    pub id: UserId,
    /// The address, trimmed, NFKC-normalized and lower-cased, for display and for sending mail. To compare addresses,
    /// compare their [`email_key`](crate::email_key).
    pub email: String,
    /// Whether the address is known to be the user's.
    pub email_verified: bool,
    /// The name.
    pub name: Option<String>,
    /// The URL of a picture.
    pub avatar_url: Option<String>,
    /// A phone number.
    pub phone: Option<String>,
    /// Whether the user is banned now. An expired ban does not count.
    pub banned: bool,
    /// The reason for the ban, while it lasts.
    pub ban_reason: Option<String>,
    /// When the ban expires, while it lasts; none for a ban without end.
    pub ban_expires_at: Option<DateTime<Utc>>,
    /// The roles, sorted.
    pub roles: Vec<String>,
    /// The application's data about the user.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::HashMap<String, Value>))]
    pub metadata: Map<String, Value>,
    /// When the user was created.
    pub created_at: DateTime<Utc>,
    /// When the user last changed; signing in does not count.
    pub updated_at: DateTime<Utc>,
    /// When the user last signed in.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Whether the user was anonymized.
    pub is_deleted: bool,
    /// When the user was anonymized.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Counts the changes of editable data; the `ETag` of the HTTP interface.
    #[serde(skip)]
    pub version: i64,
    /// When the ban was set, while it lasts.
    #[serde(skip)]
    pub banned_at: Option<DateTime<Utc>>,
    /// Who set the ban, while it lasts; none if the caller was not signed in.
    #[serde(skip)]
    pub banned_by: Option<UserId>,
}

impl User {
    /// Returns whether the user has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role)
    }
}
