//! Extractors for the caller of a request.

use std::ops::Deref;
use std::sync::Arc;

use authfort::{AuthFort, Principal};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;

use crate::Rejection;
use crate::layer::Caller;

/// Extracts the authenticated caller of a request. Without a valid token the response is 401, for a banned user 403.
///
/// `Option<CurrentUser>` is `None` if the request has no token; an invalid token is still refused.
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

/// Extracts the service, acting on behalf of the caller: the events of its operations record the user, the session, the
/// address and the request. A request without a token is accepted; use a guard to authorize the caller.
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
