//! Setting and changing passwords. Both end sessions, and revoke access tokens and tokens that were sent by mail.

use std::sync::Arc;

use secrecy::SecretString;

use crate::events::{PasswordChanged, PasswordSet};
use crate::passwords::{HashedPassword, PasswordMatch};
use crate::work::{Before, Conditional, Joinable, Operation, RateCheck, Verdict, Work, Write, at_version, check_rate};
use crate::{AuthFort, Error, Result, SessionId, UserId, store};

impl AuthFort {
    /// Sets a password without checking the current one; ends all sessions. Event: `password_set` if there was none,
    /// otherwise `password_changed`.
    ///
    /// | option | |
    /// |---|---|
    /// | `if_version(…)` | only at this version of the user |
    pub fn set_password(&self, id: UserId, password: impl Into<SecretString>) -> Write<SetPassword> {
        Write::new(self.core(), SetPassword::new(id, password.into()))
    }

    /// Changes a password if the current one is right; ends all sessions, or all but one. Event: `password_changed`.
    ///
    /// | option | |
    /// |---|---|
    /// | `keep_session(…)` | the session that stays live |
    /// | `check_rate(…)` | a rate limit, checked before the current password |
    /// | `if_version(…)` | only at this version of the user |
    pub fn change_password(
        &self,
        id: UserId,
        current: impl Into<SecretString>,
        new: impl Into<SecretString>,
    ) -> Write<ChangePassword> {
        Write::new(self.core(), ChangePassword::new(id, current.into(), new.into()))
    }

    /// Checks a new password with policy and breach check, and hashes it, for
    /// [`create_user`](Self::create_user)`(…).password_hash(…)` inside a transaction.
    ///
    /// # Errors
    /// - [`Error::Validation`](crate::Error::Validation) if the password is refused.
    /// - [`Error::Overloaded`](crate::Error::Overloaded) if the queue for hashing is full.
    pub async fn hash_password(&self, password: impl Into<SecretString>) -> Result<HashedPassword> {
        self.core().passwords().hash_new("password", &password.into()).await.map(HashedPassword)
    }
}

/// Sets a password without checking the current one; created by
/// [`AuthFort::set_password`](crate::AuthFort::set_password).
#[derive(Clone)]
pub struct SetPassword {
    user: UserId,
    password: SecretString,
    hash: Option<String>,
}

impl SetPassword {
    pub(crate) fn new(user: UserId, password: SecretString) -> Self {
        Self { user, password, hash: None }
    }
}

impl Joinable for SetPassword {}

impl Conditional for SetPassword {}

impl Operation for SetPassword {
    type Output = ();

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let core = before.core;
        // An unknown user, or one at another version, must not cost a password hash.
        let mut conn = before.read().await?;
        let found = store::users::by_id(&mut conn.conn(), self.user).await?;
        drop(conn);
        at_version(found.filter(|row| row.deleted_at.is_none()), before.if_version)?;
        self.hash = Some(core.passwords().hash_new("password", &self.password).await?);
        Ok(())
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<()>> {
        let hash = self.hash.as_deref().ok_or_else(|| Error::internal("the password was not hashed"))?;
        let row = work.lock_user(self.user).await?;
        store::users::set_password_hash(&mut work.conn, self.user, hash, work.now).await?;
        work.append(if row.has_password { PasswordChanged::draft(self.user) } else { PasswordSet::draft(self.user) });
        work.revoke_access(self.user, None).await?;
        Ok(Verdict::Commit(()))
    }
}

/// Changes a password if the current one is right; created by
/// [`AuthFort::change_password`](crate::AuthFort::change_password).
#[derive(Clone)]
pub struct ChangePassword {
    user: UserId,
    current: SecretString,
    new: SecretString,
    keep: Option<SessionId>,
    rate_check: Option<RateCheck>,
    old_hash: Option<String>,
    new_hash: Option<String>,
}

impl ChangePassword {
    pub(crate) fn new(user: UserId, current: SecretString, new: SecretString) -> Self {
        Self { user, current, new, keep: None, rate_check: None, old_hash: None, new_hash: None }
    }
}

impl Write<ChangePassword> {
    /// Sets a rate limit. It is called once the new password satisfies the policy and before the current one is
    /// checked, so that refused input does not count against the limit.
    pub fn check_rate(mut self, ask: impl Fn() -> Result<()> + Send + Sync + 'static) -> Self {
        self.op.rate_check = Some(Arc::new(ask));
        self
    }

    /// Keeps this session live: the one in which the user changes the password. It gets a new access token by a
    /// refresh.
    pub fn keep_session(mut self, session: SessionId) -> Self {
        self.op.keep = Some(session);
        self
    }
}

impl Joinable for ChangePassword {}

impl Conditional for ChangePassword {}

impl Operation for ChangePassword {
    type Output = ();

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let core = before.core;
        core.passwords().check_shape("new_password", &self.new).map_err(|fault| Error::Validation(vec![fault]))?;
        check_rate(&mut self.rate_check)?;
        let mut conn = before.read().await?;
        let stored = store::users::password_hash(&mut conn.conn(), self.user).await?;
        drop(conn);
        if core.passwords().verify(&self.current, stored.as_deref()).await? == PasswordMatch::Wrong {
            return Err(Error::InvalidCredentials);
        }
        self.old_hash = stored;
        self.new_hash = Some(core.passwords().hash_new("new_password", &self.new).await?);
        Ok(())
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<()>> {
        let hash = self.new_hash.as_deref().ok_or_else(|| Error::internal("the password was not hashed"))?;
        work.lock_user(self.user).await?;
        if store::users::password_hash(&mut work.conn, self.user).await? != self.old_hash {
            // The hash was changed by a login that made it stronger, or by another change.
            return Ok(Verdict::PrepareAgain);
        }
        store::users::set_password_hash(&mut work.conn, self.user, hash, work.now).await?;
        work.append(PasswordChanged::draft(self.user));
        work.revoke_access(self.user, self.keep).await?;
        Ok(Verdict::Commit(()))
    }
}
