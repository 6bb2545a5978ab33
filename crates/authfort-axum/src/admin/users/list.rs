//! `GET /users`

use authfort::{SortBy, SortOrder, Total, UserPage};
use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::filter::Filter;
use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{Query, Rejection};

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// `created_at` (default), `email` or `name`.
    #[param(inline)]
    sort_by: Option<SortBy>,
    /// `desc` (default) or `asc`.
    #[param(inline)]
    sort_order: Option<SortOrder>,
    /// 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// How many to pass over; 0 unless given.
    #[param(minimum = 0)]
    offset: Option<u64>,
    /// In place of `offset`: the `next_cursor` or `prev_cursor` of a page with the same filters and order.
    cursor: Option<String>,
    /// `exact` (default) or `none`.
    #[param(inline)]
    total: Option<Total>,
}

/// Lists users.
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
