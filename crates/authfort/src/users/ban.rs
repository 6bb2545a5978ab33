//! Banning and unbanning.

use chrono::{DateTime, SubsecRound, Utc};

use crate::events::{UserBanned, UserUnbanned};
use crate::model::user::User;
use crate::model::validate;
use crate::work::{Before, Conditional, Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Result, UserId, store};

impl AuthFort {
    /// Bans a user and ends their sessions; refused for the last usable administrator. Banning a banned user with
    /// another reason or expiry changes the ban. Event: `user_banned`.
    ///
    /// | option | |
    /// |---|---|
    /// | `reason(…)` | the reason; at most 1,000 characters |
    /// | `expires_at(…)` | when the ban expires; without end unless set |
    /// | `if_version(…)` | only at this version of the user |
    pub fn ban_user(&self, id: UserId) -> Write<BanUser> {
        Write::new(self.core(), BanUser { id, reason: None, expires_at: None })
    }

    /// Lifts a ban. Event: `user_unbanned`; none if there was no ban.
    ///
    /// | option | |
    /// |---|---|
    /// | `if_version(…)` | only at this version of the user |
    pub fn unban_user(&self, id: UserId) -> Write<UnbanUser> {
        Write::new(self.core(), UnbanUser(id))
    }
}

/// Bans a user; created by [`AuthFort::ban_user`](crate::AuthFort::ban_user).
#[derive(Clone)]
pub struct BanUser {
    pub(crate) id: UserId,
    pub(crate) reason: Option<String>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// Lifts a ban; created by [`AuthFort::unban_user`](crate::AuthFort::unban_user).
#[derive(Clone)]
pub struct UnbanUser(pub(crate) UserId);

impl Write<BanUser> {
    /// Sets the reason, at most 1,000 characters.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.op.reason = Some(reason.into());
        self
    }

    /// Sets when the ban expires by itself; without end unless set.
    pub fn expires_at(mut self, at: DateTime<Utc>) -> Self {
        self.op.expires_at = Some(at);
        self
    }
}

impl Joinable for BanUser {}

impl Conditional for BanUser {}

impl Operation for BanUser {
    type Output = User;

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let core = before.core;
        let mut faults = validate::Faults::default();
        self.reason = self.reason.take().and_then(|v| faults.take(validate::reason(&v)));
        // Truncated before it is validated: the stored time must lie in the future.
        self.expires_at = self.expires_at.map(|at| validate::without_leap_second(at).trunc_subsecs(6));
        if let Some(at) = self.expires_at {
            faults.take(validate::future("expires_at", at, core.now()));
        }
        faults.finish()
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<User>> {
        let row = work.lock_user(self.id).await?;
        let same = row.is_banned(work.now) && row.ban_reason == self.reason && row.ban_expires_at == self.expires_at;
        if same {
            return Ok(Verdict::Commit(row.into_user(work.now)?));
        }
        work.protect_admins(&row).await?;
        work.ban(self.id, self.reason.as_deref(), self.expires_at).await?;
        work.append(UserBanned::draft(self.id, self.reason.clone(), self.expires_at));
        Ok(Verdict::Commit(work.read_user(self.id).await?))
    }
}

impl Joinable for UnbanUser {}

impl Conditional for UnbanUser {}

impl Operation for UnbanUser {
    type Output = User;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<User>> {
        let row = work.lock_user(self.0).await?;
        // An expired ban needs no lifting.
        if !row.is_banned(work.now) {
            return Ok(Verdict::Commit(row.into_user(work.now)?));
        }
        store::users::unban(&mut work.conn, self.0, work.now).await?;
        work.append(UserUnbanned::draft(self.0));
        Ok(Verdict::Commit(work.read_user(self.0).await?))
    }
}
