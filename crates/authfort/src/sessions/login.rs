//! Signing in with a password.

use std::sync::Arc;

use secrecy::SecretString;

use super::{SignedIn, open, signer};
use crate::core::Core;
use crate::events;
use crate::model::standing::ban_lasts;
use crate::model::validate;
use crate::passwords::PasswordMatch;
use crate::tokens::SigningKey;
use crate::work::{Before, Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, Result, UserId, store};

impl AuthFort {
    /// Signs in with a password. A wrong password and an unknown address give the same error in the same time. A banned
    /// user gets [`Error::UserBanned`](crate::Error::UserBanned), in the same time, only if the password was right.
    /// Events: `login`, `login_failed`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// use authfort::LoginOutcome;
    /// auth.create_user("jane@example.com").password("correct horse").await?;
    /// match auth.login("jane@example.com", "correct horse").await? {
    ///     LoginOutcome::SignedIn(signed_in) => assert_eq!(signed_in.user.email, "jane@example.com"),
    ///     other => panic!("this application does not know {other:?}"),
    /// }
    /// # Ok(()) }
    /// ```
    pub fn login(&self, email: impl AsRef<str>, password: impl Into<SecretString>) -> Write<Login> {
        Write::new(self.core(), Login::new(email.as_ref(), password.into()))
    }
}

/// Signs in with a password; created by [`AuthFort::login`](crate::AuthFort::login).
#[derive(Clone)]
pub struct Login {
    /// For the event log.
    email: Option<String>,
    /// None for a text that cannot be a user's address; the login must still take the time of a wrong password.
    email_key: Option<String>,
    password: SecretString,
    checked: Option<Checked>,
    signer: Option<Arc<SigningKey>>,
}

/// The result of a right password. It is an enum so that a second factor can be added.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LoginOutcome {
    /// The user is signed in.
    SignedIn(SignedIn),
}

impl LoginOutcome {
    /// Returns the user who is signed in; none if a further step is required first.
    pub fn signed_in(self) -> Option<SignedIn> {
        match self {
            Self::SignedIn(signed_in) => Some(signed_in),
        }
    }
}

/// The result of the password check before the transaction.
#[derive(Clone)]
enum Checked {
    Passed { user: UserId, hash: String, stronger: Option<String> },
    Failed { user: Option<UserId>, detail: Detail },
}

/// Why a login failed, for the log. The caller learns of a ban only if the password was right, and of no other reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    UnknownUser,
    WrongPassword,
    NoPassword,
    Banned,
}

impl Detail {
    fn as_str(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown_user",
            Self::WrongPassword => "wrong_password",
            Self::NoPassword => "no_password",
            Self::Banned => "banned",
        }
    }

    fn error(self) -> Error {
        match self {
            Self::UnknownUser | Self::WrongPassword | Self::NoPassword => Error::InvalidCredentials,
            Self::Banned => Error::UserBanned,
        }
    }
}

impl Login {
    pub(crate) fn new(email: &str, password: SecretString) -> Self {
        let (email, email_key) = (validate::address_shaped(email), validate::key_to_find(email));
        Self { email, email_key, password, checked: None, signer: None }
    }
}

impl Operation for Login {
    type Output = LoginOutcome;

    fn changes_users(&self) -> bool {
        false
    }

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let core = before.core;
        self.signer = signer(before).await?;
        let found = match &self.email_key {
            Some(key) => store::users::credentials(&mut before.read().await?.conn(), key).await?,
            None => None,
        };
        // Hashed even for an unknown address, which takes as long as a wrong password.
        let stored = found.as_ref().and_then(|user| user.password_hash.as_deref());
        let verdict = core.passwords().verify(&self.password, stored).await?;
        let failed = |user, detail| Some(Checked::Failed { user, detail });
        self.checked = match (found, verdict) {
            (None, _) => failed(None, Detail::UnknownUser),
            (Some(user), PasswordMatch::Wrong) => {
                let detail = if user.password_hash.is_some() { Detail::WrongPassword } else { Detail::NoPassword };
                failed(Some(user.id), detail)
            }
            (Some(user), _) if ban_lasts(user.banned, user.ban_expires_at, core.now()) => {
                failed(Some(user.id), Detail::Banned)
            }
            (Some(user), verdict) => {
                let stronger = match verdict {
                    PasswordMatch::RightButWeaker => Some(core.passwords().rehash(&self.password).await?),
                    _ => None,
                };
                let hash = user.password_hash.unwrap_or_default();
                Some(Checked::Passed { user: user.id, hash, stronger })
            }
        };
        Ok(())
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<LoginOutcome>> {
        let (user, hash, stronger) = match &self.checked {
            Some(Checked::Passed { user, hash, stronger }) => (*user, hash, stronger),
            Some(Checked::Failed { user, detail }) => return Ok(refuse(work, self.email.clone(), *user, *detail)),
            None => return Err(Error::internal("the password was not checked")),
        };
        // The user may have changed while the password was hashed.
        let row = match work.lock_user(user).await {
            Ok(row) => row,
            Err(Error::UserNotFound) => return Ok(refuse(work, self.email.clone(), None, Detail::UnknownUser)),
            Err(error) => return Err(error),
        };
        if row.is_banned(work.now) {
            return Ok(refuse(work, self.email.clone(), Some(user), Detail::Banned));
        }
        let current = store::users::password_hash(&mut work.conn, user).await?.unwrap_or_default();
        if current != *hash {
            // Replaced in the meantime: by a parallel login's stronger hash of this password, or by another password.
            return Ok(Verdict::PrepareAgain);
        }
        if let Some(stronger) = stronger {
            store::users::rehash_password(&mut work.conn, user, hash, stronger).await?;
        }
        store::users::set_last_login(&mut work.conn, user, work.now).await?;
        let mut row = row;
        row.last_login_at = Some(work.now);
        let signed_in = open(work, &row).await?;
        append_login(work, user, &row.email, "email");
        Ok(Verdict::Commit(LoginOutcome::SignedIn(signed_in)))
    }

    fn finish(&self, _core: &Core, output: &mut LoginOutcome) -> Result<()> {
        match output {
            LoginOutcome::SignedIn(signed_in) => signed_in.sign(self.signer.as_deref()),
        }
    }
}

pub(super) fn append_login(work: &mut Work<'_>, user: UserId, email: &str, provider: &str) {
    let (address, agent) = work.client();
    work.append(events::Login::draft(user, email.to_owned(), provider.to_owned(), address, agent));
}

/// Records why the login failed, and returns an error that does not tell whether the user exists.
fn refuse<T>(work: &mut Work<'_>, email: Option<String>, user: Option<UserId>, detail: Detail) -> Verdict<T> {
    let (address, agent) = work.client();
    let error = detail.error();
    let reason = error.code().to_owned();
    work.append(events::LoginFailed::draft(user, email, reason, detail.as_str().to_owned(), address, agent));
    Verdict::CommitAndFail(error)
}
