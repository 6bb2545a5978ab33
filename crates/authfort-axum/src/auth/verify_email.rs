//! `POST /verify-email`

use authfort::User;
use axum::Json as Answer;
use serde::Deserialize;
use utoipa::ToSchema;

use super::visitor::Visitor;
use crate::openapi::ErrorBody;
use crate::{Json, Rejection};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyEmail {
    token: String,
}

/// Redeems the token that was sent to an address.
#[utoipa::path(
    post, path = "/verify-email", tag = "auth", request_body = VerifyEmail,
    responses((status = 200, body = User), (status = 422, description = "`validation_failed`", body = ErrorBody))
)]
pub(crate) async fn verify_email(visitor: Visitor, Json(body): Json<VerifyEmail>) -> Result<Answer<User>, Rejection> {
    Ok(Answer(visitor.auth.verify_email(body.token).await?))
}
