//! Ending sessions of a user without their tokens.

use crate::events::SessionRevoked;
use crate::work::{Conditional, Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, Result, SessionId, UserId, store};

impl AuthFort {
    /// Ends one session of a user; returns 1, or 0 if it had already ended. Event: `session_revoked`.
    ///
    /// | option | |
    /// |---|---|
    /// | `if_version(…)` | only at this version of the user |
    pub fn revoke_session(&self, id: UserId, session: SessionId) -> Write<RevokeSession> {
        Write::new(self.core(), RevokeSession { user: id, session })
    }

    /// Ends all live sessions of a user, or all but one; returns how many. Event: `session_revoked`.
    ///
    /// | option | |
    /// |---|---|
    /// | `except(…)` | the session that stays live |
    /// | `if_version(…)` | only at this version of the user |
    pub fn revoke_sessions(&self, id: UserId) -> Write<RevokeSessions> {
        Write::new(self.core(), RevokeSessions { user: id, except: None })
    }
}

/// Ends one session; created by [`AuthFort::revoke_session`](crate::AuthFort::revoke_session).
#[derive(Clone)]
pub struct RevokeSession {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
}

/// Ends the sessions of a user; created by [`AuthFort::revoke_sessions`](crate::AuthFort::revoke_sessions).
#[derive(Clone)]
pub struct RevokeSessions {
    pub(crate) user: UserId,
    pub(crate) except: Option<SessionId>,
}

impl Write<RevokeSessions> {
    /// Excludes this session, which must be the user's.
    pub fn except(mut self, session: SessionId) -> Self {
        self.op.except = Some(session);
        self
    }
}

impl Joinable for RevokeSession {}

impl Conditional for RevokeSession {}

impl Operation for RevokeSession {
    type Output = u64;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<u64>> {
        work.lock_user(self.user).await?;
        let session = store::sessions::lock(&mut work.conn, self.session).await?.ok_or(Error::SessionNotFound)?;
        if session.user_id != self.user {
            return Err(Error::SessionNotFound);
        }
        let ended = work.revoke_session(self.session).await?;
        if ended > 0 {
            work.append(SessionRevoked::draft(self.user, Some(self.session), false));
        }
        Ok(Verdict::Commit(ended))
    }
}

impl Joinable for RevokeSessions {}

impl Conditional for RevokeSessions {}

impl Operation for RevokeSessions {
    type Output = u64;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<u64>> {
        work.lock_user(self.user).await?;
        if let Some(except) = self.except {
            let kept = store::sessions::lock(&mut work.conn, except).await?;
            if kept.is_none_or(|session| session.user_id != self.user) {
                return Err(Error::SessionNotFound);
            }
        }
        let ended = work.revoke_sessions(self.user, self.except).await?;
        if ended > 0 {
            work.append(SessionRevoked::draft(self.user, None, true));
        }
        Ok(Verdict::Commit(ended))
    }
}
