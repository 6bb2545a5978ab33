//! `GET /events`

use authfort::{EventId, EventPage, SortOrder, UserId};
use axum::Json;
use serde::Deserialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{Query, Rejection};

/// Selects events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventFilter {
    /// Events about this user.
    user_id: Option<UserId>,
    /// Events of these types; may be repeated.
    #[param(inline, value_type = Option<Vec<EventType>>)]
    #[serde(default)]
    r#type: Vec<String>,
    /// Events after this one.
    after: Option<EventId>,
    /// Events before this one.
    before: Option<EventId>,
    /// The order: `desc` (default, newest first) or `asc`.
    #[param(inline)]
    order: Option<SortOrder>,
    /// The maximum number of events, 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// The schema of an event type, for the OpenAPI document.
pub(crate) struct EventType;

impl PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        Schema::from(authfort::events::type_schema()).into()
    }
}

impl ToSchema for EventType {}

/// Lists the events of the log, newest first by default.
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
