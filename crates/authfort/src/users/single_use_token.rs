//! Single-use tokens that are sent by mail: email verification and password reset.
//!
//! The library creates and redeems them. The application sends them: it gets the token as the result of the call or in
//! a hook ([`PasswordResetRequested`], [`EmailVerificationRequested`]). A token has 256 random bits, and only its
//! SHA-256 is stored. It is bound to the address that it was created for and can be used once. A newer token of its
//! kind, a change of address or password, or a ban makes it invalid.
//!
//! The two calls that anyone can make with a known address take at least a fixed time, so that the time does not reveal
//! whether a user has the address.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::clock::delta;
use crate::core::Core;
use crate::crypto::OpaqueToken;
use crate::events::{EmailVerificationRequested, PasswordResetRequested};
use crate::model::validate::key_to_find;
use crate::store::users::UserRow;
use crate::work::{Before, Joinable, Operation, Verdict, Work};
use crate::{Error, Result, UserId, store};

pub(super) const PREFIX: &str = "afv";
/// Longer than a request for a known address takes, including a commit to disk.
const ANSWER_TIME: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Email,
    Password,
}

impl Purpose {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email_verification",
            Self::Password => "password_reset",
        }
    }
}

/// A token to send.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// auth.create_user("jane@example.com").await?;
/// let issued = auth.request_email_verification("jane@example.com").await?.expect("the address is known");
/// let user = auth.verify_email(issued.token).await?;
/// assert!(user.email_verified);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IssuedToken {
    /// The user that it belongs to.
    pub user_id: UserId,
    /// The address to send it to.
    pub email: String,
    /// The token to send. `Debug` does not show it.
    pub token: SecretString,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// Creates a token for an address; created by
/// [`AuthFort::request_email_verification`](crate::AuthFort::request_email_verification) and
/// [`AuthFort::request_password_reset`](crate::AuthFort::request_password_reset).
#[derive(Clone)]
pub struct RequestToken {
    /// None for a text that cannot be a user's address.
    email_key: Option<String>,
    purpose: Purpose,
    started: Option<tokio::time::Instant>,
}

impl RequestToken {
    pub(super) fn new(email: &str, purpose: Purpose) -> Self {
        Self { email_key: key_to_find(email), purpose, started: None }
    }
}

impl Joinable for RequestToken {}

impl Operation for RequestToken {
    /// None if no user has the address, or there is nothing to verify.
    type Output = Option<IssuedToken>;

    fn changes_users(&self) -> bool {
        false
    }

    async fn prepare(&mut self, _before: &mut Before<'_>) -> Result<()> {
        self.started = Some(tokio::time::Instant::now());
        Ok(())
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<Option<IssuedToken>>> {
        let Some(key) = &self.email_key else {
            return Ok(Verdict::Commit(None));
        };
        let Some(found) = store::users::by_email_key(&mut work.conn, key).await? else {
            return Ok(Verdict::Commit(None));
        };
        let user = match work.lock_user(found.id).await {
            Ok(user) if user.email_key == *key && !user.is_banned(work.now) => user,
            Ok(_) | Err(Error::UserNotFound) => return Ok(Verdict::Commit(None)),
            Err(error) => return Err(error),
        };
        let config = work.core.config();
        let ttl = match self.purpose {
            Purpose::Email if user.email_verified => return Ok(Verdict::Commit(None)),
            Purpose::Email => config.email_verification_ttl,
            Purpose::Password => config.password_reset_ttl,
        };
        let token = OpaqueToken::generate(PREFIX)?;
        let expires_at = work.now + delta(ttl);
        let (conn, purpose) = (&mut work.conn, self.purpose.as_str());
        store::verification::void(conn, user.id, purpose).await?;
        store::verification::insert(conn, &token.hash(), user.id, purpose, &user.email, work.now, expires_at).await?;
        let draft = match self.purpose {
            Purpose::Email => EmailVerificationRequested::draft(user.id, user.email.clone()),
            Purpose::Password => PasswordResetRequested::draft(user.id, user.email.clone()),
        };
        work.append(draft.carrying(token.expose()));
        Ok(Verdict::Commit(Some(IssuedToken {
            user_id: user.id,
            email: user.email,
            token: token.expose(),
            expires_at,
        })))
    }

    async fn committed(&self, _core: &Core) {
        if let Some(started) = self.started {
            tokio::time::sleep_until(started + ANSWER_TIME).await;
        }
    }
}

/// Marks a token as used and locks its user. The error is the same for every reason to refuse.
pub(super) async fn redeem(work: &mut Work<'_>, token: Option<&OpaqueToken>, purpose: Purpose) -> Result<UserRow> {
    let hash = token.ok_or(Error::VerificationTokenInvalid)?.hash();
    let row = store::verification::find(&mut work.conn, &hash, purpose.as_str())
        .await?
        .ok_or(Error::VerificationTokenInvalid)?;
    let user = match work.lock_user(row.user_id).await {
        Err(Error::UserNotFound) => return Err(Error::VerificationTokenInvalid),
        other => other?,
    };
    let stale = row.used_at.is_some() || row.expires_at <= work.now || row.email != user.email;
    if stale || user.is_banned(work.now) || store::verification::spend(&mut work.conn, &hash, work.now).await? == 0 {
        return Err(Error::VerificationTokenInvalid);
    }
    Ok(user)
}
