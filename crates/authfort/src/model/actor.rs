//! On whose behalf a call is made. Every event that the call writes names the actor.

use std::net::IpAddr;
use std::sync::Arc;

use super::standing::Bearer;
use crate::{Principal, SessionId, UserId};

/// Who makes a call, from which address, and under which request.
///
/// [`AuthFort::by`](crate::AuthFort::by) takes one. If nothing else is known, a [`UserId`] alone is enough.
///
/// ```
/// use authfort::{Actor, UserId};
/// let id: UserId = "0198c0de-0000-7000-8000-000000000001".parse()?;
/// let actor = Actor::user(id).request_id("req-7").ip_address("192.0.2.1".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Actor {
    pub(crate) user_id: Option<UserId>,
    pub(crate) session_id: Option<SessionId>,
    pub(crate) must_hold: Option<String>,
    /// The access token that the actor came with, for the reauthorization inside a change.
    pub(crate) bearer: Option<Bearer>,
    pub(crate) request_id: Option<String>,
    pub(crate) ip_address: Option<String>,
    pub(crate) user_agent: Option<String>,
}

/// A user agent is free text from outside: it is truncated to this many characters.
const USER_AGENT_CHARS: usize = 512;
/// Request ids are truncated to this many characters.
const REQUEST_ID_CHARS: usize = 128;

impl Actor {
    /// Returns an actor without a user: the application itself, or a caller who is not signed in.
    pub fn system() -> Self {
        Self::default()
    }

    /// Returns an actor that is this user.
    pub fn user(id: UserId) -> Self {
        Self { user_id: Some(id), ..Self::default() }
    }

    /// Sets the session that the user acts in.
    #[must_use]
    pub fn session(mut self, id: SessionId) -> Self {
        self.session_id = Some(id);
        self
    }

    /// Requires that the actor still holds this role, unbanned, when a change is committed: every change that this
    /// actor makes checks it once, under its locks.
    ///
    /// A check before the change is not enough: of two administrators who demote each other at the same instant,
    /// exactly one succeeds; the other gets [`Error::InsufficientRole`](crate::Error::InsufficientRole). The admin
    /// router sets this.
    #[must_use]
    pub fn require_role(mut self, role: impl Into<String>) -> Self {
        self.must_hold = Some(role.into());
        self
    }

    /// Sets the id of the request, truncated to 128 characters.
    #[must_use]
    pub fn request_id(mut self, id: impl AsRef<str>) -> Self {
        self.request_id = Some(clean(id.as_ref(), REQUEST_ID_CHARS));
        self
    }

    /// Sets the client's address.
    #[must_use]
    pub fn ip_address(mut self, address: IpAddr) -> Self {
        self.ip_address = Some(address.to_canonical().to_string());
        self
    }

    /// Sets the client's user agent; control characters are removed, and it is truncated to 512 characters.
    #[must_use]
    pub fn user_agent(mut self, text: impl AsRef<str>) -> Self {
        self.user_agent = Some(clean(text.as_ref(), USER_AGENT_CHARS));
        self
    }
}

impl From<UserId> for Actor {
    fn from(id: UserId) -> Self {
        Self::user(id)
    }
}

/// The caller of a request, in their session. Each change that such an actor makes reauthorizes the caller in its own
/// transaction: a request that was delayed fails if the user was banned, lost a required role, or if the session was
/// ended or the token expired in the meantime.
impl From<&Arc<Principal>> for Actor {
    fn from(principal: &Arc<Principal>) -> Self {
        Self::from(&**principal)
    }
}

impl From<&Principal> for Actor {
    fn from(principal: &Principal) -> Self {
        Self { bearer: Some(principal.into()), ..Self::user(principal.user_id).session(principal.session_id) }
    }
}

fn clean(text: &str, chars: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(chars).collect()
}
