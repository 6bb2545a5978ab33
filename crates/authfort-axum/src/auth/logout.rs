//! `POST /logout`

use authfort::AuthFort;
use authfort::secrecy::{ExposeSecret, SecretString};
use axum::http::{HeaderMap, StatusCode};

use super::answer::clear_cookies;
use super::refresh::RefreshToken;
use super::visitor::{AccessTokens, RefreshCookies, Visitor};
use crate::{OptionalJson, Query, Rejection};

/// Ends the session of a token: of the refresh token in the body; else of the cookies; else of the bearer token. The
/// answer is the same whether or not there was one.
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
        // It says which session is meant, so no other one ends.
        Some(token) => vec![vec![token]],
        // Of a cookie that cannot be read there is no session to end; the answer takes it back all the same.
        None => vec![cookies.unwrap_or_default(), access.cookies, access.bearer],
    };
    for tokens in candidates {
        if end_sessions(&visitor.auth, &tokens).await? {
            break;
        }
    }
    Ok((StatusCode::NO_CONTENT, clear_cookies(&visitor.caller)?))
}

/// Whether any of them had a session.
async fn end_sessions(auth: &AuthFort, tokens: &[SecretString]) -> Result<bool, Rejection> {
    let mut ended = false;
    for token in tokens {
        ended |= auth.logout(token.expose_secret()).await?;
    }
    Ok(ended)
}
