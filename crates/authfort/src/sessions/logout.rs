//! Signing out.

use super::REFRESH_PREFIX;
use crate::crypto::OpaqueToken;
use crate::events;
use crate::work::{Joinable, Operation, Verdict, Work};
use crate::{Result, store};
use std::sync::Arc;

/// Ends the session of a refresh token; made by [`AuthFort::logout`](crate::AuthFort::logout).
#[derive(Clone)]
pub struct Logout(Option<Arc<OpaqueToken>>);

impl Logout {
    pub(crate) fn new(token: &str) -> Self {
        Self(OpaqueToken::parse(REFRESH_PREFIX, token).map(Arc::new))
    }
}

impl Joinable for Logout {}

impl Operation for Logout {
    /// Whether there was a session to end.
    type Output = bool;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<bool>> {
        let Some(token) = &self.0 else { return Ok(Verdict::Done(false)) };
        let Some(row) = store::sessions::refresh_token(&mut work.conn, &token.hash()).await? else {
            return Ok(Verdict::Done(false));
        };
        // In the order of all locks; a change that the user makes in this session comes before its end or not at all.
        work.lock_row(row.user_id).await?;
        let ended = store::sessions::revoke(&mut work.conn, row.session_id, work.now).await? > 0;
        if ended {
            work.append(events::Logout::draft(row.user_id));
        }
        Ok(Verdict::Done(ended))
    }
}
