//! The sessions of a user.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{AuthFort, Result, SessionId, UserId, store};

/// A sign-in on a device: one row however often its tokens were renewed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// let id = auth.create_user("jane@example.com").await?.id;
/// auth.create_session(id).await?;
/// let sessions = auth.list_sessions(id).active_only(true).await?;
/// assert_eq!(sessions.len(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Session {
    /// The session.
    pub id: SessionId,
    /// How the client described itself when it signed in.
    pub user_agent: Option<String>,
    /// From where it signed in.
    pub ip_address: Option<String>,
    /// When it signed in.
    pub created_at: DateTime<Utc>,
    /// When it last refreshed.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends unless it is refreshed.
    pub expires_at: DateTime<Utc>,
    /// Whether it was ended.
    pub revoked: bool,
}

/// Lists the sessions of a user, newest first; made by [`AuthFort::list_sessions`](crate::AuthFort::list_sessions).
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct ListSessions {
    pub(crate) auth: AuthFort,
    pub(crate) user: UserId,
    pub(crate) active_only: bool,
}

impl ListSessions {
    /// Only those that live; not unless set.
    pub fn active_only(mut self, on: bool) -> Self {
        self.active_only = on;
        self
    }
}

impl IntoFuture for ListSessions {
    type Output = Result<Vec<Session>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            self.auth.get_user(self.user).await?;
            let now = self.auth.now();
            let mut conn = self.auth.db().read().await?;
            let rows = store::sessions::of_user(&mut conn.conn(), self.user).await?;
            Ok(rows
                .into_iter()
                .filter(|row| !self.active_only || row.is_active(now))
                .map(|row| Session {
                    id: row.id,
                    user_agent: row.user_agent,
                    ip_address: row.ip_address,
                    created_at: row.created_at,
                    last_seen_at: row.last_seen_at,
                    expires_at: row.expires_at,
                    revoked: row.revoked_at.is_some(),
                })
                .collect())
        })
    }
}
