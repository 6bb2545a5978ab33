//! Exchanging a refresh token.
//!
//! A client may present several tokens and not know which one is valid, such as a browser that stores a cookie twice.
//! One of them is then chosen before anything is written, and is treated as if it had come alone; the others are not
//! checked further, so none of them ends a session. The first of these is chosen:
//!
//! 1. a token that can be exchanged;
//! 2. a token that was exchanged within the grace period, while its child is unused;
//! 3. a token that was exchanged before, of a live session: it ends that session, as any reuse does;
//! 4. any other token.
//!
//! Among several of one rank, the token of the newest sign-in is chosen.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{REFRESH_PREFIX, SignedIn, answer, signer};
use crate::clock::delta;
use crate::core::Core;
use crate::crypto::{OpaqueToken, random};
use crate::db::Conn;
use crate::events::{SessionRevoked, TokenRefreshed};
use crate::store::sessions::{RefreshTokenRow, SessionRow};
use crate::store::users::UserRow;
use crate::tokens::SigningKey;
use crate::work::{Before, Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, Result, UserId, store};

impl AuthFort {
    /// Exchanges a refresh token for the next pair. Event: `token_refreshed`; `session_revoked` for a token that was
    /// already exchanged.
    ///
    /// | option | |
    /// |---|---|
    /// | `or(…)` | another token that the client presented; one that can be exchanged is chosen |
    /// | `check_rate(…)` | a rate limit, checked once the user is known |
    pub fn refresh(&self, refresh_token: impl AsRef<str>) -> Write<Refresh> {
        Write::new(self.core(), Refresh::new(refresh_token.as_ref()))
    }
}

/// How long a used token is kept after its grace period. If it is presented in this time, that is theft and ends its
/// session; later it is unknown. A day, so that a device that was asleep overnight still detects the theft.
const KEPT: TimeDelta = TimeDelta::hours(24);

type RateCheck = Arc<dyn Fn(UserId) -> Result<()> + Send + Sync>;

/// Exchanges a refresh token; created by [`AuthFort::refresh`](crate::AuthFort::refresh).
#[derive(Clone)]
pub struct Refresh {
    token: Option<Arc<OpaqueToken>>,
    others: Vec<Arc<OpaqueToken>>,
    rate_check: Option<RateCheck>,
    signer: Option<Arc<SigningKey>>,
}

impl Refresh {
    pub(crate) fn new(token: &str) -> Self {
        let token = OpaqueToken::parse(REFRESH_PREFIX, token).map(Arc::new);
        Self { token, others: Vec::new(), rate_check: None, signer: None }
    }
}

impl Write<Refresh> {
    /// Adds another token that the client presented. One of all tokens is exchanged: one that can be, preferably that
    /// of the newest sign-in. The others are left alone. If none can be exchanged, one is refused as if it had come
    /// alone.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # use authfort::secrecy::ExposeSecret;
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// # let id = auth.create_user("jane@example.com").await?.id;
    /// let signed_in = auth.create_session(id).await?;
    /// let refreshed = auth.refresh("left over").or(signed_in.tokens.refresh_token.expose_secret()).await?;
    /// assert_eq!(refreshed.session_id, signed_in.session_id);
    /// # Ok(()) }
    /// ```
    pub fn or(mut self, refresh_token: impl AsRef<str>) -> Self {
        let other = OpaqueToken::parse(REFRESH_PREFIX, refresh_token.as_ref()).map(Arc::new);
        match &self.op.token {
            None => self.op.token = other,
            Some(_) => self.op.others.extend(other),
        }
        self
    }

    /// Sets a rate limit per user. It is called once the user of an exchangeable token is known, before anything is
    /// written.
    pub fn check_rate(mut self, ask: impl Fn(UserId) -> Result<()> + Send + Sync + 'static) -> Self {
        self.op.rate_check = Some(Arc::new(ask));
        self
    }
}

/// What can be done with a token, in ascending order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TokenState {
    /// Unknown, expired, or of a session that has ended.
    Unusable,
    /// Already exchanged: it ends its session.
    Spent,
    /// Exchanged within the grace period.
    WithinGrace,
    Exchangeable,
}

async fn state_of(
    core: &Core,
    conn: &mut Conn<'_>,
    token: &OpaqueToken,
    now: DateTime<Utc>,
) -> Result<(TokenState, Option<RefreshTokenRow>)> {
    let row = store::sessions::live_refresh_token(conn, &token.hash(), now).await?;
    let state = match &row {
        Some(row) if row.used_at.is_none() && row.expires_at > now => TokenState::Exchangeable,
        Some(row) if row.used_at.is_none() => TokenState::Unusable,
        Some(row) if graced_child(core, conn, token, row, now).await?.is_some() => TokenState::WithinGrace,
        Some(_) => TokenState::Spent,
        None => TokenState::Unusable,
    };
    Ok((state, row))
}

