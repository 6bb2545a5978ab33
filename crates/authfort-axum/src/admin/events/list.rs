//! `GET /events`

use authfort::{EventId, EventPage, SortOrder, UserId};
use axum::Json;
use serde::Deserialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{Query, Rejection};

/// Which events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventFilter {
    /// About this user.
    user_id: Option<UserId>,
    /// Of these types; may be repeated.
    #[param(inline, value_type = Option<Vec<EventType>>)]
    #[serde(default)]
    r#type: Vec<String>,
    /// After this event.
    after: Option<EventId>,
    /// Before this event.
    before: Option<EventId>,
    /// `desc` (default) or `asc`.
    #[param(inline)]
    order: Option<SortOrder>,
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

/// Reads the log, newest first.
#[utoipa::path(
    get, path = "/events", operation_id = "list_events", tag = "events", params(EventFilter), security(("bearer" = [])),
    responses((status = 200, body = EventPage), (status = 400, body = ErrorBody), (status = 422, body = ErrorBody))
)]
pub(crate) async fn list(admin: Admin, Query(filter): Query<EventFilter>) -> Result<Json<EventPage>, Rejection> {
    let mut call = admin.auth.list_events().order(filter.order.unwrap_or(SortOrder::Desc));
    if let Some(id) = filter.user_id {
        call = call.user_id(id);
    }
    for name in filter.r#type {
        call = call.r#type(name);
    }
    if let Some(id) = filter.after {
        call = call.after(id);
    }
    if let Some(id) = filter.before {
        call = call.before(id);
    }
    if let Some(limit) = filter.limit {
        call = call.limit(limit);
    }
    Ok(Json(call.await?))
}
