//! `POST /request-email-verification`

use axum::http::StatusCode;

use crate::limits::Limits;
use crate::openapi::ErrorBody;
use crate::{Action, Auth, CurrentUser, Query, Rejection};

/// Asks for a token that verifies the caller's address. It goes to the application's hooks by the event
/// `email_verification_requested`, and from there to the address; none where the address is verified already.
#[utoipa::path(
    post, path = "/request-email-verification", tag = "auth", security(("bearer" = [])),
    responses(
        (status = 202, description = "A mail is on its way, unless the address is verified."),
        (status = 401, description = "`token_missing` and its relatives", body = ErrorBody),
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
