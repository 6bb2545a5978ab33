//! `/ui/sign-in` and `/ui/sign-out`

use askama::Template;
use authfort::LoginOutcome;
use authfort::secrecy::{ExposeSecret, SecretString};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};

use super::frame::{Frame, page};
use super::params::{Form, Params};
use super::site::Site;
use crate::auth::{AccessTokens, RefreshCookies, Visitor, clear_cookies, cookies_of};
use crate::{Action, CurrentUser, Rejection};

#[derive(Template)]
#[template(path = "ui/sign_in.html")]
struct SignIn<'a> {
    frame: Frame,
    email: &'a str,
    next: &'a str,
    /// Why the last attempt failed.
    refusal: Option<&'a Rejection>,
}

pub(super) async fn form(site: Site, user: Option<CurrentUser>, params: Params) -> Result<Response, Rejection> {
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
    match attempt(&visitor, &email, password).await {
        Ok(cookies) => Ok((cookies, Redirect::to(&next)).into_response()),
        Err(rejection) => {
            let frame = Frame::new(site, None);
            page(rejection.status(), &SignIn { frame, email: &email, next: &next, refusal: Some(&rejection) })
        }
    }
}

async fn attempt(visitor: &Visitor, email: &str, password: SecretString) -> Result<HeaderMap, Rejection> {
    visitor.check(Action::Login, email)?;
    match visitor.auth().login(email, password).await? {
        LoginOutcome::SignedIn(signed_in) => cookies_of(visitor.caller(), &signed_in),
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
        for token in &tokens {
            visitor.auth().logout(token.expose_secret()).await?;
        }
    }
    Ok((clear_cookies(visitor.caller())?, Redirect::to(&site.path("/ui/sign-in"))).into_response())
}
