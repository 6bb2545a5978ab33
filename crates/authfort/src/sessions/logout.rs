//! Signing out.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::REFRESH_PREFIX;
use crate::crypto::OpaqueToken;
use crate::events;
use crate::guard;
use crate::work::{Before, Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, Result, SessionId, UserId, store};

impl AuthFort {
    /// Ends the session of a refresh token, or of an access token that has not expired, whatever the state of its user.
    /// Returns whether a live session was ended. Event: `logout`.
    pub fn logout(&self, token: impl AsRef<str>) -> Write<EndSession> {
        Write::new(self.core(), EndSession::new(token.as_ref()))
    }
}

/// Ends the session of a token; created by [`AuthFort::logout`](crate::AuthFort::logout).
#[derive(Clone)]
pub struct EndSession(By);

#[derive(Clone)]
enum By {
    RefreshToken(Arc<OpaqueToken>),
    AccessToken(SecretString),
    Session(UserId, SessionId),
    Nothing,
}

impl EndSession {
    pub(crate) fn new(token: &str) -> Self {
        Self(match OpaqueToken::parse(REFRESH_PREFIX, token) {
            Some(token) => By::RefreshToken(Arc::new(token)),
            None => By::AccessToken(token.into()),
        })
    }
}

impl Joinable for EndSession {}

impl Operation for EndSession {
    /// Whether a live session was ended.
    type Output = bool;

    fn changes_users(&self) -> bool {
        false
    }

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        if let By::AccessToken(token) = &self.0 {
            self.0 = match guard::claims(token.expose_secret(), before).await {
                Ok(claims) => By::Session(UserId(claims.sub), SessionId(claims.sid)),
                Err(Error::TokenInvalid | Error::TokenExpired) => By::Nothing,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<bool>> {
        let (user, session) = match &self.0 {
            By::RefreshToken(token) => match store::sessions::refresh_token(&mut work.conn, &token.hash()).await? {
                Some(row) => (row.user_id, row.session_id),
                None => return Ok(Verdict::Commit(false)),
            },
            By::Session(user, session) => (*user, *session),
            By::AccessToken(_) | By::Nothing => return Ok(Verdict::Commit(false)),
        };
        // Locks in the common order. A change that the user makes in this session commits before its end or not at all.
        work.lock_row(user).await?;
        let ended = work.revoke_session(session).await? > 0;
        if ended {
            work.append(events::Logout::draft(user));
        }
        Ok(Verdict::Commit(ended))
    }
}
