//! On whose behalf a call is made. It goes into every event that the call writes.

use std::net::IpAddr;

use super::standing::Bearer;
use crate::{Principal, SessionId, UserId};

/// Who acts, from where, and under which request.
///
/// [`AuthFort::by`](crate::AuthFort::by) takes one. A [`UserId`] alone is enough where nothing else is known.
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
    /// The access token that the actor came with, for asking once more at the commit whether it counts.
    pub(crate) bearer: Option<Bearer>,
    pub(crate) request_id: Option<String>,
    pub(crate) ip_address: Option<String>,
    pub(crate) user_agent: Option<String>,
}

/// A user agent is a free text from outside: what is longer than this many characters is cut.
const USER_AGENT_CHARS: usize = 512;
/// Likewise for request ids.
const REQUEST_ID_CHARS: usize = 128;

impl Actor {
    /// Nobody in particular: the application itself, or a caller not signed in.
    pub fn system() -> Self {
        Self::default()
    }

    /// A user.
    pub fn user(id: UserId) -> Self {
        Self { user_id: Some(id), ..Self::default() }
    }

    /// The session that the user acts in.
    #[must_use]
    pub fn session(mut self, id: SessionId) -> Self {
        self.session_id = Some(id);
        self
    }

    /// Demands that the actor still holds this role, unbanned, when a change is committed: every change that this actor
    /// makes asks once, under its locks.
    ///
    /// The check at the door is not enough: of two administrators who demote each other at the same instant, exactly
    /// one succeeds; the other gets [`Error::InsufficientRole`](crate::Error::InsufficientRole). The admin router
    /// sets this.
    #[must_use]
    pub fn require_role(mut self, role: impl Into<String>) -> Self {
        self.must_hold = Some(role.into());
        self
    }

    /// The id of the request, cut at 128 characters.
    #[must_use]
    pub fn request_id(mut self, id: impl AsRef<str>) -> Self {
        self.request_id = Some(clean(id.as_ref(), REQUEST_ID_CHARS));
        self
    }

    /// The client's address.
    #[must_use]
    pub fn ip_address(mut self, address: IpAddr) -> Self {
        self.ip_address = Some(address.to_canonical().to_string());
        self
    }

    /// The client's description of itself; control characters are dropped, and it is cut at 512 characters.
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

/// The caller of a request, in their session. Each change that such an actor makes asks once more, in its own
/// transaction, what the guard asked: a request that was held back since then does not outlive a ban, another role, the
/// end of the session, or the token.
impl From<&Principal> for Actor {
    fn from(principal: &Principal) -> Self {
        Self { bearer: Some(principal.into()), ..Self::user(principal.user_id).session(principal.session_id) }
    }
}

fn clean(text: &str, chars: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(chars).collect()
}
