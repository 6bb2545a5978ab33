//! `POST /logout`

use authfort::secrecy::ExposeSecret;
use axum::http::{HeaderMap, StatusCode};

use super::answer::clear_cookies;
use super::refresh::RefreshToken;
use super::visitor::Visitor;
use crate::{OptionalJson, Rejection};

/// Ends the session of a refresh token, whether or not there is one.
#[utoipa::path(
    post, path = "/logout", tag = "auth", request_body = RefreshToken,
    responses((status = 204, description = "There is no such session any more."))
)]
pub(crate) async fn logout(
    visitor: Visitor,
    OptionalJson(body): OptionalJson<RefreshToken>,
) -> Result<(StatusCode, HeaderMap), Rejection> {
    // Of a cookie that cannot be read there is no session to end; the answer takes it back all the same.
    let token = body.token().or_else(|| visitor.refresh_cookie.ok().flatten());
    if let Some(token) = token {
        visitor.auth.logout(token.expose_secret()).await?;
    }
    Ok((StatusCode::NO_CONTENT, clear_cookies(&visitor.caller)?))
}
