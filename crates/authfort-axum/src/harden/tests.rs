use authfort::UserId;
use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Method, StatusCode},
    routing::{get, post},
};
use serde::Deserialize;
use tower::ServiceExt;

use super::*;
use crate::{Json, Path, Query};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    email: String,
}

#[derive(Deserialize)]
struct UserPath {
    id: UserId,
}

#[derive(Clone)]
struct HostState;

async fn panics() -> &'static str {
    panic!("the password is hunter2\nand more")
}

/// A hardened router nested in an application that has its own state, fallback and body limit.
fn app() -> Router {
    let inner: Router<HostState> = Router::new()
        .route("/", get(|| async { "home" }))
        .route(
            "/users/{id}",
            get(|Path(user): Path<UserPath>, Query(()): Query<()>| async move { user.id.to_string() }),
        )
        .route("/login", post(|Json(login): Json<Login>| async move { login.email }))
        .route("/jwks", get(|| async { ([(header::CACHE_CONTROL, "public, max-age=300")], "{}") }))
        .route("/panic", get(panics).put(async || -> Response { std::panic::panic_any(7_u8) }));
    Router::new()
        .nest("/tenants/{tenant}/admin", harden(inner))
        .route("/host", get(|| async { "host" }))
        .fallback(|| async { (StatusCode::NOT_FOUND, "host's own 404") })
        .layer(DefaultBodyLimit::max(100 * 1024 * 1024))
        .with_state(HostState)
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

async fn send(request: Request) -> Answer {
    let response = app().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(to_bytes(body, 1_000_000).await.unwrap().to_vec()).unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

fn request(method: Method, path: &str) -> Request {
    Request::builder().method(method).uri(format!("/tenants/acme/admin{path}")).body(Body::empty()).unwrap()
}

/// Asserts the whole error response and the headers that every response of a hardened router has.
async fn refused(request: Request, status: u16, code: &str, message: &str) -> HeaderMap {
    let Answer { status: actual, headers, body } = send(request).await;
    assert_eq!((actual, body.as_str()), (status, format!(r#"{{"error":"{code}","message":"{message}"}}"#).as_str()));
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    worn(&headers);
    headers
}

fn worn(headers: &HeaderMap) {
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert!(headers.contains_key(REQUEST_ID));
}

#[tokio::test]
async fn an_unknown_path_under_the_mount_is_404_in_json() {
    for path in ["/nothing", "/users", "/users/1/2/3", "/%FF", "/../x", "//", "/nothing/"] {
        refused(request(Method::GET, path), 404, "not_found", "There is nothing here.").await;
    }
    let outside = send(Request::get("/nothing").body(Body::empty()).unwrap()).await;
    assert_eq!(outside.body, "host's own 404");
    assert!(!outside.headers.contains_key(REQUEST_ID));
}

#[tokio::test]
async fn a_wrong_method_is_405_in_json_and_keeps_allow() {
    let message = "This path does not answer to this method.";
    let headers = refused(request(Method::DELETE, "/login"), 405, "method_not_allowed", message).await;
    assert_eq!(headers[header::ALLOW], "POST");
    let headers = refused(request(Method::POST, "/jwks"), 405, "method_not_allowed", message).await;
    assert_eq!(headers[header::ALLOW], "GET,HEAD");
    refused(request(Method::OPTIONS, "/login"), 405, "method_not_allowed", message).await;
    refused(request(Method::from_bytes(b"BREW").unwrap(), "/login"), 405, "method_not_allowed", message).await;
}

#[tokio::test]
async fn a_panic_is_500_and_says_nothing() {
    for method in [Method::GET, Method::PUT] {
        refused(request(method, "/panic"), 500, "internal", "An internal error occurred.").await;
    }
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_413_although_the_application_allows_more() {
    let mut request = request(Method::POST, "/login");
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *request.body_mut() = Body::from(Bytes::from(vec![b' '; 10 * 1024 * 1024]));
    refused(request, 413, "payload_too_large", "The body is too large.").await;
}

#[tokio::test]
async fn an_invalid_path_is_400() {
    refused(request(Method::GET, "/users/%FF"), 400, "invalid_request", "The path is not valid UTF-8.").await;
    refused(request(Method::GET, "/users/me"), 400, "invalid_request", "`id` in the path must be a UUID.").await;
    let id = Uuid::nil();
    let message = "The query is not properly percent-encoded UTF-8.";
    refused(request(Method::GET, &format!("/users/{id}?x=%FF")), 400, "invalid_request", message).await;
}

#[tokio::test]
async fn an_answer_keeps_its_own_cache_rule_and_otherwise_is_not_stored() {
    let answer = send(request(Method::GET, "/jwks")).await;
    assert_eq!(answer.headers[header::CACHE_CONTROL], "public, max-age=300");
    let answer = send(request(Method::GET, "")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "home"));
    worn(&answer.headers);
}

#[tokio::test]
async fn the_mount_has_one_address_and_the_one_with_a_slash_is_the_applications() {
    // This is how axum nests routers, not our code. The test documents it because a link to `/admin/` is easily
    // written.
    assert_eq!(send(request(Method::GET, "/")).await.body, "host's own 404");
}

#[tokio::test]
async fn a_request_id_is_taken_over_if_it_is_plain_and_made_otherwise() {
    let ask = async |id: &'static [u8]| {
        let mut request = request(Method::GET, "/panic");
        request.headers_mut().insert(REQUEST_ID, HeaderValue::from_bytes(id).unwrap());
        send(request).await.headers[REQUEST_ID].clone()
    };
    assert_eq!(ask(b"abc-123").await, "abc-123");
    for id in [b"".as_slice(), b"a b", b"a\tb", b"\xff", &[b'a'; 129]] {
        let made = ask(id).await;
        assert!(Uuid::try_parse(made.to_str().unwrap()).is_ok(), "{made:?}");
    }
    let mut request = request(Method::GET, "/panic");
    request.extensions_mut().insert(RequestId::new(HeaderValue::from_static("of the host")));
    assert_eq!(send(request).await.headers[REQUEST_ID], "of the host");
}

#[tokio::test]
async fn the_routes_of_the_application_stay_as_they_are() {
    let answer = send(Request::get("/host").body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "host"));
    assert!(!answer.headers.contains_key(header::CACHE_CONTROL));
}
