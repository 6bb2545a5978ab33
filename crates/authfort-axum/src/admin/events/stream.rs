//! `GET /events/stream`

use std::convert::Infallible;
use std::time::Duration;

use authfort::{EventId, EventStream, UserId};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::{iter, unfold};
use serde::Deserialize;
use tokio::time::sleep;
use utoipa::IntoParams;

use super::list::EventType;
use crate::admin::AdminRequest;
use crate::openapi::ErrorBody;
use crate::{Query, Rejection};

/// How often a comment is sent while there is no event, so that no proxy takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often the session is checked while there is no event.
const CHECK: Duration = Duration::from_secs(1);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Like every response, and a word to nginx to pass on each event at once.
const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
];

/// Selects events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamFilter {
    /// Events about this user.
    user_id: Option<UserId>,
    /// Events of these types; may be repeated.
    #[param(inline, value_type = Option<Vec<EventType>>)]
    #[serde(default)]
    r#type: Vec<String>,
    /// Events after this one. The header `Last-Event-ID` takes its place.
    after: Option<EventId>,
}

/// Streams the events of the log as they are committed, as server-sent events with the id of the event.
#[utoipa::path(
    get, path = "/events/stream", operation_id = "stream_events", tag = "events", security(("bearer" = [])),
    params(
        StreamFilter,
        ("Last-Event-ID" = Option<EventId>, Header, description = "The last event that was received: the stream goes on after it."),
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = String),
        (status = 400, body = ErrorBody), (status = 422, body = ErrorBody), (status = 503, body = ErrorBody)
    )
)]
pub(crate) async fn stream(
    request: AdminRequest,
    headers: HeaderMap,
    Query(filter): Query<StreamFilter>,
) -> Result<Response, Rejection> {
    let mut call = request.admin.auth.follow_events();
    if let Some(id) = filter.user_id {
        call = call.user_id(id);
    }
    for name in filter.r#type {
        call = call.r#type(name);
    }
    if let Some(id) = last_event_id(&headers)?.or(filter.after) {
        call = call.after(id);
    }
    let events = call.await?;
    // An id alone is no message, and yet a client that connects again before the first one sends it.
    let begin = events.last_id().map(|id| Ok(Event::default().id(id.to_string())));
    let events = unfold((events, request), |(mut events, request)| async move {
        let message = next_message(&mut events, &request).await?;
        Some((Ok::<_, Infallible>(message), (events, request)))
    });
    let response = Sse::new(iter(begin).chain(events)).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    Ok((HEADERS, response).into_response())
}

/// An empty value is none: browsers send no other.
fn last_event_id(headers: &HeaderMap) -> Result<Option<EventId>, Rejection> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    let fault = || authfort::Error::invalid("after", "invalid", "Last-Event-ID must be the id of an event in the log");
    Ok(Some(id.ok_or_else(fault)?))
}

/// Waits for the next event. The caller is checked before each event, and while there is none.
async fn next_message(events: &mut EventStream, request: &AdminRequest) -> Option<Event> {
    let access_ends = async {
        loop {
            sleep(CHECK).await;
            if !request.is_allowed().await {
                return;
            }
        }
    };
    // Both go on while the other one waits for a connection of the same pool.
    let found = tokio::select! {
        () = access_ends => return None,
        found = events.next() => found,
    };
    match found {
        Ok(event) => {
            let event = event?;
            let message = Event::default().id(event.id.to_string()).json_data(&event).ok()?;
            request.is_allowed().await.then_some(message)
        }
        Err(error) => {
            tracing::warn!(?error, "a stream of events ends");
            None
        }
    }
}
