//! A client that is not signed in, or need not be.

use authfort::secrecy::SecretString;
use authfort::{AuthFort, Result, SignedIn};
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::answer;
use crate::layer::{Caller, bearer};
use crate::limits::Limits;
use crate::{Action, Rejection};

/// Extracts a client that signs up or signs in, for an application's own handlers that replace those of
/// [`auth_router`](crate::auth_router), with the same limits and the same response.
///
/// ```
/// use authfort::secrecy::SecretString;
/// use authfort_axum::{Action, Rejection, Visitor};
/// use axum::http::StatusCode;
/// use axum::response::Response;
/// use axum::{Json, Router, routing::post};
///
/// #[derive(serde::Deserialize)]
/// struct Invited {
///     email: String,
///     password: SecretString,
/// }
///
/// async fn sign_up(visitor: Visitor, Json(form): Json<Invited>) -> Result<Response, Rejection> {
///     visitor.check(Action::SignUp, &form.email)?;
///     let auth = visitor.auth();
///     let user = auth.create_user(form.email).password(form.password).role("invited").await?;
///     visitor.signed_in(StatusCode::CREATED, auth.create_session(user.id).await?)
/// }
///
/// let app: Router = Router::new().route("/sign-up", post(sign_up));
/// ```
///
/// In cookie mode such a handler sets cookies, so a page of another site may not call it, whatever the method: it could
/// sign the user in as somebody else. Such a request is refused with 403 `cross_site_request` before the handler runs.
///
/// Clones share the same limits, for [`check_rate`](authfort::SignUp).
#[derive(Debug, Clone)]
pub struct Visitor {
    pub(super) caller: Caller,
    pub(super) auth: AuthFort,
    pub(super) limits: Limits,
}

impl Visitor {
    /// Returns the service without a user; its events record the client's address and user agent.
    pub fn auth(&self) -> &AuthFort {
        &self.auth
    }

    #[cfg(feature = "ui")]
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Takes one attempt from the client's counters, and one from this account's: the address that was entered, in any
    /// spelling. Call it before any password is hashed.
    ///
    /// # Errors
    /// - [`Error::RateLimited`](authfort::Error::RateLimited): one of the counters has no attempt left
    pub fn check(&self, action: Action, account: &str) -> Result<()> {
        self.limits.client(action)?;
        self.limits.account(action, account)
    }

    /// Returns the response of sign-up, login and refresh: the user and the tokens as JSON, and in cookie mode the
    /// cookies.
    ///
    /// # Errors
    /// - 500 for tokens that a cookie cannot carry
    pub fn signed_in(&self, status: StatusCode, signed_in: SignedIn) -> Result<Response, Rejection> {
        answer::signed_in(&self.caller, status, signed_in)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let caller = Caller::of(parts)?;
        if caller.shared.cookies.is_some() {
            caller.check_site_of_any_method(parts)?;
        }
        let auth = caller.act(parts, None, None);
        let limits = Limits::of(caller, parts);
        Ok(Self { caller: caller.clone(), auth, limits })
    }
}

/// The refresh tokens of the cookie. A malformed cookie is an error only for a handler that uses it, so a cookie that
/// an attacker planted does not prevent a sign-in.
pub(crate) struct RefreshCookies(pub Result<Vec<SecretString>>);

impl<S: Send + Sync> FromRequestParts<S> for RefreshCookies {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Caller::of(parts).map(|caller| Self::of(caller, parts))
    }
}

impl RefreshCookies {
    pub(crate) fn of(caller: &Caller, parts: &Parts) -> Self {
        let cookies = caller.shared.cookies.as_ref().map(|cookies| cookies.refresh(&parts.headers).map(secret));
        Self(cookies.unwrap_or_else(|| Ok(Vec::new())))
    }
}

/// The access tokens of the request. Malformed ones are ignored: a logout needs no valid token.
pub(crate) struct AccessTokens {
    pub cookies: Vec<SecretString>,
    /// At most one.
    pub bearer: Vec<SecretString>,
}

impl<S: Send + Sync> FromRequestParts<S> for AccessTokens {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let cookies = Caller::of(parts)?.shared.cookies.as_ref().map(|cookies| cookies.access(&parts.headers));
        let bearer = bearer(&parts.headers).ok().flatten();
        Ok(Self {
            cookies: secret(cookies.and_then(Result::ok).unwrap_or_default()),
            bearer: secret(bearer.into_iter().collect()),
        })
    }
}

fn secret(tokens: Vec<&str>) -> Vec<SecretString> {
    tokens.into_iter().map(SecretString::from).collect()
}

/// The service on behalf of the signed-in user, or without a user: an invalid access token is treated as none. For
/// routes that another secret authorizes, where a session is optional.
pub(crate) struct Acting(pub AuthFort);

impl<S: Send + Sync> FromRequestParts<S> for Acting {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let caller = Caller::of(parts)?;
        let principal = match caller.principal(parts).await {
            // It must be known whether a user is signed in, so a server error is not treated as "not signed in".
            Err(rejection) if rejection.status().is_server_error() => return Err(rejection),
            other => other.ok().flatten(),
        };
        Ok(Self(caller.act(parts, principal.as_deref(), None)))
    }
}
