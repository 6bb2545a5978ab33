//! `POST /request-email-verification`

use axum::http::StatusCode;

use crate::limits::Limits;
use crate::openapi::ErrorBody;
use crate::{Action, Auth, CurrentUser, Query, Rejection};

/// Requests a mail with a token that verifies the caller's address.
///
/// The event `email_verification_requested` passes the token to the application's hooks, which send the mail. No token
/// is generated if the address is already verified.
#[utoipa::path(
    post, path = "/request-email-verification", tag = "auth", security(("bearer" = [])),
    responses(
        (status = 202, description = "A mail is on its way, unless the address is verified."),
        (status = 401, description = "`token_missing`, `token_invalid`, `token_expired`, `token_version_mismatch`, `session_revoked`, `user_not_found`", body = ErrorBody),
        (status = 429, description = "`rate_limited`", body = ErrorBody),
    )
)]
pub(crate) async fn request_email_verification(
    user: CurrentUser,
    Auth(auth): Auth,
    limits: Limits,
    Query(()): Query<()>,
) -> Result<StatusCode, Rejection> {
    limits.client(Action::Mail)?;
    limits.account(Action::Mail, &user.email)?;
    auth.request_email_verification(&user.email).await?;
    Ok(StatusCode::ACCEPTED)
}
