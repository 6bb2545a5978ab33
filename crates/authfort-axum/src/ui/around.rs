//! What surrounds each page.
//!
//! - Before it: where the page is mounted, and a fresh session. An access token lives for minutes; one that has expired is
//!   exchanged by means of the refresh token, so that nobody signs in again for it.
//! - After it: a refusal becomes a page with the same status and words. Who is not signed in is sent to sign in.
//! - The headers that keep other sites and injected scripts out.

use std::sync::Arc;

use askama::Template;
use authfort::secrecy::ExposeSecret;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::frame::{Frame, page};
use super::site::Site;
use super::words;
use super::{AdminPage, LIVE_EVENTS};
use crate::Rejection;
use crate::auth::{RefreshCookies, clear_cookies, cookies_of, exchange};
use crate::layer::Caller;
use crate::limits::Limits;

/// Sent with each request of the script.
pub(super) const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");

/// Sent with what the script asks for by itself, while nobody does anything.
const LIVE: HeaderName = HeaderName::from_static("x-authfort-live");

pub(super) async fn around(options: Arc<AdminPage>, mut request: Request, next: Next) -> Response {
    let origin = Origin {
        site: Site::of(options, &request),
        path: request.uri().path_and_query().map_or_else(String::new, ToString::to_string),
        reads: matches!(*request.method(), Method::GET | Method::HEAD),
        by_script: request.headers().contains_key(HX_REQUEST),
        is_live: request.headers().contains_key(LIVE) || request.uri().path() == LIVE_EVENTS,
    };
    request.extensions_mut().insert(origin.site.clone());
    let (mut parts, body) = request.into_parts();
    let renewed = if origin.may_renew() { renew(&mut parts).await } else { Ok(HeaderMap::new()) };
    let caller = Caller::of(&parts).cloned();
    let (mut response, cookies) = match renewed {
        Ok(cookies) => (next.run(Request::from_parts(parts, body)).await, cookies),
        Err(rejection) => (rejection.into_response(), HeaderMap::new()),
    };
    if let Some(rejection) = response.extensions_mut().remove::<Rejection>() {
        let me = caller.ok().and_then(|caller| caller.known());
        response = origin.refuse(response, &rejection, Frame::new(origin.site.clone(), me.as_deref()));
    }
    add_cookies(response.headers_mut(), &cookies);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, origin.site.page.policy.clone());
    for (name, value) in [
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Adds the cookies of a renewed session, unless the page has set its own: a newer session, or none.
fn add_cookies(to: &mut HeaderMap, cookies: &HeaderMap) {
    let name = |cookie: &HeaderValue| cookie.as_bytes().split(|byte| *byte == b'=').next().map(<[u8]>::to_owned);
    let own: Vec<_> = to.get_all(header::SET_COOKIE).iter().map(name).collect();
    for cookie in cookies.get_all(header::SET_COOKIE) {
        if !own.contains(&name(cookie)) {
            to.append(header::SET_COOKIE, cookie.clone());
        }
    }
}

/// Exchanges the refresh token of a caller whose access token has expired, and returns the cookies to set. A refresh token that
/// is refused is cleared, so that it is not sent again.
async fn renew(parts: &mut Parts) -> Result<HeaderMap, Rejection> {
    let none = HeaderMap::new();
    let caller = Caller::of(parts)?.clone();
    // Whoever sends a bearer token is that caller or nobody.
    if parts.headers.contains_key(header::AUTHORIZATION) {
        return Ok(none);
    }
    match caller.principal(parts).await {
        Ok(Some(_)) => return Ok(none),
        // The page says so itself.
        Err(rejection) if rejection.status() != StatusCode::UNAUTHORIZED => return Ok(none),
        Ok(None) | Err(_) => {}
    }
    let RefreshCookies(Ok(tokens)) = RefreshCookies::of(&caller, parts) else { return clear_cookies(&caller) };
    if tokens.is_empty() {
        return Ok(none);
    }
    caller.check_site(parts)?;
    let signed_in = match exchange(&caller.act(parts, None, None), Limits::of(&caller, parts), &tokens).await {
        Ok(signed_in) => signed_in,
        Err(rejection) if rejection.status().is_server_error() => return Err(rejection),
        Err(rejection) if rejection.status() == StatusCode::TOO_MANY_REQUESTS => return Err(rejection),
        // Who was banned, or whose session has ended, signs in again.
        Err(_) => return clear_cookies(&caller),
    };
    let principal = caller.shared.auth.authenticate(signed_in.tokens.access_token.expose_secret()).await?;
    parts.extensions.insert(caller.authenticated(principal));
    cookies_of(&caller, &signed_in)
}

/// What the answer to a refused request depends on.
struct Origin {
    site: Site,
    /// The path and the query, below the mount.
    path: String,
    reads: bool,
    by_script: bool,
    is_live: bool,
}

#[derive(Template)]
#[template(path = "ui/refusal.html")]
struct Refusal<'a> {
    frame: Frame,
    title: &'a str,
    rejection: &'a Rejection,
    sign_in: Option<String>,
    /// The page that a refused form stood on.
    retry: Option<String>,
    /// Whether the caller is signed in and may not see the page.
    is_stranger: bool,
}

