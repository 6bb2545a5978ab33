//! `GET /users/count`

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::filter::Filter;
use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{Query, Rejection};

#[derive(Serialize, ToSchema)]
pub(crate) struct Count {
    count: u64,
}

/// Counts users, with the same filters as the list.
#[utoipa::path(
    get, path = "/users/count", operation_id = "count_users", tag = "users", params(Filter), security(("bearer" = [])),
    responses((status = 200, body = Count), (status = 400, body = ErrorBody), (status = 422, body = ErrorBody))
)]
pub(crate) async fn count(admin: Admin, Query(filter): Query<Filter>) -> Result<Json<Count>, Rejection> {
    let count = admin.auth.get_user_count().filter(filter.into()).await?;
    Ok(Json(Count { count }))
}
