//! Gives every router of this crate the same error responses and response headers.
//!
//! axum responds to an unknown path and a wrong method with an empty body, and drops the connection when a handler
//! panics. [`harden`] turns these into the JSON error format, limits request bodies, and sets the headers below on
//! every response, wherever in the application the router is mounted:
//!
//! | what happens | response |
//! |---|---|
//! | an unknown path under the mount point | 404 `not_found` |
//! | a known path with another method | 405 `method_not_allowed`, with `Allow` |
//! | a panic before the first byte of the response | 500 `internal`; the panic message goes to the log |
//! | a body longer than [`BODY_LIMIT`] | 413 `payload_too_large`, when an extractor reads it |
//!
//! Every response has `X-Content-Type-Options: nosniff`, an `X-Request-Id`, and `Cache-Control: no-store` unless the
//! handler sets another value. The request id is the one that a layer of the application has set (tower-http's
//! `RequestId`); otherwise the `X-Request-Id` header of the request, if it has 1 to 128 letters, digits or `-_.:/+=`;
//! otherwise a new one. Every log line written while the request is handled carries the id: it is in a span `request`, with
//! the method, the route and the status as [OpenTelemetry names them](https://opentelemetry.io/docs/specs/semconv/http/http-spans/)
//! (`http.request.method`, `http.route`, `http.response.status_code`, and `otel.name`, `otel.kind`, `otel.status_code` for
//! the crate `tracing-opentelemetry`). The path, the query and the client's address are not in it.

use std::any::Any;
use std::fmt;

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tower_http::{catch_panic::CatchPanicLayer, request_id::RequestId};
use tracing::field::Empty;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::Rejection;

/// The maximum length of a request body that the routers of this crate read, in bytes. With the default settings no
/// valid body comes close to it. If [`metadata_max_bytes`](authfort::Builder::metadata_max_bytes) was raised, metadata
/// longer than this limit must be set through the service.
pub const BODY_LIMIT: usize = 64 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The maximum length of a request id that is accepted from a client.
const REQUEST_ID_LIMIT: usize = 128;

/// Makes a router respond in the JSON error format to everything that its handlers do not handle. Call it last, on all
/// routes and outside the [`AuthLayer`](crate::AuthLayer), so that what the layer logs carries the request id. Routers
/// of this crate, which are hardened already, may be nested in it.
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
        .layer(catch_panics())
        // Outermost, so that the responses of the layers above get the headers too.
        .layer(middleware::from_fn(mark))
}

/// Answers with 500 where a handler panics.
pub(crate) fn catch_panics() -> CatchPanicLayer<fn(Box<dyn Any + Send + 'static>) -> Response> {
    CatchPanicLayer::custom(panicked)
}

/// The panic message goes only to the log; `?` escapes it, so that it stays on one line.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = ?text.unwrap_or("of an unknown kind"), "a handler panicked");
    Rejection::internal().into_response()
}

/// Marks a request that this module already handles: a hardened router may be nested in another.
#[derive(Clone)]
struct Marked;

pub(crate) async fn mark(mut request: Request, next: Next) -> Response {
    if request.extensions_mut().insert(Marked).is_some() {
        return next.run(request).await;
    }
    let id = request_id(&request);
    let span = span_of(&request, &id);
    request.extensions_mut().insert(RequestId::new(id.clone()));

    let mut response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(REQUEST_ID).or_insert(id);
    response
}

/// The span of a request, with the attributes that OpenTelemetry's conventions give the span of an HTTP server. The route is
/// the pattern that matched, without what the path has in its place, which may belong to a person.
///
/// It has the level `error`: a filter that drops the span would drop the id from the errors that it lets through.
fn span_of(request: &Request, id: &HeaderValue) -> Span {
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    tracing::error_span!(
        "request",
        otel.name = %SpanName { method, route },
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method.unwrap_or("_OTHER"),
        http.route = route,
        http.response.status_code = Empty,
        request_id = id.to_str().unwrap_or_default(),
    )
}

/// Any other method is a text of the client's own.
fn known_method(method: &Method) -> Option<&str> {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ];
    KNOWN.contains(method).then(|| method.as_str())
}

/// The method and the route.
struct SpanName<'a> {
    method: Option<&'a str>,
    route: Option<&'a str>,
}

impl fmt::Display for SpanName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method.unwrap_or("HTTP"))?;
        self.route.map_or(Ok(()), |route| write!(f, " {route}"))
    }
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
    // A UUID is always a valid header value; the fallback only satisfies the compiler.
    HeaderValue::from_str(&Uuid::now_v7().to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests;
