//! `GET /users/{id}`

use authfort::{User, UserId};
use axum::Json;
use axum::response::IntoResponse;

use crate::admin::Admin;
use crate::admin::etag::etag;
use crate::openapi::ErrorBody;
use crate::{FromParams, Params, Path, Query, Rejection};

pub(crate) struct IncludeDeleted(bool);

impl FromParams for IncludeDeleted {
    fn from_params(params: &mut Params) -> Result<Self, Rejection> {
        Ok(Self(params.bool("deleted")?.unwrap_or_default()))
    }
}

/// One user.
#[utoipa::path(
    get, path = "/users/{id}", operation_id = "get_user", tag = "users", security(("bearer" = [])),
    params(("id" = UserId, Path), ("deleted" = Option<bool>, Query, description = "Whether an anonymised user is found.")),
    responses(
        (status = 200, body = User, headers(("ETag", description = "Its version."))),
        (status = 404, description = "`user_not_found`", body = ErrorBody),
    )
)]
pub(crate) async fn get(
    admin: Admin,
    Path(id): Path<UserId>,
    Query(deleted): Query<IncludeDeleted>,
) -> Result<impl IntoResponse, Rejection> {
    let user = admin.auth.get_user(id).deleted(deleted.0).await?;
    Ok((etag(&user), Json(user)))
}
