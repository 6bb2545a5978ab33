//! `POST /users/{id}/unban`

use authfort::{User, UserId};
use axum::Json;
use axum::response::IntoResponse;

use super::etag::etag;
use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

/// Lifts a ban.
#[utoipa::path(
    post, path = "/users/{id}/unban", operation_id = "unban_user", tag = "users", params(("id" = UserId, Path)), security(("bearer" = [])),
    responses((status = 200, body = User), (status = 404, description = "`user_not_found`", body = ErrorBody))
)]
pub(crate) async fn unban(
    admin: Admin,
    Path(id): Path<UserId>,
    Query(()): Query<()>,
) -> Result<impl IntoResponse, Rejection> {
    let user = admin.auth.unban_user(id).await?;
    Ok((etag(&user), Json(user)))
}
