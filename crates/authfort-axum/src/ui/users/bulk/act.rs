//! What can be done to many people at once.

use authfort::{AuthFort, FieldError, UserId};

use crate::Rejection;
use crate::admin::Admin;
use crate::is_role_name;
use crate::ui::frame::Staff;
use crate::ui::params::Params;
use crate::ui::users::grant::check_role;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Ban,
    Unban,
    EndSessions,
    GiveRole,
    TakeRole,
    Anonymize,
    Delete,
}

impl Act {
    pub(super) const ALL: [Self; 7] =
        [Self::Ban, Self::Unban, Self::EndSessions, Self::GiveRole, Self::TakeRole, Self::Anonymize, Self::Delete];

    /// Reads the name that an address or a form has.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Unban => "unban",
            Self::EndSessions => "end-sessions",
            Self::GiveRole => "give-role",
            Self::TakeRole => "take-role",
            Self::Anonymize => "anonymize",
            Self::Delete => "delete",
        }
    }

    /// What a button says before the people: "Ban 12 people".
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Ban => "Ban",
            Self::Unban => "Lift the bans of",
            Self::EndSessions => "End all sessions of",
            Self::GiveRole => "Give a role to",
            Self::TakeRole => "Take a role from",
            Self::Anonymize => "Anonymize",
            Self::Delete => "Delete",
        }
    }

    /// What it means for each of them.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Ban => {
                "All their sessions end at once, and none of them can sign in. The bans have no end; who is banned already gets this \
                 reason, and no end."
            }
            Self::Unban => "Those of them who are banned can sign in again.",
            Self::EndSessions => "Each of them has to sign in again. You are left out.",
            Self::GiveRole => "Those who have the role already keep it.",
            Self::TakeRole => "Those who do not have the role stay as they are.",
            Self::Anonymize => {
                "Their rows and ids stay, for data that refers to them; names, addresses and everything else of them goes. It \
                 cannot be undone."
            }
            Self::Delete => {
                "They and everything that belongs to them goes: roles, sessions, accounts, tokens, and rows of the application \
                 that go along. It cannot be undone."
            }
        }
    }

    pub(super) fn has_reason(self) -> bool {
        self == Self::Ban
    }

    pub(super) fn gives_role(self) -> bool {
        self == Self::GiveRole
    }

    pub(super) fn has_role(self) -> bool {
        matches!(self, Self::GiveRole | Self::TakeRole)
    }

    /// Refuses a form whose fields no act of this kind can use, before anything is done.
    pub(super) async fn check(self, staff: &Staff, form: &Params) -> Result<(), Rejection> {
        let role = form.get("role").unwrap_or_default().trim();
        if self.gives_role() {
            check_role(staff, form).await?;
        }
        if self.has_role() && !is_role_name(role) || self.gives_role() && !staff.admin.auth.is_role(role) {
            return Err(Rejection::validation(vec![FieldError::new("role", "not_allowed", "is not a role")]));
        }
        Ok(())
    }

    /// Does it to one person, on behalf of the administrator. Returns whether there was anything to do.
    pub(super) async fn on(self, auth: &AuthFort, admin: &Admin, id: UserId, form: &Params) -> Result<bool, Rejection> {
        let role = form.get("role").unwrap_or_default().trim();
        let demotes = self == Self::TakeRole && role == auth.admin_role();
        if demotes || matches!(self, Self::Ban | Self::EndSessions | Self::Anonymize | Self::Delete) {
            admin.not_on_self(id)?;
        }
        let version = async || Ok::<_, Rejection>(auth.find_user(id).await?.map(|user| user.version));
        let before = version().await?;
        match self {
            Self::Ban => {
                let call = auth.ban_user(id);
                match form.get("reason").map(str::trim).filter(|reason| !reason.is_empty()) {
                    Some(reason) => call.reason(reason).await?,
                    None => call.await?,
                };
            }
            Self::Unban => {
                auth.unban_user(id).await?;
            }
            Self::EndSessions => return Ok(auth.revoke_sessions(id).await? > 0),
            Self::GiveRole => {
                auth.add_role(id, role).await?;
            }
            Self::TakeRole => {
                auth.remove_role(id, role).await?;
            }
            Self::Anonymize => {
                auth.delete_user(id).anonymize().await?;
            }
            Self::Delete => {
                auth.delete_user(id).await?;
            }
        }
        Ok(version().await? != before)
    }
}
