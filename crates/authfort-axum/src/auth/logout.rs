//! `POST /logout`

use authfort::AuthFort;
use authfort::secrecy::{ExposeSecret, SecretString};
use axum::http::{HeaderMap, StatusCode};

use super::answer::clear_cookies;
use super::refresh::RefreshToken;
use super::visitor::{AccessTokens, RefreshCookies, Visitor};
use crate::{OptionalJson, Query, Rejection};

/// Ends the session of a token.
///
/// The token is the refresh token in the body. Without one it is the refresh token cookie, else the access token
/// cookie, else the bearer token: the first of these that has a session. The response is the same whether or not there
/// was a session.
#[utoipa::path(
    post, path = "/logout", tag = "auth", request_body = RefreshToken,
    responses((status = 204, description = "There is no such session any more."))
)]
pub(crate) async fn logout(
    visitor: Visitor,
    RefreshCookies(cookies): RefreshCookies,
    Query(()): Query<()>,
    access: AccessTokens,
    OptionalJson(body): OptionalJson<RefreshToken>,
) -> Result<(StatusCode, HeaderMap), Rejection> {
    let candidates = match body.token() {
        // The body names the session, so no other session is ended.
        Some(token) => vec![vec![token]],
        // A malformed refresh token cookie has no session to end; the response clears it all the same.
        None => vec![cookies.unwrap_or_default(), access.cookies, access.bearer],
    };
    for tokens in candidates {
        if end_sessions(&visitor.auth, &tokens).await? {
            break;
        }
    }
    Ok((StatusCode::NO_CONTENT, clear_cookies(&visitor.caller)?))
}

/// Returns whether any of the tokens had a session.
pub(crate) async fn end_sessions(auth: &AuthFort, tokens: &[SecretString]) -> Result<bool, Rejection> {
    let mut ended = false;
    for token in tokens {
        ended |= auth.logout(token.expose_secret()).await?;
    }
    Ok(ended)
}
