//! The response of sign-up, login and refresh: the user, the tokens, and in cookie mode the cookies.

use std::time::Duration;

use authfort::secrecy::ExposeSecret;
use authfort::{SessionId, SignedIn, User};
use axum::Json;
use axum::http::header::{CACHE_CONTROL, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Rejection;
use crate::layer::Caller;

/// The caller's own user.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    #[serde(flatten)]
    user: User,
    session_id: SessionId,
    /// Always false: a second factor is not supported yet.
    mfa_enabled: bool,
}

impl Me {
    pub(crate) fn new(user: User, session_id: SessionId) -> Self {
        Self { user, session_id, mfa_enabled: false }
    }
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenPair {
    access_token: String,
    refresh_token: String,
    /// The lifetime of the access token, in seconds.
    expires_in: u64,
}

/// A signed-in user and the tokens of the session.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignedInBody {
    user: Me,
    tokens: TokenPair,
}

pub(super) fn signed_in(caller: &Caller, status: StatusCode, signed_in: SignedIn) -> Result<Response, Rejection> {
    let tokens = &signed_in.tokens;
    let (access, refresh) = (tokens.access_token.expose_secret(), tokens.refresh_token.expose_secret());
    let mut headers = cookies_of(caller, &signed_in)?;
    // RFC 6749, section 5.1: a response with tokens must not be stored, wherever the handler is mounted.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let body = SignedInBody {
        tokens: TokenPair {
            access_token: access.to_owned(),
            refresh_token: refresh.to_owned(),
            expires_in: tokens.expires_in,
        },
        user: Me::new(signed_in.user, signed_in.session_id),
    };
    Ok((status, headers, Json(body)).into_response())
}

/// Returns the headers that set the cookies of a session; none without cookie mode.
pub(crate) fn cookies_of(caller: &Caller, signed_in: &SignedIn) -> Result<HeaderMap, Rejection> {
    let mut headers = HeaderMap::new();
    if let Some(cookies) = &caller.shared.cookies {
        let tokens = &signed_in.tokens;
        let (access, refresh) = (tokens.access_token.expose_secret(), tokens.refresh_token.expose_secret());
        let refresh_ttl = (tokens.refresh_expires_at - caller.shared.auth.now()).to_std().unwrap_or_default();
        let set = cookies.set((access, Duration::from_secs(tokens.expires_in)), (refresh, refresh_ttl))?;
        append(&mut headers, set);
    }
    Ok(headers)
}

/// Returns the headers that clear the cookies; none without cookie mode.
pub(crate) fn clear_cookies(caller: &Caller) -> Result<HeaderMap, Rejection> {
    let mut headers = HeaderMap::new();
    if let Some(cookies) = &caller.shared.cookies {
        append(&mut headers, cookies.clear()?);
    }
    Ok(headers)
}

fn append(headers: &mut HeaderMap, cookies: [HeaderValue; 2]) {
    for cookie in cookies {
        headers.append(SET_COOKIE, cookie);
    }
}
