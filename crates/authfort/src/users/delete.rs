//! Deleting a user with all that hangs on it, or erasing the person and keeping the row.
//!
//! Deleted in this order, in one transaction: roles, refresh tokens and sessions, OAuth accounts, verification tokens,
//! the user row. Every foreign key cascades as well. Of a user with very many sessions, those that have ended and the
//! tokens that are spent go before it, 500 rows a transaction: other writers get their turn, and a deletion that is then
//! refused has taken nothing that anybody could use.

use serde::Serialize;

use crate::events::UserDeleted;
use crate::model::delete::DeleteMode;
use crate::model::validate::key_to_find;
use crate::model::validate::{ERASED_NAME, erased_email};
use crate::work::{Before, Conditional, Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Result, UserId, store};

impl AuthFort {
    /// Deletes a user and all that hangs on it, or anonymizes; refused for the last administrator. The address is free
    /// again unless [`block_email`](Write::<DeleteUser>::block_email) is set. Event: `user_deleted`.
    ///
    /// | option | |
    /// |---|---|
    /// | `anonymize()` | keeps row and id and erases the person |
    /// | `block_email(true)` | nobody can use the address again |
    /// | `if_version(…)` | only at this version of the user |
    pub fn delete_user(&self, id: UserId) -> Write<DeleteUser> {
        Write::new(self.core(), DeleteUser::new(id))
    }

    /// Lets an address register again that a deletion blocked; says whether it was blocked.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable).
    pub async fn unblock_email(&self, email: impl AsRef<str>) -> Result<bool> {
        match key_to_find(email.as_ref()) {
            Some(key) => Write::new(self.core(), UnblockEmail(key)).await,
            None => Ok(false),
        }
    }
}

/// Deletes a user; made by [`AuthFort::delete_user`](crate::AuthFort::delete_user).
#[derive(Clone)]
pub struct DeleteUser {
    pub(crate) id: UserId,
    pub(crate) mode: DeleteMode,
    pub(crate) block_email: bool,
    ended: Ended,
}

/// How much of what is over went beforehand.
#[derive(Debug, Clone, Copy, Default)]
struct Ended {
    refresh_tokens: u64,
    sessions: u64,
}

impl DeleteUser {
    pub(crate) fn new(id: UserId) -> Self {
        Self { id, mode: DeleteMode::Delete, block_email: false, ended: Ended::default() }
    }
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
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
    /// The user row: 1, or 0 where it was anonymized.
    pub users: u64,
}

impl Write<DeleteUser> {
    /// Keeps row and id, for what refers to them, and removes the person: address, name, picture, phone, metadata,
    /// password, roles, sessions, accounts and tokens. It cannot be undone. Of somebody who was anonymized before nothing
    /// is left to remove: that writes nothing, and the receipt counts nothing.
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

/// Lets a blocked address, given by its key, register again; answers whether it was blocked.
pub(crate) struct UnblockEmail(pub(crate) String);

impl Operation for UnblockEmail {
    type Output = bool;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<bool>> {
        Ok(Verdict::Commit(store::users::unblock_email(&mut work.conn, &self.0).await? > 0))
    }
}

/// How many rows a transaction deletes of what is over, before the one that deletes the user.
const SLICE: i64 = 500;

/// Deletes a slice of a user's refresh tokens and sessions that have ended: nothing that anybody could still use. Answers
/// how many of each.
///
/// Somebody who signed in a hundred thousand times would otherwise hold SQLite's one writer for seconds.
struct DeleteEnded(UserId);

impl Operation for DeleteEnded {
    type Output = Ended;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<Ended>> {
        let row = work.lock_any_user(self.0).await?;
        // A deletion that will be refused takes nothing beforehand.
        work.protect_admins(&row).await?;
        let refresh_tokens = store::sessions::delete_dead_tokens(&mut work.conn, self.0, work.now, SLICE).await?;
        let sessions = if refresh_tokens == 0 {
            store::sessions::delete_dead_sessions(&mut work.conn, self.0, work.now, SLICE).await?
        } else {
            0
        };
        Ok(Verdict::Commit(Ended { refresh_tokens, sessions }))
    }
}

impl Conditional for DeleteEnded {}

impl Joinable for DeleteUser {}

impl Conditional for DeleteUser {}

impl Operation for DeleteUser {
    type Output = DeleteReceipt;

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        // What is done inside the application's transaction is its own to take back.
        if before.joined().is_some() {
            return Ok(());
        }
        if !store::sessions::has_many(&mut before.read().await?.conn(), self.id, SLICE).await? {
            return Ok(());
        }
        loop {
            let mut slice = Write::new(before.core, DeleteEnded(self.id));
            if let Some(version) = before.if_version {
                slice = slice.if_version(version);
            }
            let ended = slice.await?;
            self.ended.refresh_tokens += ended.refresh_tokens;
            self.ended.sessions += ended.sessions;
            if ended.refresh_tokens == 0 && ended.sessions < SLICE.unsigned_abs() {
                return Ok(());
            }
        }
    }

    fn removes(&self) -> Option<UserId> {
        (self.mode == DeleteMode::Delete).then_some(self.id)
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<DeleteReceipt>> {
        let id = self.id;
        // What was anonymized can still be deleted.
        let row = work.lock_any_user(id).await?;
        if self.mode == DeleteMode::Anonymize && row.deleted_at.is_some() {
            return Ok(Verdict::Commit(DeleteReceipt::default()));
        }
        work.protect_admins(&row).await?;
        if self.block_email {
            store::users::block_email(&mut work.conn, &row.email_key, work.now).await?;
        }
        let roles = store::roles::delete_all(&mut work.conn, id).await?;
        let tokens = store::sessions::delete_refresh_tokens(&mut work.conn, id).await?;
        let refresh_tokens = self.ended.refresh_tokens + tokens;
        let sessions = self.ended.sessions + work.delete_sessions(id).await?;
        let oauth_accounts = store::accounts::delete_all(&mut work.conn, id).await?;
        let verification_tokens = store::verification::delete_all(&mut work.conn, id).await?;
        let users = match self.mode {
            DeleteMode::Delete => work.delete_row(id).await?,
            DeleteMode::Anonymize => {
                work.anonymize_row(id, &erased_email(id), ERASED_NAME).await?;
                0
            }
        };
        work.append(UserDeleted::draft(id, row.email, self.mode));
        Ok(Verdict::Commit(DeleteReceipt {
            roles,
            refresh_tokens,
            sessions,
            oauth_accounts,
            verification_tokens,
            users,
        }))
    }
}
