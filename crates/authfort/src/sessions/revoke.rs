//! Ending sessions from outside.

use crate::events::SessionRevoked;
use crate::work::{Conditional, Joinable, Operation, Verdict, Work, Write};
use crate::{Error, Result, SessionId, UserId, store};

/// Ends one session; made by [`AuthFort::revoke_session`](crate::AuthFort::revoke_session).
#[derive(Clone)]
pub struct RevokeSession {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
}

/// Ends the sessions of a user; made by [`AuthFort::revoke_sessions`](crate::AuthFort::revoke_sessions).
///
/// Its options are methods of `Write<RevokeSessions>`: see [`Write`](crate::Write).
#[derive(Clone)]
pub struct RevokeSessions {
    pub(crate) user: UserId,
    pub(crate) except: Option<SessionId>,
}

impl Write<RevokeSessions> {
    /// All but this one, which must be the user's.
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
        let ended = store::sessions::revoke(&mut work.conn, self.session, work.now).await?;
        if ended > 0 {
            work.append(SessionRevoked::draft(self.user, Some(self.session), false));
        }
        Ok(Verdict::Done(ended))
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
        let ended = store::sessions::revoke_all(&mut work.conn, self.user, self.except, work.now).await?;
        if ended > 0 {
            work.append(SessionRevoked::draft(self.user, None, true));
        }
        Ok(Verdict::Done(ended))
    }
}
