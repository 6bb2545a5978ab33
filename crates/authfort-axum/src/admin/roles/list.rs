//! `GET /users/{id}/roles`

use axum::Json;

use super::Roles;
use crate::admin::{Admin, UserPath};
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

/// Lists the roles of a user.
#[utoipa::path(
    get, path = "/users/{id}/roles", operation_id = "get_roles", tag = "roles", params(UserPath), security(("bearer" = [])),
    responses((status = 200, body = Roles), (status = 404, description = "`user_not_found`", body = ErrorBody))
)]
pub(crate) async fn list(
    admin: Admin,
    Path(UserPath { id }): Path<UserPath>,
    Query(()): Query<()>,
) -> Result<Json<Roles>, Rejection> {
    Ok(Json(Roles { roles: admin.auth.get_roles(id).await? }))
}
