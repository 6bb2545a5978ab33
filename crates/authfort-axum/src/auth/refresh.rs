//! `POST /refresh`

use authfort::secrecy::{ExposeSecret, SecretString};
use authfort::{AuthFort, SignedIn};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::SignedInBody;
use super::visitor::{RefreshCookies, Visitor};
use crate::limits::Limits;
use crate::openapi::ErrorBody;
use crate::{Action, OptionalJson, Query, Rejection};

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshToken {
    /// If it is absent, the refresh token cookie is used.
    #[serde(default)]
    pub refresh_token: Option<String>,
}

impl RefreshToken {
    pub(super) fn token(self) -> Option<SecretString> {
        self.refresh_token.map(SecretString::from)
    }
}

/// Exchanges a refresh token for a new pair of tokens.
///
/// A token that was exchanged before is refused and its whole session is ended, unless it comes back within the grace
/// period and the new refresh token is still unused.
#[utoipa::path(
    post, path = "/refresh", tag = "auth", request_body = RefreshToken,
    responses(
        (status = 200, body = SignedInBody),
        (status = 401, description = "`refresh_token_missing`, `refresh_token_invalid`, `refresh_token_reused`",
         body = ErrorBody),
        (status = 429, description = "`rate_limited`", body = ErrorBody),
    )
)]
pub(crate) async fn refresh(
    visitor: Visitor,
    RefreshCookies(cookies): RefreshCookies,
    Query(()): Query<()>,
    OptionalJson(body): OptionalJson<RefreshToken>,
) -> Result<Response, Rejection> {
    let tokens = match body.token() {
        Some(token) => vec![token],
        None => cookies?,
    };
    let user = exchange(&visitor.auth, visitor.limits.clone(), &tokens).await?;
    visitor.signed_in(StatusCode::OK, user)
}

/// Exchanges the first of these refresh tokens that is valid, within the limits of the client and of its user.
pub(crate) async fn exchange(auth: &AuthFort, limits: Limits, tokens: &[SecretString]) -> Result<SignedIn, Rejection> {
    let mut tokens = tokens.iter().map(ExposeSecret::expose_secret);
    let first = tokens.next().ok_or_else(Rejection::refresh_token_missing)?;
    limits.client(Action::Refresh)?;
    let mut call = auth.refresh(first);
    for other in tokens {
        call = call.or(other);
    }
    Ok(call.check_rate(move |user| limits.account(Action::Refresh, &user.to_string())).await?)
}
