//! `POST /request-password-reset`

use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::visitor::Visitor;
use crate::openapi::ErrorBody;
use crate::{Action, Json, Query, Rejection};

/// The user who forgot their password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestPasswordReset {
    email: String,
}

/// Requests a mail with a token that resets a password.
///
/// The response and its timing are the same whether or not a user has the address. The event `password_reset_requested`
/// passes the token to the application's hooks, which send the mail.
#[utoipa::path(
    post, path = "/request-password-reset", tag = "auth", request_body = RequestPasswordReset,
    responses(
        (status = 202, description = "A mail is on its way, if somebody has this address."),
        (status = 429, description = "`rate_limited`", body = ErrorBody),
    )
)]
pub(crate) async fn request_password_reset(
    visitor: Visitor,
    Query(()): Query<()>,
    Json(body): Json<RequestPasswordReset>,
) -> Result<StatusCode, Rejection> {
    visitor.check(Action::Mail, &body.email)?;
    visitor.auth.request_password_reset(body.email).await?;
    Ok(StatusCode::ACCEPTED)
}
