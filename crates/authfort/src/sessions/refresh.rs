//! Exchanging a refresh token.

use std::sync::Arc;

use super::{REFRESH_PREFIX, SignedIn, answer, delta, signer};
use crate::crypto::{OpaqueToken, random};
use crate::events::{SessionRevoked, TokenRefreshed};
use crate::store::sessions::{RefreshTokenRow, SessionRow};
use crate::store::users::UserRow;
use crate::tokens::SigningKey;
use crate::work::{Before, Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, Result, UserId, store};

type Admit = Arc<dyn Fn(UserId) -> Result<()> + Send + Sync>;

/// Exchanges a refresh token; made by [`AuthFort::refresh`](crate::AuthFort::refresh).
///
/// Its options are methods of `Write<Refresh>`: see [`Write`](crate::Write).
#[derive(Clone)]
pub struct Refresh {
    token: Option<Arc<OpaqueToken>>,
    admit: Option<Admit>,
    signer: Option<Arc<SigningKey>>,
}

impl Refresh {
    pub(crate) fn new(token: &str) -> Self {
        Self { token: OpaqueToken::parse(REFRESH_PREFIX, token).map(Arc::new), admit: None, signer: None }
    }
}

impl Write<Refresh> {
    /// Asks, once the token's user is known and before anything is written, whether to go on: for limits per user.
    pub fn admit(mut self, ask: impl Fn(UserId) -> Result<()> + Send + Sync + 'static) -> Self {
        self.op.admit = Some(Arc::new(ask));
        self
    }
}

impl Operation for Refresh {
    type Output = SignedIn;

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let token = self.token.as_ref().ok_or(Error::RefreshTokenInvalid)?;
        self.signer = signer(before).await?;
        // Asked once, not again when the transaction is run again.
        if let Some(admit) = &self.admit {
            let mut conn = before.read().await?;
            if let Some(row) = store::sessions::refresh_token(&mut conn.conn(), &token.hash()).await? {
                admit(row.user_id)?;
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
        // Once more, now that nobody else can spend it.
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
        let expires_at = (work.now + delta(work.auth.config().refresh_ttl)).min(session.final_expires_at);
        let conn = &mut work.conn;
        store::sessions::insert_refresh_token(conn, &child.hash(), session.id, user.id, work.now, expires_at).await?;
        store::sessions::seen(conn, session.id, work.now, expires_at).await?;
        let (address, agent) = work.client();
        work.append(TokenRefreshed::draft(user.id, address, agent));
        answer(work, &user, session.id, &child, expires_at).map(Verdict::Done)
    }

    fn finish(&self, _auth: &AuthFort, output: &mut SignedIn) -> Result<()> {
        output.sign(self.signer.as_deref())
    }
}

/// A token that was exchanged before: within the grace period, and while its child is unused, the same child; else
/// theft, and the session ends. That is committed before the caller hears of it.
async fn spent(
    work: &mut Work<'_>,
    token: &OpaqueToken,
    row: &RefreshTokenRow,
    user: &UserRow,
    session: &SessionRow,
) -> Result<Verdict<SignedIn>> {
    let grace = delta(work.auth.config().refresh_grace);
    let salt: Option<[u8; 32]> = row.child_salt.as_deref().and_then(|salt| salt.try_into().ok());
    if let Some((used_at, salt)) = row.used_at.zip(salt)
        // Either way: where a clock went back, or another node's is ahead, a token that is long spent stays spent.
        && (work.now - used_at).abs() < grace
    {
        let child = token.derive_child(&salt);
        let found = store::sessions::refresh_token(&mut work.conn, &child.hash()).await?;
        if let Some(found) = found.filter(|found| found.used_at.is_none()) {
            return answer(work, user, session.id, &child, found.expires_at).map(Verdict::Done);
        }
    }
    store::sessions::revoke(&mut work.conn, session.id, work.now).await?;
    work.append(SessionRevoked::draft(user.id, Some(session.id), false));
    Ok(Verdict::Refuse(Error::RefreshTokenReused))
}
