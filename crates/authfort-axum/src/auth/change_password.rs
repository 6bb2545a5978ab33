//! `POST /change-password`

use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::limits::Limits;
use crate::openapi::ErrorBody;
use crate::{Action, Auth, CurrentUser, Json, Query, Rejection};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    #[schema(format = Password)]
    current_password: String,
    #[schema(format = Password, min_length = 8, max_length = 1024)]
    new_password: String,
}

/// Changes the caller's password and ends their other sessions.
///
/// The access token of this session becomes invalid; a refresh returns a new one.
#[utoipa::path(
    post, path = "/change-password", tag = "auth", request_body = ChangePassword, security(("bearer" = [])),
    responses(
        (status = 204),
        (status = 401, description = "`invalid_credentials` for a wrong current password", body = ErrorBody),
        (status = 422, description = "`validation_failed`", body = ErrorBody),
        (status = 429, description = "`rate_limited`", body = ErrorBody),
    )
)]
pub(crate) async fn change_password(
    user: CurrentUser,
    Auth(auth): Auth,
    limits: Limits,
    Query(()): Query<()>,
    Json(body): Json<ChangePassword>,
) -> Result<StatusCode, Rejection> {
    let email = user.email.clone();
    let call = auth.change_password(user.user_id, body.current_password, body.new_password);
    // The login limits apply, so that a stolen access token cannot be used to guess the password.
    let call = call.keep_session(user.session_id).check_rate(move || {
        limits.client(Action::Login)?;
        limits.account(Action::Login, &email)
    });
    call.await?;
    Ok(StatusCode::NO_CONTENT)
}
