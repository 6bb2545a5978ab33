//! Signing up: a user and their first session, in one transaction.

use std::sync::Arc;

use secrecy::SecretString;

use super::login::append_login;
use super::{SignedIn, open, signer};
use crate::core::Core;
use crate::tokens::SigningKey;
use crate::users::{CreateUser, insert_user, profile_options};
use crate::work::{Before, Joinable, Operation, RateCheck, Verdict, Work, Write, check_rate};
use crate::{AuthFort, Error, Result, store};

impl AuthFort {
    /// Creates a user and signs them in, if sign-up is on. Events: `user_created`, `login`.
    ///
    /// | option | |
    /// |---|---|
    /// | `name(…)` | the name |
    /// | `avatar_url(…)` | a picture, by an `http` or `https` URL |
    /// | `phone(…)` | the phone number |
    /// | `check_rate(…)` | a rate limit, checked before the password is hashed |
    pub fn sign_up(&self, email: impl Into<String>, password: impl Into<SecretString>) -> Write<SignUp> {
        Write::new(self.core(), SignUp::new(email.into(), password.into()))
    }
}

/// Creates a user and signs them in; created by [`AuthFort::sign_up`](crate::AuthFort::sign_up).
#[derive(Clone)]
pub struct SignUp {
    user: CreateUser,
    rate_check: Option<RateCheck>,
    signer: Option<Arc<SigningKey>>,
}

impl SignUp {
    pub(crate) fn new(email: String, password: SecretString) -> Self {
        Self {
            user: CreateUser { email, password: Some(password), ..CreateUser::default() },
            rate_check: None,
            signer: None,
        }
    }
}

impl Write<SignUp> {
    /// Sets a rate limit. It is called once the input is valid and before the password is hashed, so that refused input
    /// does not count against the limit.
    pub fn check_rate(mut self, ask: impl Fn() -> Result<()> + Send + Sync + 'static) -> Self {
        self.op.rate_check = Some(Arc::new(ask));
        self
    }
}

profile_options!(SignUp.user);

impl Joinable for SignUp {}

impl Operation for SignUp {
    type Output = SignedIn;

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let core = before.core;
        if !core.config().signup {
            return Err(Error::SignupDisabled);
        }
        self.user.check(core)?;
        check_rate(&mut self.rate_check)?;
        self.user.hash(core).await?;
        self.signer = signer(before).await?;
        Ok(())
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<SignedIn>> {
        let id = insert_user(work, &self.user, Some(work.now)).await?;
        let row = store::users::by_id(&mut work.conn, id).await?.ok_or(Error::UserNotFound)?;
        let signed_in = open(work, &row).await?;
        append_login(work, id, &row.email, "email");
        Ok(Verdict::Commit(signed_in))
    }

    fn finish(&self, _core: &Core, output: &mut SignedIn) -> Result<()> {
        output.sign(self.signer.as_deref())
    }
}
