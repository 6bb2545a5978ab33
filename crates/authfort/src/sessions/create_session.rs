//! Sessions for users that the application authenticated by itself.

use std::sync::Arc;

use super::login::append_login;
use super::{SignedIn, open, signer};
use crate::core::Core;
use crate::model::validate;
use crate::tokens::SigningKey;
use crate::work::{Before, Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, Result, UserId, store};

impl AuthFort {
    /// Opens a session for a user that the application authenticated by itself. Event: `login`.
    ///
    /// | option | |
    /// |---|---|
    /// | `provider(…)` | how the user was authenticated, for the event |
    pub fn create_session(&self, id: UserId) -> Write<CreateSession> {
        Write::new(self.core(), CreateSession::new(id))
    }
}

/// Opens a session without a password; created by [`AuthFort::create_session`](crate::AuthFort::create_session).
#[derive(Clone)]
pub struct CreateSession {
    user: UserId,
    provider: String,
    signer: Option<Arc<SigningKey>>,
}

impl CreateSession {
    pub(crate) fn new(user: UserId) -> Self {
        Self { user, provider: "application".into(), signer: None }
    }
}

impl Write<CreateSession> {
    /// Sets how the user was authenticated, for the event; `application` unless set.
    pub fn provider(mut self, provider: impl Into<String>) -> Self {
        self.op.provider = provider.into();
        self
    }
}

impl Joinable for CreateSession {}

impl Operation for CreateSession {
    type Output = SignedIn;

    fn changes_users(&self) -> bool {
        false
    }

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        validate::provider(&self.provider).map_err(|fault| Error::Validation(vec![fault]))?;
        self.signer = signer(before).await?;
        Ok(())
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<SignedIn>> {
        let mut row = work.lock_user(self.user).await?;
        if row.is_banned(work.now) {
            return Err(Error::UserBanned);
        }
        store::users::set_last_login(&mut work.conn, self.user, work.now).await?;
        row.last_login_at = Some(work.now);
        let signed_in = open(work, &row).await?;
        append_login(work, self.user, &row.email, &self.provider);
        Ok(Verdict::Commit(signed_in))
    }

    fn finish(&self, _core: &Core, output: &mut SignedIn) -> Result<()> {
        output.sign(self.signer.as_deref())
    }
}
