//! Sessions and their tokens.
//!
//! A session is one sign-in on one device. It has a short-lived access token, whose signature each node verifies by
//! itself, and a refresh token, which can be exchanged once for a new pair. (RFC 6749, section 6; rotation as in
//! RFC 9700, section 4.14.)
//!
//! - A used refresh token that is presented again within the grace period, while its child is unused, returns the same
//!   child again: a client that lost the response is not signed out. After that, a reuse counts as theft, and the whole
//!   session ends.
//! - A session ends at a fixed time, however often it is refreshed, and the number of a user's sessions is limited.
//! - Only the SHA-256 of a refresh token is stored.

mod create_session;
mod list;
mod login;
mod logout;
mod refresh;
mod revoke;
mod sign_up;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use uuid::Uuid;

pub use create_session::CreateSession;
pub use list::{ListSessions, Session, SessionCount, SessionPage};
pub use login::{Login, LoginOutcome};
pub use logout::EndSession;
pub use refresh::Refresh;
pub use revoke::{RevokeSession, RevokeSessions};
pub use sign_up::SignUp;

use crate::clock::delta;
use crate::crypto::OpaqueToken;
use crate::events::SessionRevoked;
use crate::model::claims::Claims;
use crate::model::user::User;
use crate::store::sessions::SessionRow;
use crate::store::users::UserRow;
use crate::tokens::{SigningKey, sign};
use crate::work::{Before, Work};
use crate::{Error, Result, SessionId, store};

/// The prefix of refresh tokens, by which scanners for leaked secrets recognize them.
pub(crate) const REFRESH_PREFIX: &str = "afr";

/// A user who has just signed in, signed up, or refreshed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// let user = auth.create_user("jane@example.com").await?;
/// let signed_in = auth.create_session(user.id).await?;
/// assert_eq!(signed_in.user.email, "jane@example.com");
/// assert_eq!(signed_in.tokens.expires_in, 900);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SignedIn {
    /// The user.
    pub user: User,
    /// The session.
    pub session_id: SessionId,
    /// Its tokens.
    pub tokens: Tokens,
    /// The claims of the access token.
    claims: Box<Claims>,
}

/// The tokens of a session. `Debug` does not show them.
#[derive(Clone)]
#[non_exhaustive]
pub struct Tokens {
    /// Authenticates the caller until it expires.
    pub access_token: SecretString,
    /// Can be exchanged once for the next pair.
    pub refresh_token: SecretString,
    /// How long the access token is valid, in seconds.
    pub expires_in: u64,
    /// When the refresh token expires.
    pub refresh_expires_at: DateTime<Utc>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

impl SignedIn {
    /// Signs the access token. Called after the commit (or at the end of [`Write::in_tx`](crate::Write::in_tx)), since
    /// an RSA signature takes as long as several statements.
    fn sign(&mut self, signer: Option<&SigningKey>) -> Result<()> {
        let signer = signer.ok_or_else(|| Error::internal("the signing key was not prepared"))?;
        self.tokens.access_token = sign(signer, &self.claims)?.into();
        Ok(())
    }
}

/// Opens a session for a locked user. The access token is not signed yet.
async fn open(work: &mut Work<'_>, user: &UserRow) -> Result<SignedIn> {
    let config = work.core.config();
    let now = work.now;
    let final_expires_at = now + delta(config.session_ttl);
    let expires_at = (now + delta(config.refresh_ttl)).min(final_expires_at);
    let session = SessionRow {
        id: SessionId::new(now),
        user_id: user.id,
        user_agent: work.actor().user_agent.clone(),
        ip_address: work.actor().ip_address.clone(),
        created_at: now,
        last_seen_at: now,
        expires_at,
        final_expires_at,
        revoked_at: None,
    };
    let token = OpaqueToken::generate(REFRESH_PREFIX)?;
    store::sessions::insert(&mut work.conn, &session).await?;
    // Ends the oldest sessions beyond the limit. Every sign-in does this under the lock of its user's row.
    let most = i64::from(config.max_sessions);
    for oldest in store::sessions::beyond(&mut work.conn, user.id, most, now).await? {
        work.revoke_session(oldest).await?;
        work.append(SessionRevoked::draft(user.id, Some(oldest), false));
    }
    store::sessions::insert_refresh_token(&mut work.conn, &token.hash(), session.id, user.id, now, expires_at).await?;
    answer(work, user, session.id, &token, expires_at)
}

/// Builds the output for a session that ends at `expires_at` unless it is refreshed. The access token is not signed
/// yet; it expires no later than the session.
fn answer(
    work: &Work<'_>,
    user: &UserRow,
    session: SessionId,
    refresh: &OpaqueToken,
    expires_at: DateTime<Utc>,
) -> Result<SignedIn> {
    let config = work.core.config();
    let iat = work.now.timestamp();
    let exp = (work.now + delta(config.access_ttl)).min(expires_at).timestamp();
    let claims = Claims {
        sub: user.id.0,
        email: user.email.clone(),
        name: user.name.clone(),
        roles: user.role_list(),
        ver: user.token_version,
        sid: session.0,
        iat,
        exp,
        iss: config.issuer.clone(),
        jti: Uuid::from_bytes(crate::crypto::random()?),
        aud: config.audience.clone(),
    };
    Ok(SignedIn {
        user: user.clone().into_user(work.now)?,
        session_id: session,
        tokens: Tokens {
            access_token: SecretString::default(),
            refresh_token: refresh.expose(),
            expires_in: u64::try_from(exp.saturating_sub(iat)).unwrap_or_default(),
            refresh_expires_at: expires_at,
        },
        claims: Box::new(claims),
    })
}

/// Returns the key that signs, read before the transaction.
async fn signer(before: &mut Before<'_>) -> Result<Option<Arc<SigningKey>>> {
    let core = before.core;
    match before.joined() {
        Some(mut conn) => core.keyring().signer_on(&mut conn, core.now()).await.map(Some),
        None => core.keyring().signer(core.now()).await.map(Some),
    }
}
