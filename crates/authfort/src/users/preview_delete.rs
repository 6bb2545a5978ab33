//! What a deletion would delete, and what prevents it.

use super::DeleteReceipt;
use crate::store::users::CountBelongings;
use crate::{AuthFort, Error, Result, UserId};

/// What [`AuthFort::delete_user`](crate::AuthFort::delete_user) would do at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeletePreview {
    /// The rows that would be deleted, per table.
    pub receipt: DeleteReceipt,
    /// Whether the user is the last usable administrator, who can be neither deleted nor anonymized.
    pub is_last_admin: bool,
    /// A table of the application that would probably prevent the deletion: its rows refer to the user, or to a row that goes with
    /// the user, by a foreign key without an action `ON DELETE`. It is an estimate; the database decides. Mostly the user can still
    /// be anonymized.
    pub blocked_by: Option<String>,
    /// Whether all tables were looked at. Not if this role may not read one of them, or if one is locked or takes longer than two
    /// seconds on PostgreSQL; `blocked_by` is none then.
    pub is_complete: bool,
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
    /// assert!(!preview.is_last_admin && preview.is_complete && preview.blocked_by.is_none());
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
        let is_last_admin = self.is_last_admin(&user).await?;
        let looked = self.core().db().find_blocking_table(id).await;
        if let Err(error) = &looked {
            tracing::warn!(?error, "whether a table of the application refers to the user was not found out");
        }
        let (is_complete, blocked_by) = (looked.is_ok(), looked.ok().flatten());
        Ok(DeletePreview { receipt, is_last_admin, blocked_by, is_complete })
    }
}
