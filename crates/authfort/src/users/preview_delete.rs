//! What a deletion would delete, and what prevents it.

use super::DeleteReceipt;
use crate::store::users::CountBelongings;
use crate::{AuthFort, Error, Result, UserId, store};

/// What [`AuthFort::delete_user`](crate::AuthFort::delete_user) would do at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeletePreview {
    /// The rows that would be deleted, per table.
    pub receipt: DeleteReceipt,
    /// Whether the user is the last usable administrator, who can be neither deleted nor anonymized.
    pub is_last_admin: bool,
    /// A table of the application that prevents the deletion: its rows refer to the user by a foreign key without an action
    /// `ON DELETE`. The user can still be anonymized. None if there is no such table, or if this role may not read it.
    pub blocked_by: Option<String>,
}

impl AuthFort {
    /// Counts what [`delete_user`](Self::delete_user) would delete at this moment, per table, and returns what would prevent it.
    /// Nothing is changed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let id = auth.create_user("jane@example.com").role("editor").await?.id;
    /// auth.create_session(id).await?;
    /// let preview = auth.preview_delete(id).await?;
    /// assert_eq!((preview.receipt.roles, preview.receipt.sessions), (1, 1));
    /// assert!(!preview.is_last_admin && preview.blocked_by.is_none());
    /// assert_eq!(auth.delete_user(id).await?, preview.receipt);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Error::UserNotFound`](crate::Error::UserNotFound); an anonymized user is found.
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable).
    pub async fn preview_delete(&self, id: UserId) -> Result<DeletePreview> {
        let user = self.get_user(id).deleted(true).await?;
        let found = self.core().db().on_read(&CountBelongings(id)).await?.ok_or(Error::UserNotFound)?;
        let count = |n: i64| n.unsigned_abs();
        let receipt = DeleteReceipt {
            roles: count(found.roles),
            refresh_tokens: count(found.refresh_tokens),
            sessions: count(found.sessions),
            oauth_accounts: count(found.oauth_accounts),
            verification_tokens: count(found.verification_tokens),
            users: 1,
        };
        let mut conn = self.core().db().read().await?;
        let mut conn = conn.conn();
        let role = self.admin_role();
        let is_last_admin = user.has_role(role)
            && !user.banned
            && !store::roles::another_usable_holder(&mut conn, id, role, self.now()).await?;
        let blocked_by = conn.blocking_table(id).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "looking for a table that refers to the user");
            None
        });
        Ok(DeletePreview { receipt, is_last_admin, blocked_by })
    }
}
