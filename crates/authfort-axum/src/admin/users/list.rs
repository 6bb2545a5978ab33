//! `GET /users`

use authfort::{SortBy, SortOrder, Total, UserPage};
use axum::Json;
use utoipa::IntoParams;

use super::filter::{Filter, FilterParams};
use crate::admin::Admin;
use crate::openapi::{ErrorBody, SortByName, SortOrderName, TotalName};
use crate::{FromParams, Params, Query, Rejection};

/// Which page; for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes; `Page` reads")]
pub(crate) struct PageParams {
    /// `created_at` (default), `email` or `name`.
    #[param(inline)]
    sort_by: Option<SortByName>,
    /// `desc` (default) or `asc`.
    #[param(inline)]
    sort_order: Option<SortOrderName>,
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
    total: Option<TotalName>,
}

pub(crate) struct Page {
    filter: Filter,
    sort_by: Option<SortBy>,
    sort_order: Option<SortOrder>,
    limit: Option<u32>,
    offset: Option<u64>,
    cursor: Option<String>,
    total: Option<Total>,
}

impl FromParams for Page {
    fn from_params(params: &mut Params) -> Result<Self, Rejection> {
        Ok(Self {
            filter: Filter::from_params(params)?,
            sort_by: params.choose("sort_by")?,
            sort_order: params.choose("sort_order")?,
            limit: params.limit()?,
            offset: params.natural("offset")?,
            cursor: params.one("cursor")?,
            total: params.choose("total")?,
        })
    }
}

/// Lists users.
#[utoipa::path(
    get, path = "/users", operation_id = "list_users", tag = "users", params(FilterParams, PageParams), security(("bearer" = [])),
    responses((status = 200, body = UserPage), (status = 400, body = ErrorBody), (status = 422, body = ErrorBody))
)]
pub(crate) async fn list(admin: Admin, Query(page): Query<Page>) -> Result<Json<UserPage>, Rejection> {
    let mut call = admin
        .auth
        .list_users()
        .filter(page.filter.0)
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
