//! `POST /verify-email`

use authfort::User;
use axum::Json as Answer;
use serde::Deserialize;
use utoipa::ToSchema;

use super::visitor::{Acting, Visitor};
use crate::openapi::ErrorBody;
use crate::{Json, Query, Rejection};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyEmail {
    token: String,
}

/// Verifies an address with the token that was sent to it.
///
/// If the address was not verified before and the caller is not signed in as its user, everything that the registrant
/// had is removed: sessions, password and linked accounts.
#[utoipa::path(
    post, path = "/verify-email", tag = "auth", request_body = VerifyEmail,
    responses((status = 200, body = User), (status = 422, description = "`validation_failed`", body = ErrorBody))
)]
pub(crate) async fn verify_email(
    _: Visitor,
    Query(()): Query<()>,
    Acting(auth): Acting,
    Json(body): Json<VerifyEmail>,
) -> Result<Answer<User>, Rejection> {
    Ok(Answer(auth.verify_email(body.token).await?))
}
