//! Single-use tokens that are sent to somebody: email verification and password reset.
//!
//! The library makes and redeems them; sending is the application's, which has the token as the answer of the call or in a
//! hook ([`PasswordResetRequested`], [`EmailVerificationRequested`]). A token has 256 random bits and only its SHA-256 is
//! stored. It is bound to the address it was made for, is good once, and a newer one of its kind makes it worthless; so
//! does a change of address or password, and a ban.
//!
//! The two calls that anybody can trigger with an address in hand answer after a fixed time at the least, so that the
//! time does not tell whether the address is known.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::clock::delta;
use crate::core::Core;
use crate::crypto::OpaqueToken;
use crate::events::{EmailVerificationRequested, PasswordReset, PasswordResetRequested};
use crate::model::user::User;
use crate::model::validate::key_to_find;
use crate::store::users::UserRow;
use crate::users::{prove_email, proven_by_another};
use crate::work::{Before, Joinable, Operation, RateCheck, Verdict, Work, Write, check_rate};
use crate::{AuthFort, Error, Result, UserId, store};

impl AuthFort {
    /// Makes a token that proves an address, to be sent there; none where nobody has the address or it is verified
    /// already. Answers after a tenth of a second at the least, known or not. Event: `email_verification_requested`.
    pub fn request_email_verification(&self, email: impl AsRef<str>) -> Write<RequestToken> {
        Write::new(self.core(), RequestToken::email_verification(email.as_ref()))
    }

    /// Redeems a token for email verification. Event: `email_verified`.
    pub fn verify_email(&self, token: impl Into<SecretString>) -> Write<VerifyEmail> {
        Write::new(self.core(), VerifyEmail::new(token.into().expose_secret()))
    }

    /// Makes a token for a password reset, to be sent to the address; none where nobody has it. Answers after a tenth of
    /// a second at the least, known or not. Event: `password_reset_requested`.
    pub fn request_password_reset(&self, email: impl AsRef<str>) -> Write<RequestToken> {
        Write::new(self.core(), RequestToken::password_reset(email.as_ref()))
    }

    /// Redeems a token for a password reset; ends all sessions. Event: `password_reset`.
    pub fn reset_password(
        &self,
        token: impl Into<SecretString>,
        password: impl Into<SecretString>,
    ) -> Write<ResetPassword> {
        Write::new(self.core(), ResetPassword::new(token.into().expose_secret(), password.into()))
    }
}

const PREFIX: &str = "afv";
/// Longer than the work of a request for a known address takes, a commit to disk included.
const ANSWER_TIME: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Email,
    Password,
}

impl Purpose {
    fn as_str(self) -> &'static str {
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
    /// Whose it is.
    pub user_id: UserId,
    /// Where to send it.
    pub email: String,
    /// What to send. `Debug` does not show it.
    pub token: SecretString,
    /// How long it is good.
    pub expires_at: DateTime<Utc>,
}

/// Makes a token for an address; made by [`AuthFort::request_email_verification`](crate::AuthFort::request_email_verification) and
/// [`AuthFort::request_password_reset`](crate::AuthFort::request_password_reset).
#[derive(Clone)]
pub struct RequestToken {
    /// None for a text that no user can have.
    email_key: Option<String>,
    purpose: Purpose,
    started: Option<tokio::time::Instant>,
}

impl RequestToken {
    pub(crate) fn email_verification(email: &str) -> Self {
        Self::new(email, Purpose::Email)
    }

    pub(crate) fn password_reset(email: &str) -> Self {
        Self::new(email, Purpose::Password)
    }

    fn new(email: &str, purpose: Purpose) -> Self {
        Self { email_key: key_to_find(email), purpose, started: None }
    }
}

impl Joinable for RequestToken {}

impl Operation for RequestToken {
    /// None where nobody has the address, or there is nothing to verify.
    type Output = Option<IssuedToken>;

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

/// Spends a token and locks its user; every reason to refuse is one answer.
async fn redeem(work: &mut Work<'_>, token: Option<&OpaqueToken>, purpose: Purpose) -> Result<UserRow> {
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

/// Redeems a token for email verification, and ends what somebody else may have had who registered the address: all
/// sessions, the password and linked accounts, unless the caller ([`AuthFort::by`](crate::AuthFort::by)) is in a session of this user. Made by [`AuthFort::verify_email`](crate::AuthFort::verify_email).
#[derive(Clone)]
pub struct VerifyEmail(Option<Arc<OpaqueToken>>);

impl VerifyEmail {
    pub(crate) fn new(token: &str) -> Self {
        Self(OpaqueToken::parse(PREFIX, token).map(Arc::new))
    }
}

impl Joinable for VerifyEmail {}

impl Operation for VerifyEmail {
    type Output = User;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<User>> {
        let user = redeem(work, self.0.as_deref(), Purpose::Email).await?;
        prove_email(work, &user).await?;
        Ok(Verdict::Commit(work.read_user(user.id).await?))
    }
}

/// Redeems a token for a password reset; made by [`AuthFort::reset_password`](crate::AuthFort::reset_password).
#[derive(Clone)]
pub struct ResetPassword {
    token: Option<Arc<OpaqueToken>>,
    password: SecretString,
    rate_check: Option<RateCheck>,
    hash: Option<String>,
}

impl ResetPassword {
    pub(crate) fn new(token: &str, password: SecretString) -> Self {
        Self { token: OpaqueToken::parse(PREFIX, token).map(Arc::new), password, rate_check: None, hash: None }
    }
}

impl Write<ResetPassword> {
    /// Asks, once the new password is known to be acceptable in length and before the token is looked at, whether to go
    /// on: for limits, from which an input that is refused takes nothing.
    pub fn check_rate(mut self, ask: impl Fn() -> Result<()> + Send + Sync + 'static) -> Self {
        self.op.rate_check = Some(Arc::new(ask));
        self
    }
}

impl Joinable for ResetPassword {}

impl Operation for ResetPassword {
    type Output = UserId;

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let core = before.core;
        core.passwords().check_shape("new_password", &self.password).map_err(|fault| Error::Validation(vec![fault]))?;
        check_rate(&mut self.rate_check)?;
        // A guess must not cost a password hash.
        let token = self.token.as_ref().ok_or(Error::VerificationTokenInvalid)?;
        let mut conn = before.read().await?;
        let found = store::verification::find(&mut conn.conn(), &token.hash(), Purpose::Password.as_str()).await?;
        drop(conn);
        if found.is_none_or(|row| row.used_at.is_some() || row.expires_at <= core.now()) {
            return Err(Error::VerificationTokenInvalid);
        }
        self.hash = Some(core.passwords().hash_new("new_password", &self.password).await?);
        Ok(())
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<UserId>> {
        let hash = self.hash.as_deref().ok_or_else(|| Error::internal("the password was not hashed"))?;
        let user = redeem(work, self.token.as_deref(), Purpose::Password).await?;
        let id = user.id;
        // The token came by mail, so it proves the address as well. Password and sessions end below.
        proven_by_another(work, &user).await?;
        store::users::set_password_hash(&mut work.conn, id, hash, work.now).await?;
        work.append(PasswordReset::draft(id));
        work.revoke_access(id, None).await?;
        Ok(Verdict::Commit(id))
    }
}
