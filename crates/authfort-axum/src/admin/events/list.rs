//! `GET /events`

use authfort::{EventId, EventPage, SortOrder, UserId};
use axum::Json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::admin::Admin;
use crate::openapi::{ErrorBody, SortOrderName};
use crate::{FromParams, Params, Query, Rejection};

/// Which events; for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes; `EventQuery` reads")]
pub(crate) struct EventParams {
    /// About this user.
    user_id: Option<UserId>,
    /// Of these types; may be repeated.
    #[param(inline, value_type = Option<Vec<EventType>>)]
    r#type: Option<Vec<String>>,
    /// After this event.
    after: Option<EventId>,
    /// Before this event.
    before: Option<EventId>,
    /// `desc` (default) or `asc`.
    #[param(inline)]
    order: Option<SortOrderName>,
    /// 1 to 200; 50 unless given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A type of events, for the document.
pub(crate) struct EventType;

impl PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        Schema::from(authfort::events::type_schema()).into()
    }
}

impl ToSchema for EventType {}

pub(crate) struct EventQuery {
    user_id: Option<UserId>,
    types: Vec<String>,
    after: Option<EventId>,
    before: Option<EventId>,
    order: Option<SortOrder>,
    limit: Option<u32>,
}

impl FromParams for EventQuery {
    fn from_params(params: &mut Params) -> Result<Self, Rejection> {
        Ok(Self {
            user_id: params.uuid("user_id")?.map(Into::into),
            types: params.many("type"),
            after: params.uuid("after")?.map(Into::into),
            before: params.uuid("before")?.map(Into::into),
            order: params.choose("order")?,
            limit: params.limit()?,
        })
    }
}

/// Reads the log, newest first.
#[utoipa::path(
    get, path = "/events", operation_id = "list_events", tag = "events", params(EventParams), security(("bearer" = [])),
    responses((status = 200, body = EventPage), (status = 400, body = ErrorBody), (status = 422, body = ErrorBody))
)]
pub(crate) async fn list(admin: Admin, Query(wanted): Query<EventQuery>) -> Result<Json<EventPage>, Rejection> {
    let mut call = admin.auth.list_events().order(wanted.order.unwrap_or(SortOrder::Desc));
    if let Some(id) = wanted.user_id {
        call = call.user_id(id);
    }
    for name in wanted.types {
        call = call.r#type(name);
    }
    if let Some(id) = wanted.after {
        call = call.after(id);
    }
    if let Some(id) = wanted.before {
        call = call.before(id);
    }
    if let Some(limit) = wanted.limit {
        call = call.limit(limit);
    }
    Ok(Json(call.await?))
}