#[derive(Template)]
#[template(path = "ui/notice.html")]
struct Notice<'a> {
    rejection: &'a Rejection,
    sign_in: Option<String>,
}

impl Origin {
    /// A page that begins or ends a session needs none, and a session does not live on because a page lies open.
    fn may_renew(&self) -> bool {
        !self.is_live && !self.is_sign_in() && !self.path.starts_with("/ui/sign-out")
    }

    fn is_sign_in(&self) -> bool {
        self.path.split('?').next() == Some("/ui/sign-in")
    }

    /// Returns the page of a refusal, or, for a form that a script has sent, a notice above the form, which stays as it is.
    fn refuse(&self, refused: Response, rejection: &Rejection, frame: Frame) -> Response {
        let signed_out = rejection.asks_for_a_token();
        let sign_in = signed_out.then(|| self.sign_in());
        if signed_out && self.is_live {
            // What is shown stays until somebody does something.
            return StatusCode::NO_CONTENT.into_response();
        }
        if let (Some(address), true, false) = (&sign_in, self.reads, self.is_sign_in()) {
            if !self.by_script {
                return Redirect::to(address).into_response();
            }
            let to = HeaderValue::from_str(address).unwrap_or(HeaderValue::from_static("/"));
            return ([(HeaderName::from_static("hx-redirect"), to)], "").into_response();
        }
        let made = if self.by_script && !self.reads {
            page(rejection.status(), &Notice { rejection, sign_in }).map(|mut notice| {
                for (name, value) in [("hx-retarget", "#notice"), ("hx-reswap", "innerHTML"), ("hx-push-url", "false")]
                {
                    notice.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
                }
                notice
            })
        } else {
            let title = match rejection.status().as_u16() {
                403 => "Not allowed",
                404 => "Not found",
                _ if signed_out => "Signed out",
                400..500 => "Not done",
                _ => "Something is wrong",
            };
            let retry = (!self.reads && sign_in.is_none()).then(|| self.site.path(self.form_page()));
            let is_stranger = rejection.code() == "insufficient_role";
            page(rejection.status(), &Refusal { frame, title, rejection, sign_in, retry, is_stranger })
        };
        let Ok(mut made) = made else { return refused };
        if self.is_live {
            // What is shown stays.
            made.headers_mut().insert(HeaderName::from_static("hx-reswap"), HeaderValue::from_static("none"));
        }
        for name in [header::RETRY_AFTER, header::CACHE_CONTROL, header::SET_COOKIE] {
            for value in refused.headers().get_all(&name) {
                made.headers_mut().append(name.clone(), value.clone());
            }
        }
        made
    }

    /// Returns the page that a form stood on; some buttons stand on the page of what they act on.
    fn form_page(&self) -> &str {
        let buttons =
            ["/unban", "/roles/remove", "/sessions/end", "/replay", "/drop", "/test", "/switch", "/redeliver"];
        buttons.iter().find_map(|button| self.path.strip_suffix(button)).unwrap_or(&self.path)
    }

    fn sign_in(&self) -> String {
        let next = if self.reads { self.site.path(&self.path) } else { self.site.path("/ui/") };
        let next = percent_encoding::utf8_percent_encode(&next, percent_encoding::NON_ALPHANUMERIC);
        self.site.path(&format!("/ui/sign-in?next={next}"))
    }
}
