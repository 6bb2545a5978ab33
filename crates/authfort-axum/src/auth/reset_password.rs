//! `POST /reset-password`

use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::visitor::{Acting, Visitor};
use crate::openapi::ErrorBody;
use crate::{Action, Json, Query, Rejection};

/// The token that was sent to the address, and the new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetPassword {
    #[schema(format = Password)]
    token: String,
    #[schema(format = Password, min_length = 8, max_length = 1024)]
    new_password: String,
}

/// Sets a new password with a password reset token.
///
/// All sessions of the user are ended, and the address is marked as verified.
#[utoipa::path(
    post, path = "/reset-password", tag = "auth", request_body = ResetPassword,
    responses(
        (status = 204, description = "The password is set."),
        (status = 422, description = "`validation_failed`", body = ErrorBody),
        (status = 429, description = "`rate_limited`", body = ErrorBody),
    )
)]
pub(crate) async fn reset_password(
    visitor: Visitor,
    Query(()): Query<()>,
    Acting(auth): Acting,
    Json(body): Json<ResetPassword>,
) -> Result<StatusCode, Rejection> {
    let limits = visitor.limits;
    auth.reset_password(body.token, body.new_password).check_rate(move || limits.client(Action::Login)).await?;
    Ok(StatusCode::NO_CONTENT)
}
