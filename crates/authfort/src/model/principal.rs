//! An authenticated caller.

use chrono::{DateTime, Utc};

use crate::{SessionId, UserId};

/// An authenticated caller.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// use authfort::secrecy::ExposeSecret;
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// let id = auth.create_user("jane@example.com").role("editor").await?.id;
/// let signed_in = auth.create_session(id).await?;
/// let principal = auth.authenticate(signed_in.tokens.access_token.expose_secret()).await?;
/// assert!(principal.has_role("editor"));
///
/// auth.ban_user(id).await?;
/// let error = auth.authenticate(signed_in.tokens.access_token.expose_secret()).await.unwrap_err();
/// assert_eq!(error.code(), "user_banned");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Principal {
    /// The user.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// The address, as it is now.
    pub email: String,
    /// The name, as it is now.
    pub name: Option<String>,
    /// The roles, as they are now, sorted.
    pub roles: Vec<String>,
    /// When the access token expires.
    pub expires_at: DateTime<Utc>,
    /// The user's token version, as in the access token.
    pub(crate) token_version: i64,
}

impl Principal {
    /// Returns whether the caller has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role)
    }

    /// Returns whether the caller has any of these roles; false for an empty list.
    pub fn has_any_role(&self, roles: &[&str]) -> bool {
        roles.iter().any(|role| self.has_role(role))
    }

    /// Returns whether the caller has all of these roles.
    pub fn has_all_roles(&self, roles: &[&str]) -> bool {
        roles.iter().all(|role| self.has_role(role))
    }
}
