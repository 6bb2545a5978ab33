//! The one place that revokes access: tokens, sessions, bans, deletions, keys.
//!
//! Every operation that revokes access calls a method of this file inside its transaction; no other file calls the
//! store functions behind them, which a test checks.
//!
//! | what is revoked | by |
//! |---|---|
//! | the access tokens of a user | [`Work::revoke_access_tokens`] |
//! | one session; all, or all but one | [`Work::revoke_session`], [`Work::revoke_sessions`] |
//! | all of these, and tokens sent by mail | [`Work::revoke_access`] |
//! | the same, and all new access until the ban ends | [`Work::ban`] |
//! | the user | [`Work::delete_row`], [`Work::anonymize_row`] |
//! | tokens of older signing keys | [`Work::revoke_keys`] |

use chrono::{DateTime, Utc};

use crate::work::Work;
use crate::{Result, SessionId, UserId, store};

impl Work<'_> {
    /// Revokes the access tokens of a user. Sessions stay live, and a refresh returns a new token.
    pub(crate) async fn revoke_access_tokens(&mut self, user: UserId) -> Result<()> {
        self.revokes = true;
        store::users::bump_token_version(&mut self.conn, user).await
    }

    /// Ends one session; returns 1, or 0 if it had already ended.
    pub(crate) async fn revoke_session(&mut self, session: SessionId) -> Result<u64> {
        self.revokes = true;
        store::sessions::revoke(&mut self.conn, session, self.now).await
    }

    /// Ends all live sessions of a user, or all but one; returns how many.
    pub(crate) async fn revoke_sessions(&mut self, user: UserId, except: Option<SessionId>) -> Result<u64> {
        self.revokes = true;
        store::sessions::revoke_all(&mut self.conn, user, except, self.now).await
    }

    /// Revokes access tokens, sessions (all, or all but one), and tokens that were sent by mail.
    pub(crate) async fn revoke_access(&mut self, user: UserId, except: Option<SessionId>) -> Result<()> {
        self.revoke_access_tokens(user).await?;
        self.revoke_sessions(user, except).await?;
        store::verification::delete_all(&mut self.conn, user).await?;
        Ok(())
    }

    /// Bans a locked user in the actor's name, and revokes their access.
    pub(crate) async fn ban(
        &mut self,
        user: UserId,
        reason: Option<&str>,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<()> {
        let by = self.actor().user_id;
        store::users::ban(&mut self.conn, user, reason, expires_at, by, self.now).await?;
        self.revoke_access(user, None).await
    }

    /// Deletes the sessions of a user, live or not; returns how many.
    pub(crate) async fn delete_sessions(&mut self, user: UserId) -> Result<u64> {
        store::sessions::delete_all(&mut self.conn, user).await
    }

    /// Deletes the row of a user whose dependent rows are deleted; returns 1.
    pub(crate) async fn delete_row(&mut self, user: UserId) -> Result<u64> {
        store::users::forget_as_banner(&mut self.conn, user).await?;
        store::users::delete(&mut self.conn, user).await
    }

    /// Replaces the user's data with what every anonymized user shows.
    pub(crate) async fn anonymize_row(&mut self, user: UserId, email: &str, name: &str) -> Result<()> {
        store::users::anonymize(&mut self.conn, user, email, name, self.now).await
    }

    /// Revokes every signing key but the newest, and with it the access tokens that it signed.
    pub(crate) async fn revoke_keys(&mut self) -> Result<()> {
        store::keys::revoke_older(&mut self.conn, self.now).await?;
        Ok(())
    }
}
