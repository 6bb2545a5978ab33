//! `PUT /users/{id}/password`

use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::etag::{IfMatch, IfMatchHeader};
use crate::admin::{Admin, UserPath};
use crate::openapi::ErrorBody;
use crate::{Json, Path, Query, Rejection};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetPassword {
    #[schema(format = Password, min_length = 8, max_length = 1024)]
    password: String,
}

/// Sets a user's password and ends their sessions.
#[utoipa::path(
    put, path = "/users/{id}/password", operation_id = "set_password", tag = "users", request_body = SetPassword, params(UserPath, IfMatchHeader),
    security(("bearer" = [])),
    responses(
        (status = 204),
        (status = 404, description = "`user_not_found`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
        (status = 422, description = "`validation_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn set_password(
    admin: Admin,
    Path(UserPath { id }): Path<UserPath>,
    if_match: IfMatch,
    Query(()): Query<()>,
    Json(body): Json<SetPassword>,
) -> Result<StatusCode, Rejection> {
    let call = admin.auth.set_password(id, body.password);
    if_match.bind(&admin.auth, id, call).await?.await?;
    Ok(StatusCode::NO_CONTENT)
}
