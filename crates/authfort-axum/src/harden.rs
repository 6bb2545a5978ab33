//! What every mounted router of this crate wears, so that no answer of it falls out of the contract.
//!
//! axum answers an unknown path and a wrong method with an empty body, and drops the connection when a handler panics.
//! [`harden`] turns these into the JSON of the contract, bounds request bodies, and marks every answer, wherever in the
//! application the router is mounted:
//!
//! | what happens | answer |
//! |---|---|
//! | an unknown path under the mount | 404 `not_found` |
//! | a known path, another method | 405 `method_not_allowed`, with `Allow` |
//! | a panic before the first byte of the answer | 500 `internal`; its text goes to the log |
//! | a body over [`BODY_LIMIT`] | 413 `payload_too_large`, once an extractor reads it |
//!
//! Every answer has `X-Content-Type-Options: nosniff`, an `X-Request-Id`, and `Cache-Control: no-store` unless it says
//! otherwise. The request id is the application's own if one of its layers has set one (tower-http's `RequestId`), else
//! that of the request's header if it is a plain short word, else a new one. Everything that is logged on the way
//! carries it.

use std::any::Any;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderName, HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tower_http::{catch_panic::CatchPanicLayer, request_id::RequestId};
use tracing::Instrument;
use uuid::Uuid;

use crate::Rejection;

/// The longest request body that the routers of this crate read, in bytes. By default nothing that they take comes near
/// it; metadata beyond it, where [`metadata_max_bytes`](authfort::Builder::metadata_max_bytes) was raised, has to be set
/// through the service.
pub const BODY_LIMIT: usize = 64 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken over from a client.
const REQUEST_ID_LIMIT: usize = 128;

/// Gives a router the answers of the contract for everything that its handlers do not answer. To be called last: on all
/// routes, and around the [`AuthLayer`](crate::AuthLayer), so that what that logs carries the request id. The routers of
/// this crate may be nested in it.
///
/// ```
/// use axum::{Router, routing::get};
///
/// let inner: Router = Router::new().route("/users", get(|| async { "[]" }));
/// let app: Router = Router::new().nest("/admin", authfort_axum::harden(inner));
/// ```
pub fn harden<S>(router: Router<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router
        .fallback(async || Rejection::not_found())
        .method_not_allowed_fallback(async || Rejection::method_not_allowed())
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(panicked))
        // Outermost, so that the answers of the layers above are marked too.
        .layer(middleware::from_fn(mark))
}

/// The panic's text is for the log alone; `?` escapes it, so that it stays on one line.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = ?text.unwrap_or("of an unknown kind"), "a handler panicked");
    Rejection::internal().into_response()
}

/// On a request that is marked already: a router that is hardened may be part of another.
#[derive(Clone)]
struct Marked;

async fn mark(mut request: Request, next: Next) -> Response {
    if request.extensions_mut().insert(Marked).is_some() {
        return next.run(request).await;
    }
    let id = request_id(&request);
    // At the level of an error, because a filter that drops the span would drop the id from the errors it lets through.
    let span = tracing::error_span!("authfort", request_id = ?id);
    request.extensions_mut().insert(RequestId::new(id.clone()));

    let mut response = next.run(request).instrument(span).await;
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(REQUEST_ID).or_insert(id);
    response
}

fn request_id(request: &Request) -> HeaderValue {
    if let Some(id) = request.extensions().get::<RequestId>() {
        return id.header_value().clone();
    }
    let plain = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=REQUEST_ID_LIMIT).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte))
    };
    match request.headers().get(REQUEST_ID).filter(plain) {
        Some(id) => id.clone(),
        None => new_request_id(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "it names a line of the log and decides nothing, so no test needs to set its time"
)]
fn new_request_id() -> HeaderValue {
    // The text of a UUID is always a header value; the alternative is for the compiler.
    HeaderValue::from_str(&Uuid::now_v7().to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests;
