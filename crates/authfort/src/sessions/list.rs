//! The sessions of a user, and of all users.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::core::Core;
use crate::store::sessions::SessionRow;
use crate::users::GetUser;
use crate::{AuthFort, Error, Result, SessionId, UserId, store};

/// How many sessions of all users are looked at to count the live ones, or for a page of them.
const LOOKED_AT: i64 = 20_000;

impl AuthFort {
    /// Lists the sessions of a user, newest first. See [`ListSessions`].
    pub fn list_sessions(&self, id: UserId) -> ListSessions {
        ListSessions::new(self.core().clone(), Some(id))
    }

    /// Lists the sessions of all users, newest first. See [`ListSessions`].
    ///
    /// With [`active_only`](ListSessions::active_only), a page looks at no more than 20,000 sessions, so it can have fewer live
    /// ones than its limit, or none, and yet a next page.
    pub fn list_all_sessions(&self) -> ListSessions {
        ListSessions::new(self.core().clone(), None)
    }

    /// Counts the live sessions of all users. Only the newest 20,000 sessions are looked at, which takes some milliseconds
    /// however many there are.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable).
    pub async fn count_sessions(&self) -> Result<SessionCount> {
        let mut conn = self.core().db().read().await?;
        let (active, newest) =
            store::sessions::count_live(&mut conn.conn(), self.now(), LOOKED_AT.saturating_add(1)).await?;
        Ok(SessionCount { active: active.unsigned_abs(), is_capped: newest > LOOKED_AT })
    }
}

/// The live sessions of all users; counted by [`AuthFort::count_sessions`](crate::AuthFort::count_sessions).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionCount {
    /// How many were found.
    pub active: u64,
    /// Whether there may be more, among older ones.
    pub is_capped: bool,
}

/// A sign-in on a device: one entry, however often its tokens were refreshed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// let id = auth.create_user("jane@example.com").await?.id;
/// auth.create_session(id).await?;
/// let page = auth.list_sessions(id).active_only(true).await?;
/// assert_eq!(page.sessions.len(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Session {
    /// The session.
    pub id: SessionId,
    /// Whose it is. It is not in the JSON: the address of the route says it.
    #[serde(skip)]
    pub user_id: UserId,
    /// The client's user agent when it signed in.
    pub user_agent: Option<String>,
    /// The client's address when it signed in.
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

/// A page of sessions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct SessionPage {
    /// The sessions, newest first.
    pub sessions: Vec<Session>,
    /// The cursor of the next page; none on the last page.
    pub next_cursor: Option<String>,
}

/// Lists sessions, newest first, 50 at a time; created by [`AuthFort::list_sessions`](crate::AuthFort::list_sessions) and
/// [`AuthFort::list_all_sessions`](crate::AuthFort::list_all_sessions).
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct ListSessions {
    core: Core,
    user: Option<UserId>,
    active_only: bool,
    limit: i64,
    cursor: Option<String>,
}

impl ListSessions {
    pub(crate) fn new(core: Core, user: Option<UserId>) -> Self {
        Self { core, user, active_only: false, limit: 50, cursor: None }
    }

    /// Returns only live sessions; all unless set.
    pub fn active_only(mut self, on: bool) -> Self {
        self.active_only = on;
        self
    }

    /// Sets the page size, 1 to 200; 50 unless set.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = i64::from(limit);
        self
    }

    /// Starts at the cursor of the previous page.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    async fn run(self) -> Result<SessionPage> {
        if !(1..=200).contains(&self.limit) {
            return Err(Error::invalid("limit", "out_of_range", "must be between 1 and 200"));
        }
        let before = self.cursor.as_deref().map(read_cursor).transpose()?;
        if let Some(user) = self.user {
            GetUser::new(self.core.clone(), user).await?;
        }
        let now = self.core.now();
        let live_at = self.active_only.then_some(now);
        let mut conn = self.core.db().read().await?;
        // Live ones can be rare among those of all users.
        let down_to = match (self.user, live_at) {
            (None, Some(_)) => store::sessions::nth_before(&mut conn.conn(), before, LOOKED_AT).await?,
            _ => None,
        };
        let wanted = store::sessions::Listed { user: self.user, before, down_to, live_at };
        // One more than requested tells whether another page follows.
        let mut rows = store::sessions::list(&mut conn.conn(), &wanted, self.limit.saturating_add(1)).await?;
        drop(conn);
        let size = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        let last = if more { rows.last().map(|row| row.id) } else { down_to };
        let next_cursor = last.map(|id| crate::crypto::base64url_encode(id.0));
        let sessions = rows.into_iter().map(Session::from).collect();
        Ok(SessionPage { sessions, next_cursor })
    }
}

/// Decodes a cursor: the id of the last session of the previous page, in base64url.
fn read_cursor(text: &str) -> Result<SessionId> {
    let bytes = crate::crypto::base64url_decode(text).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    bytes.map(|bytes| SessionId(Uuid::from_bytes(bytes))).ok_or(Error::InvalidCursor)
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            user_agent: row.user_agent,
            ip_address: row.ip_address,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
            revoked: row.revoked_at.is_some(),
        }
    }
}

impl IntoFuture for ListSessions {
    type Output = Result<SessionPage>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
