//! Deleting a user with all that hangs on it, or erasing the person and keeping the row.
//!
//! Deleted in this order, in one transaction: roles, refresh tokens and sessions, OAuth accounts, verification tokens,
//! the user row. Every foreign key cascades as well.

use serde::Serialize;

use super::validate::erased_email;
use crate::events::{DeleteMode, UserDeleted};
use crate::work::{Joinable, Operation, Verdict, Work, Write};
use crate::{Error, Result, UserId, crypto, store};

/// Deletes a user; made by [`AuthFort::delete_user`](crate::AuthFort::delete_user).
///
/// Its options are methods of `Write<DeleteUser>`: see [`Write`](crate::Write).
#[derive(Clone)]
pub struct DeleteUser {
    pub(crate) id: UserId,
    pub(crate) mode: DeleteMode,
    pub(crate) block_email: bool,
}

/// What went, in rows per table.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// let id = auth.create_user("jane@example.com").role("editor").await?.id;
/// let receipt = auth.delete_user(id).await?;
/// assert_eq!((receipt.users, receipt.roles, receipt.sessions), (1, 1, 0));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeleteReceipt {
    /// Rows of roles.
    pub roles: u64,
    /// Refresh tokens.
    pub refresh_tokens: u64,
    /// Sessions.
    pub sessions: u64,
    /// Accounts at OAuth providers.
    pub oauth_accounts: u64,
    /// Verification tokens.
    pub verification_tokens: u64,
    /// The user row: 1, or 0 where it was anonymised.
    pub users: u64,
}

impl Write<DeleteUser> {
    /// Keeps row and id, for what refers to them, and removes the person: address, name, picture, phone, metadata,
    /// password, roles, sessions, accounts and tokens. It cannot be undone.
    pub fn anonymize(mut self) -> Self {
        self.op.mode = DeleteMode::Anonymize;
        self
    }

    /// Keeps the address from being registered again; not unless set. Only its SHA-256 is kept.
    /// [`AuthFort::unblock_email`](crate::AuthFort::unblock_email) lifts it.
    pub fn block_email(mut self, on: bool) -> Self {
        self.op.block_email = on;
        self
    }
}

/// Lets a blocked address register again; answers whether it was blocked. The address is known by its hash alone.
pub(crate) struct UnblockEmail(pub(crate) [u8; 32]);

impl Operation for UnblockEmail {
    type Output = bool;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<bool>> {
        Ok(Verdict::Done(store::users::unblock_email(&mut work.conn, &self.0).await? > 0))
    }
}

impl Joinable for DeleteUser {}

impl Operation for DeleteUser {
    type Output = DeleteReceipt;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<DeleteReceipt>> {
        let id = self.id;
        let row = match self.mode {
            DeleteMode::Anonymize => work.lock_user(id).await?,
            // What was anonymised can still be deleted.
            DeleteMode::Delete => work.lock_any_user(id).await?,
        };
        work.protect_admins(&row).await?;
        if self.mode == DeleteMode::Delete
            && let Some(table) = work.conn.blocking_table(id).await?
        {
            return Err(Error::BlockedByReference { table: Some(table) });
        }
        if self.block_email {
            let hash = crypto::sha256(row.email.as_bytes());
            store::users::block_email(&mut work.conn, &hash, work.now).await?;
        }
        let conn = &mut work.conn;
        let roles = store::roles::delete_all(conn, id).await?;
        let refresh_tokens = store::sessions::delete_refresh_tokens(conn, id).await?;
        let sessions = store::sessions::delete_all(conn, id).await?;
        let oauth_accounts = store::accounts::delete_all(conn, id).await?;
        let verification_tokens = store::verification::delete_all(conn, id).await?;
        let users = match self.mode {
            DeleteMode::Delete => {
                store::users::forget_as_banner(conn, id).await?;
                store::users::delete(conn, id).await?
            }
            DeleteMode::Anonymize => {
                store::users::anonymize(conn, id, &erased_email(id), work.now).await?;
                0
            }
        };
        work.append(UserDeleted::draft(id, row.email, self.mode));
        Ok(Verdict::Done(DeleteReceipt { roles, refresh_tokens, sessions, oauth_accounts, verification_tokens, users }))
    }
}
