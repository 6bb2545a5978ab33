//! `GET /users/{id}`

use authfort::User;
use axum::Json;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::etag::etag;
use crate::admin::{Admin, UserPath};
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct IncludeDeleted {
    /// Whether an anonymized user is returned; false by default.
    deleted: Option<bool>,
}

/// Returns one user.
#[utoipa::path(
    get, path = "/users/{id}", operation_id = "get_user", tag = "users", security(("bearer" = [])),
    params(UserPath, IncludeDeleted),
    responses(
        (status = 200, body = User, headers(("ETag", description = "Its version."))),
        (status = 404, description = "`user_not_found`", body = ErrorBody),
    )
)]
pub(crate) async fn get(
    admin: Admin,
    Path(UserPath { id }): Path<UserPath>,
    Query(query): Query<IncludeDeleted>,
) -> Result<impl IntoResponse, Rejection> {
    let user = admin.auth.get_user(id).deleted(query.deleted.unwrap_or_default()).await?;
    Ok((etag(&user), Json(user)))
}
