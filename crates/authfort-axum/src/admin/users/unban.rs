//! `POST /users/{id}/unban`

use authfort::User;
use axum::Json;
use axum::response::IntoResponse;

use crate::admin::etag::{IfMatch, IfMatchHeader, etag};
use crate::admin::{Admin, UserPath};
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

/// Lifts a ban.
#[utoipa::path(
    post, path = "/users/{id}/unban", operation_id = "unban_user", tag = "users", params(UserPath, IfMatchHeader), security(("bearer" = [])),
    responses(
        (status = 200, body = User),
        (status = 404, description = "`user_not_found`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn unban(
    admin: Admin,
    Path(UserPath { id }): Path<UserPath>,
    if_match: IfMatch,
    Query(()): Query<()>,
) -> Result<impl IntoResponse, Rejection> {
    let call = admin.auth.unban_user(id);
    let user = if_match.bind(&admin.auth, id, call).await?.await?;
    Ok((etag(&user), Json(user)))
}
