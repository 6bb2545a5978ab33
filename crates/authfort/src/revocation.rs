//! The one place that takes access away: tokens, sessions, bans, deletions, keys.
//!
//! Every operation that ends somebody's access calls a method of this file inside its transaction; no other file calls the
//! statements behind them, which a test checks. What has to hear of it, hears of it here.
//!
//! | what ends | by |
//! |---|---|
//! | the access tokens of a user | [`Work::revoke_access_tokens`] |
//! | one session; all, or all but one | [`Work::revoke_session`], [`Work::revoke_sessions`] |
//! | all of these, and tokens sent by mail | [`Work::revoke_access`] |
//! | the same, and no new one until the ban ends | [`Work::ban`] |
//! | the user | [`Work::delete_row`], [`Work::anonymize_row`] |
//! | tokens of older signing keys | [`Work::revoke_keys`] |

use chrono::{DateTime, Utc};

use crate::work::Work;
use crate::{Result, SessionId, UserId, store};

impl Work<'_> {
    /// Makes the access tokens of a user worthless; sessions live on, and a refresh brings a new one.
    pub(crate) async fn revoke_access_tokens(&mut self, user: UserId) -> Result<()> {
        store::users::bump_token_version(&mut self.conn, user).await
    }

    /// Ends one session; answers 1, or 0 where it had ended.
    pub(crate) async fn revoke_session(&mut self, session: SessionId) -> Result<u64> {
        store::sessions::revoke(&mut self.conn, session, self.now).await
    }

    /// Ends the live sessions of a user, all or all but one; answers how many.
    pub(crate) async fn revoke_sessions(&mut self, user: UserId, except: Option<SessionId>) -> Result<u64> {
        store::sessions::revoke_all(&mut self.conn, user, except, self.now).await
    }

    /// Ends access tokens, sessions (all, or all but one), and tokens that were sent out by mail.
    pub(crate) async fn revoke_access(&mut self, user: UserId, except: Option<SessionId>) -> Result<()> {
        self.revoke_access_tokens(user).await?;
        self.revoke_sessions(user, except).await?;
        store::verification::delete_all(&mut self.conn, user).await?;
        Ok(())
    }

    /// Bans a locked user in the caller's name, and ends their access.
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

    /// Deletes the sessions of a user, live or not; answers how many.
    pub(crate) async fn delete_sessions(&mut self, user: UserId) -> Result<u64> {
        store::sessions::delete_all(&mut self.conn, user).await
    }

    /// Deletes the row of a user, whose dependants are gone; answers 1.
    pub(crate) async fn delete_row(&mut self, user: UserId) -> Result<u64> {
        store::users::forget_as_banner(&mut self.conn, user).await?;
        store::users::delete(&mut self.conn, user).await
    }

    /// Leaves of a user what is shown of everybody who was anonymized.
    pub(crate) async fn anonymize_row(&mut self, user: UserId, email: &str, name: &str) -> Result<()> {
        store::users::anonymize(&mut self.conn, user, email, name, self.now).await
    }

    /// Ends every signing key but the newest, and with it the access tokens that it signed.
    pub(crate) async fn revoke_keys(&mut self) -> Result<()> {
        store::keys::revoke_older(&mut self.conn, self.now).await?;
        Ok(())
    }
}
