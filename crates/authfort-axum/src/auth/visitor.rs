//! Somebody who is not signed in yet, or does not have to be.

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

/// Who comes to sign up or to sign in: for an application's own handlers that do what those of
/// [`auth_router`](crate::auth_router) do, with the same limits and the same answer.
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
/// In cookie mode such a handler hands out cookies, so a page of another site may not use it, by whatever method: it could
/// sign its visitor in as somebody else. That is 403 `cross_site_request`, before the handler runs.
///
/// Clones count in the same limits, for [`check_rate`](authfort::SignUp).
#[derive(Debug, Clone)]
pub struct Visitor {
    pub(super) caller: Caller,
    pub(super) auth: AuthFort,
    pub(super) limits: Limits,
}

impl Visitor {
    /// The service on behalf of nobody, with the client's address and program for the events.
    pub fn auth(&self) -> &AuthFort {
        &self.auth
    }

    /// Takes one attempt of this client, and one at this account: the address that was entered, however it is spelled.
    /// To be called before any password is hashed.
    ///
    /// # Errors
    /// - [`Error::RateLimited`](authfort::Error::RateLimited): nothing is left of one of them
    pub fn check(&self, action: Action, account: &str) -> Result<()> {
        self.limits.client(action)?;
        self.limits.account(action, account)
    }

    /// The answer of sign-up, login and refresh: the user and the tokens as JSON, and in cookie mode the cookies.
    ///
    /// # Errors
    /// - 500 for tokens that are too long for a cookie
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
        let limits = Limits::of(&caller, parts);
        Ok(Self { caller, auth, limits })
    }
}

/// The refresh tokens that the cookie may mean. One that cannot be read is a fault for who asks for it, and for nobody
/// else: a cookie that somebody planted keeps nobody from signing in.
pub(crate) struct RefreshCookies(pub Result<Vec<SecretString>>);

impl<S: Send + Sync> FromRequestParts<S> for RefreshCookies {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let caller = Caller::of(parts)?;
        let Some(cookies) = &caller.shared.cookies else { return Ok(Self(Ok(Vec::new()))) };
        Ok(Self(cookies.refresh(&parts.headers).map(secret)))
    }
}

/// The access tokens that came. What cannot be read is none; to leave takes no proof.
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

/// The service on behalf of whoever is signed in, or of nobody: a token that does not count is none. For routes to which
/// another secret opens the door and a session only adds to it.
pub(crate) struct Acting(pub AuthFort);

impl<S: Send + Sync> FromRequestParts<S> for Acting {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let caller = Caller::of(parts)?;
        let principal = match caller.principal(parts).await {
            // Whether somebody is signed in must be known.
            Err(rejection) if rejection.status().is_server_error() => return Err(rejection),
            other => other.ok().flatten(),
        };
        Ok(Self(caller.act(parts, principal.as_deref(), None)))
    }
}
