//! The administrator who calls a route, and whether they still are one.

use authfort::{AuthFort, UserId};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::layer::Caller;
use crate::{CurrentUser, Rejection};

/// The signed-in administrator, and the service acting on their behalf. A caller without the role is refused, on every
/// route.
pub(crate) struct Admin {
    pub auth: AuthFort,
    pub user: CurrentUser,
}

impl Admin {
    /// Refuses an administrator who bans, deletes or demotes themself: it would be an accident, or somebody else at the
    /// keyboard.
    pub(crate) fn not_on_self(&self, target: UserId) -> Result<(), Rejection> {
        if self.user.user_id == target { Err(Rejection::cannot_act_on_self()) } else { Ok(()) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let user = <CurrentUser as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let caller = Caller::of(parts)?;
        let role = caller.shared.auth.admin_role();
        if !user.has_role(role) {
            return Err(Rejection::insufficient_role(role));
        }
        // The service checks the role again when a change is committed.
        Ok(Self { auth: caller.act(parts, Some(&user), Some(role)), user })
    }
}

/// The request of an administrator, for a response that lasts longer than the check of its caller.
pub(crate) struct AdminRequest {
    pub admin: Admin,
    parts: Parts,
}

impl AdminRequest {
    /// Checks once more that the caller is signed in with the same session, and has the role. False as well if this cannot be
    /// known.
    pub(crate) async fn is_allowed(&self) -> bool {
        let Ok(caller) = Caller::of(&self.parts) else { return false };
        let principal = caller.unanswered().principal(&self.parts).await.ok().flatten();
        principal.is_some_and(|user| {
            user.session_id == self.admin.user.session_id && user.has_role(caller.shared.auth.admin_role())
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AdminRequest {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        Ok(Self { admin: Admin::from_request_parts(parts, state).await?, parts: parts.clone() })
    }
}
