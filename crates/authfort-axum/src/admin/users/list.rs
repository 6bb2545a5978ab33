//! `GET /users`

use authfort::{SortBy, SortOrder, Total, UserPage};
use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::filter::Filter;
use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{Query, Rejection};

/// Selects a page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// The sort key: `created_at` (default), `email` or `name`.
    #[param(inline)]
    sort_by: Option<SortBy>,
    /// The sort order: `desc` (default) or `asc`.
    #[param(inline)]
    sort_order: Option<SortOrder>,
    /// The maximum number of users on the page, 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The number of users to skip; 0 by default.
    #[param(minimum = 0)]
    offset: Option<u64>,
    /// Instead of `offset`: the `next_cursor` or `prev_cursor` of a page with the same filters and order.
    cursor: Option<String>,
    /// Whether the total is counted: `exact` (default) or `none`.
    #[param(inline)]
    total: Option<Total>,
}

/// Lists users, one page at a time.
#[utoipa::path(
    get, path = "/users", operation_id = "list_users", tag = "users", params(Filter, Page), security(("bearer" = [])),
    responses((status = 200, body = UserPage), (status = 400, body = ErrorBody), (status = 422, body = ErrorBody))
)]
pub(crate) async fn list(
    admin: Admin,
    Query((filter, page)): Query<(Filter, Page)>,
) -> Result<Json<UserPage>, Rejection> {
    let mut call = admin
        .auth
        .list_users()
        .filter(filter.into())
        .sort_by(page.sort_by.unwrap_or_default())
        .sort_order(page.sort_order.unwrap_or_default())
        .total(page.total.unwrap_or_default());
    if let Some(limit) = page.limit {
        call = call.limit(limit);
    }
    if let Some(offset) = page.offset {
        call = call.offset(offset);
    }
    if let Some(cursor) = page.cursor {
        call = call.cursor(cursor);
    }
    Ok(Json(call.await?))
}
