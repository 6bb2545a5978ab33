//! Verifying an address with a token that was sent to it.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::prove_email;
use super::single_use_token::{PREFIX, Purpose, RequestToken, redeem};
use crate::crypto::OpaqueToken;
use crate::model::user::User;
use crate::work::{Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Result};

impl AuthFort {
    /// Creates a token that verifies an address, to be sent there; none if no user has the address or it is already
    /// verified. Takes at least a tenth of a second, whether the address is known or not. Event:
    /// `email_verification_requested`.
    pub fn request_email_verification(&self, email: impl AsRef<str>) -> Write<RequestToken> {
        Write::new(self.core(), RequestToken::new(email.as_ref(), Purpose::Email))
    }

    /// Redeems a token for email verification. Event: `email_verified`.
    ///
    /// Unless the caller is in a session of this user, it also removes all sessions, the password and linked accounts,
    /// because another person may have registered the address.
    pub fn verify_email(&self, token: impl Into<SecretString>) -> Write<VerifyEmail> {
        Write::new(self.core(), VerifyEmail::new(token.into().expose_secret()))
    }
}

/// Redeems a token for email verification; created by [`AuthFort::verify_email`](crate::AuthFort::verify_email). Unless
/// the caller ([`AuthFort::by`](crate::AuthFort::by)) is in a session of this user, it removes all sessions, the
/// password and linked accounts, because another person may have registered the address.
#[derive(Clone)]
pub struct VerifyEmail(Option<Arc<OpaqueToken>>);

impl VerifyEmail {
    fn new(token: &str) -> Self {
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
