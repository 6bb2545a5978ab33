//! `GET /users`

use authfort::{SortBy, SortOrder, Total, UserPage};
use axum::Json;
use utoipa::IntoParams;

use super::filter::{Filter, FilterParams};
use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{FromParams, Params, Query, Rejection};

/// Which page; for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes; `Page` reads")]
pub(crate) struct PageParams {
    /// `created_at` (default), `email` or `name`.
    sort_by: Option<String>,
    /// `desc` (default) or `asc`.
    sort_order: Option<String>,
    /// 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// How many to pass over; 0 unless given.
    #[param(minimum = 0)]
    offset: Option<i64>,
    /// In place of `offset`: the `next_cursor` or `prev_cursor` of a page with the same filters and order.
    cursor: Option<String>,
    /// `exact` (default) or `none`.
    total: Option<String>,
}

pub(crate) struct Page {
    filter: Filter,
    sort_by: Option<SortBy>,
    sort_order: Option<SortOrder>,
    limit: Option<i64>,
    offset: Option<i64>,
    cursor: Option<String>,
    total: Option<Total>,
}

impl FromParams for Page {
    fn from_params(params: &mut Params) -> Result<Self, Rejection> {
        let keys = [("created_at", SortBy::CreatedAt), ("email", SortBy::Email), ("name", SortBy::Name)];
        Ok(Self {
            filter: Filter::from_params(params)?,
            sort_by: params.choice("sort_by", &keys)?,
            sort_order: params.choice("sort_order", &[("asc", SortOrder::Asc), ("desc", SortOrder::Desc)])?,
            limit: params.int("limit")?,
            offset: params.int("offset")?,
            cursor: params.one("cursor")?,
            total: params.choice("total", &[("exact", Total::Exact), ("none", Total::None)])?,
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
