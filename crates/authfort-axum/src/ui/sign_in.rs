//! `/ui/sign-in` and `/ui/sign-out`

use std::sync::Arc;

use askama::Template;
use authfort::secrecy::SecretString;
use authfort::{LoginOutcome, Principal, SignedIn};
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};

use super::frame::{Frame, page};
use super::params::{Form, Params};
use super::site::Site;
use crate::auth::{AccessTokens, RefreshCookies, Visitor, clear_cookies, cookies_of, end_sessions};
use crate::layer::Caller;
use crate::{Action, Rejection};

/// The caller, if a good token says who it is.
pub(super) struct Known(Option<Arc<Principal>>);

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self(Caller::of(parts)?.principal(parts).await.ok().flatten()))
    }
}

#[derive(Template)]
#[template(path = "ui/sign_in.html")]
struct SignIn<'a> {
    frame: Frame,
    email: &'a str,
    next: &'a str,
    /// Why the last attempt failed.
    refusal: Option<&'a Rejection>,
}

/// Whoever is not signed in for certain gets the form: also who sends a token that is refused.
pub(super) async fn form(site: Site, Known(user): Known, params: Params) -> Result<Response, Rejection> {
    let next = site.next(params.get("next"));
    if user.is_some() {
        return Ok(Redirect::to(&next).into_response());
    }
    page(StatusCode::OK, &SignIn { frame: Frame::new(site, None), email: "", next: &next, refusal: None })
}

pub(super) async fn sign_in(site: Site, visitor: Visitor, Form(mut form): Form) -> Result<Response, Rejection> {
    let next = site.next(form.get("next"));
    let password = SecretString::from(form.take("password").unwrap_or_default());
    let email = form.take("email").unwrap_or_default();
    match log_in(&visitor, &email, password).await {
        Ok(signed_in) => Ok((cookies_of(visitor.caller(), &signed_in)?, Redirect::to(&next)).into_response()),
        Err(rejection) => {
            let frame = Frame::new(site, None);
            page(rejection.status(), &SignIn { frame, email: &email, next: &next, refusal: Some(&rejection) })
        }
    }
}

/// Signs in, within the limits of the client and of the account.
pub(super) async fn log_in(visitor: &Visitor, email: &str, password: SecretString) -> Result<SignedIn, Rejection> {
    visitor.check(Action::Login, email)?;
    match visitor.auth().login(email, password).await? {
        LoginOutcome::SignedIn(signed_in) => Ok(signed_in),
        other => {
            tracing::error!(outcome = ?other, "the admin page does not know this outcome of a login");
            Err(Rejection::internal())
        }
    }
}

pub(super) async fn sign_out(
    site: Site,
    visitor: Visitor,
    RefreshCookies(cookies): RefreshCookies,
    access: AccessTokens,
) -> Result<Response, Rejection> {
    for tokens in [cookies.unwrap_or_default(), access.cookies] {
        end_sessions(visitor.auth(), &tokens).await?;
    }
    Ok((clear_cookies(visitor.caller())?, Redirect::to(&site.path("/ui/sign-in"))).into_response())
}
