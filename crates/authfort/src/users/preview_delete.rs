//! What a deletion would delete.

use super::DeleteReceipt;
use crate::store::users::CountBelongings;
use crate::{AuthFort, Error, Result, UserId};

impl AuthFort {
    /// Counts what [`delete_user`](Self::delete_user) would delete at this moment, per table. Nothing is changed, and whether
    /// the deletion would be refused is not looked at.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let id = auth.create_user("jane@example.com").role("editor").await?.id;
    /// auth.create_session(id).await?;
    /// let preview = auth.preview_delete(id).await?;
    /// assert_eq!((preview.roles, preview.sessions, preview.refresh_tokens), (1, 1, 1));
    /// assert_eq!(auth.delete_user(id).await?, preview);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Error::UserNotFound`](crate::Error::UserNotFound); an anonymized user is found.
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable).
    pub async fn preview_delete(&self, id: UserId) -> Result<DeleteReceipt> {
        let found = self.core().db().on_read(&CountBelongings(id)).await?.ok_or(Error::UserNotFound)?;
        let count = |n: i64| n.unsigned_abs();
        Ok(DeleteReceipt {
            roles: count(found.roles),
            refresh_tokens: count(found.refresh_tokens),
            sessions: count(found.sessions),
            oauth_accounts: count(found.oauth_accounts),
            verification_tokens: count(found.verification_tokens),
            users: 1,
        })
    }
}
