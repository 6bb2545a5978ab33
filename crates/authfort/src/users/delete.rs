//! Deleting a user with all dependent rows, or anonymizing the user and keeping the row.
//!
//! One transaction deletes, in this order: roles, refresh tokens and sessions, OAuth accounts, verification tokens, the
//! user row. Every foreign key cascades as well. If a user has very many sessions, ended sessions and used tokens are
//! deleted first, 500 rows per transaction: other writers can run in between, and a deletion that is then refused has
//! deleted nothing that was still usable.

use serde::Serialize;

use crate::events::UserDeleted;
use crate::model::delete::DeleteMode;
use crate::model::validate::key_to_find;
use crate::model::validate::{ERASED_NAME, erased_email};
use crate::work::{Before, Conditional, Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Result, UserId, store};

impl AuthFort {
    /// Deletes a user and all dependent rows, or anonymizes the user; refused for the last usable administrator. The
    /// address can be registered again unless [`block_email`](Write::<DeleteUser>::block_email) is set. Event:
    /// `user_deleted`.
    ///
    /// | option | |
    /// |---|---|
    /// | `anonymize()` | keeps row and id and removes the personal data |
    /// | `block_email(true)` | no user can have the address again |
    /// | `if_version(…)` | only at this version of the user |
    pub fn delete_user(&self, id: UserId) -> Write<DeleteUser> {
        Write::new(self.core(), DeleteUser::new(id))
    }

    /// Unblocks an address that a deletion blocked, so that it can be registered again; returns whether it was blocked.
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

/// Deletes a user; created by [`AuthFort::delete_user`](crate::AuthFort::delete_user).
#[derive(Clone)]
pub struct DeleteUser {
    pub(crate) id: UserId,
    pub(crate) mode: DeleteMode,
    pub(crate) block_email: bool,
    ended: Ended,
}

/// How many unusable rows were deleted before the main transaction.
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

/// The number of deleted rows per table.
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
    /// Roles.
    pub roles: u64,
    /// Refresh tokens.
    pub refresh_tokens: u64,
    /// Sessions.
    pub sessions: u64,
    /// Accounts at OAuth providers.
    pub oauth_accounts: u64,
    /// Verification tokens.
    pub verification_tokens: u64,
    /// The user row: 1, or 0 if it was anonymized.
    pub users: u64,
}

impl Write<DeleteUser> {
    /// Keeps row and id, for rows that refer to them, and removes the personal data: address, name, picture, phone,
    /// metadata, password, roles, sessions, accounts and tokens. It cannot be undone. For a user who is already
    /// anonymized, the call writes nothing, and every count in the receipt is zero.
    pub fn anonymize(mut self) -> Self {
        self.op.mode = DeleteMode::Anonymize;
        self
    }

    /// Sets whether the address is blocked from being registered again; not unless set. Only its SHA-256 is stored.
    /// [`AuthFort::unblock_email`](crate::AuthFort::unblock_email) unblocks it.
    pub fn block_email(mut self, on: bool) -> Self {
        self.op.block_email = on;
        self
    }
}

/// Unblocks an address, given by its key; returns whether it was blocked.
pub(crate) struct UnblockEmail(pub(crate) String);

impl Operation for UnblockEmail {
    type Output = bool;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<bool>> {
        Ok(Verdict::Commit(store::users::unblock_email(&mut work.conn, &self.0).await? > 0))
    }
}

/// How many unusable rows each transaction deletes before the one that deletes the user.
const SLICE: i64 = 500;

/// Deletes a slice of a user's refresh tokens and sessions that are no longer usable. Returns how many of each.
///
/// Without this, the deletion of a user with a hundred thousand sign-ins would hold SQLite's write lock for seconds.
struct DeleteEnded(UserId);

impl Operation for DeleteEnded {
    type Output = Ended;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<Ended>> {
        let row = work.lock_any_user(self.0).await?;
        // If the deletion will be refused, nothing is deleted beforehand.
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
        // Inside the application's transaction nothing may be committed separately.
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
        // An anonymized user can still be deleted.
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
