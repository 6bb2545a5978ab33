//! Replacing a forgotten password, with a token that was sent to the address.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::proven_by_another;
use super::single_use_token::{PREFIX, Purpose, RequestToken, redeem};
use crate::crypto::OpaqueToken;
use crate::events::PasswordReset;
use crate::work::{Before, Joinable, Operation, RateCheck, Verdict, Work, Write, check_rate};
use crate::{AuthFort, Error, Result, UserId, store};

impl AuthFort {
    /// Creates a token for a password reset, to be sent to the address; none if no user has it. Takes at least a tenth
    /// of a second, whether the address is known or not. Event: `password_reset_requested`.
    pub fn request_password_reset(&self, email: impl AsRef<str>) -> Write<RequestToken> {
        Write::new(self.core(), RequestToken::new(email.as_ref(), Purpose::Password))
    }

    /// Redeems a token for a password reset; ends all sessions. Event: `password_reset`.
    ///
    /// | option | |
    /// |---|---|
    /// | `check_rate(…)` | a rate limit, checked before the token |
    pub fn reset_password(
        &self,
        token: impl Into<SecretString>,
        password: impl Into<SecretString>,
    ) -> Write<ResetPassword> {
        Write::new(self.core(), ResetPassword::new(token.into().expose_secret(), password.into()))
    }
}

/// Redeems a token for a password reset; created by [`AuthFort::reset_password`](crate::AuthFort::reset_password).
#[derive(Clone)]
pub struct ResetPassword {
    token: Option<Arc<OpaqueToken>>,
    password: SecretString,
    rate_check: Option<RateCheck>,
    hash: Option<String>,
}

impl ResetPassword {
    fn new(token: &str, password: SecretString) -> Self {
        Self { token: OpaqueToken::parse(PREFIX, token).map(Arc::new), password, rate_check: None, hash: None }
    }
}

impl Write<ResetPassword> {
    /// Sets a rate limit. It is called once the new password satisfies the policy and before the token is checked, so
    /// that refused input does not count against the limit.
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
        // A guessed token must not cost a password hash.
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
        // The token came by mail, so it proves the address as well. Password and sessions are replaced and ended below.
        proven_by_another(work, &user).await?;
        store::users::set_password_hash(&mut work.conn, id, hash, work.now).await?;
        work.append(PasswordReset::draft(id));
        work.revoke_access(id, None).await?;
        Ok(Verdict::Commit(id))
    }
}