impl Refresh {
    async fn choose(&mut self, before: &mut Before<'_>) -> Result<()> {
        if self.others.is_empty() {
            return Ok(());
        }
        let (core, now) = (before.core, before.core.now());
        let mut best = None;
        for token in self.token.take().into_iter().chain(std::mem::take(&mut self.others)) {
            let mut conn = before.read().await?;
            let (state, row) = state_of(core, &mut conn.conn(), &token, now).await?;
            let rank = (state, row.map(|row| row.session_id));
            if best.as_ref().is_none_or(|(other, _)| *other < rank) {
                best = Some((rank, token));
            }
        }
        self.token = best.map(|(_, token)| token);
        Ok(())
    }
}

impl Operation for Refresh {
    type Output = SignedIn;

    fn changes_users(&self) -> bool {
        false
    }

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        self.choose(before).await?;
        let token = self.token.as_ref().ok_or(Error::RefreshTokenInvalid)?;
        self.signer = signer(before).await?;
        // Called once, even if the change is prepared again; and only for a token that could be exchanged, or else
        // anyone with an old token of a user could use up that user's limit.
        if let Some(check) = self.rate_check.take() {
            let (core, now) = (before.core, before.core.now());
            let mut conn = before.read().await?;
            if let (TokenState::Exchangeable | TokenState::WithinGrace, Some(row)) =
                state_of(core, &mut conn.conn(), token, now).await?
            {
                check(row.user_id)?;
            }
        }
        Ok(())
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<SignedIn>> {
        let token = self.token.as_deref().ok_or(Error::RefreshTokenInvalid)?;
        let hash = token.hash();
        let row = store::sessions::refresh_token(&mut work.conn, &hash).await?.ok_or(Error::RefreshTokenInvalid)?;
        // Locks in the order of every operation: user, then session.
        store::users::keep(&mut work.conn, row.user_id).await?;
        let session = store::sessions::lock(&mut work.conn, row.session_id).await?.ok_or(Error::RefreshTokenInvalid)?;
        work.locked();
        let user = store::users::by_id(&mut work.conn, row.user_id).await?.ok_or(Error::RefreshTokenInvalid)?;
        // Read again, now that no other request can use it.
        let row = store::sessions::refresh_token(&mut work.conn, &hash).await?.ok_or(Error::RefreshTokenInvalid)?;

        let over = !session.is_active(work.now) || session.final_expires_at <= work.now;
        if over || user.deleted_at.is_some() || user.is_banned(work.now) {
            return Err(Error::RefreshTokenInvalid);
        }
        if row.used_at.is_some() {
            return spent(work, token, &row, &user, &session).await;
        }
        if row.expires_at <= work.now {
            return Err(Error::RefreshTokenInvalid);
        }
        let salt = random::<32>()?;
        if store::sessions::use_refresh_token(&mut work.conn, &hash, &salt, work.now).await? == 0 {
            return Err(Error::RefreshTokenInvalid);
        }
        let child = token.derive_child(&salt);
        let expires_at = (work.now + delta(work.core.config().refresh_ttl)).min(session.final_expires_at);
        let conn = &mut work.conn;
        store::sessions::insert_refresh_token(conn, &child.hash(), session.id, user.id, work.now, expires_at).await?;
        store::sessions::seen(conn, session.id, work.now, expires_at).await?;
        let kept = delta(work.core.config().refresh_grace) + KEPT;
        store::sessions::drop_spent(conn, session.id, work.now - kept).await?;
        let (address, agent) = work.client();
        work.append(TokenRefreshed::draft(user.id, address, agent));
        answer(work, &user, session.id, &child, expires_at).map(Verdict::Commit)
    }

    fn finish(&self, _core: &Core, output: &mut SignedIn) -> Result<()> {
        output.sign(self.signer.as_deref())
    }
}

/// Handles a token that was already exchanged: within the grace period, and while its child is unused, it returns the
/// same child; otherwise this is theft, and the session ends. That is committed before the error is returned.
async fn spent(
    work: &mut Work<'_>,
    token: &OpaqueToken,
    row: &RefreshTokenRow,
    user: &UserRow,
    session: &SessionRow,
) -> Result<Verdict<SignedIn>> {
    if let Some((child, found)) = graced_child(work.core, &mut work.conn, token, row, work.now).await? {
        return answer(work, user, session.id, &child, found.expires_at).map(Verdict::Commit);
    }
    work.revoke_session(session.id).await?;
    work.append(SessionRevoked::draft(user.id, Some(session.id), false));
    Ok(Verdict::CommitAndFail(Error::RefreshTokenReused))
}

/// Returns the unused child of a token that was exchanged within the grace period.
async fn graced_child(
    core: &Core,
    conn: &mut Conn<'_>,
    token: &OpaqueToken,
    row: &RefreshTokenRow,
    now: DateTime<Utc>,
) -> Result<Option<(OpaqueToken, RefreshTokenRow)>> {
    let salt: Option<[u8; 32]> = row.child_salt.as_deref().and_then(|salt| salt.try_into().ok());
    let Some((used_at, salt)) = row.used_at.zip(salt) else { return Ok(None) };
    // The absolute difference: if a clock went back, or another node's is ahead, a token used long ago stays used.
    if (now - used_at).abs() >= delta(core.config().refresh_grace) {
        return Ok(None);
    }
    let child = token.derive_child(&salt);
    let found = store::sessions::refresh_token(conn, &child.hash()).await?;
    Ok(found.filter(|found| found.used_at.is_none()).map(|found| (child, found)))
}
