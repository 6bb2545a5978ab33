//! The caller, as an argument of a handler.

use std::ops::Deref;
use std::sync::Arc;

use authfort::{AuthFort, Principal};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;

use crate::Rejection;
use crate::layer::Caller;

/// The signed-in caller of a request. Without a token that counts the answer is 401, and 403 for a banned user.
///
/// `Option<CurrentUser>` is nobody where no token came; a token that came and does not count is still refused.
///
/// ```
/// use authfort_axum::CurrentUser;
///
/// async fn profile(user: CurrentUser) -> String {
///     format!("{} has the roles {:?}", user.email, user.roles)
/// }
///
/// async fn greeting(user: Option<CurrentUser>) -> String {
///     user.map_or_else(|| "Hello".into(), |user| format!("Hello, {}", user.email))
/// }
/// # let _: axum::Router = axum::Router::new()
/// #     .route("/profile", axum::routing::get(profile)).route("/", axum::routing::get(greeting));
/// ```
#[derive(Debug, Clone)]
pub struct CurrentUser(pub(crate) Arc<Principal>);

impl Deref for CurrentUser {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let caller = Caller::of(parts)?;
        caller.principal(parts).await?.map(Self).ok_or_else(Rejection::token_missing)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for CurrentUser {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        let caller = Caller::of(parts)?;
        Ok(caller.principal(parts).await?.map(Self))
    }
}

/// The service, acting on behalf of the caller: events of what a handler does with it name the user, the session, the
/// address and the request. It lets everybody in; what the caller may do is for a guard to say.
///
/// ```
/// use authfort_axum::{Auth, CurrentUser, Rejection};
///
/// async fn close_account(user: CurrentUser, Auth(auth): Auth) -> Result<(), Rejection> {
///     auth.delete_user(user.user_id).anonymize().await?;
///     Ok(())
/// }
/// # let _: axum::Router = axum::Router::new().route("/close", axum::routing::post(close_account));
/// ```
#[derive(Debug, Clone)]
pub struct Auth(pub AuthFort);

impl<S: Send + Sync> FromRequestParts<S> for Auth {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let caller = Caller::of(parts)?;
        let principal = caller.principal(parts).await?;
        Ok(Self(caller.act(parts, principal.as_deref(), None)))
    }
}
