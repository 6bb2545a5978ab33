use axum::{
    Router,
    body::{Body, to_bytes},
    extract::DefaultBodyLimit,
    routing::post,
};
use tower::ServiceExt;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::*;

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Login {
    email: String,
    password: String,
    metadata: Option<Map<String, Value>>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Ban {
    reason: Option<String>,
}

fn fault(body: impl AsRef<[u8]>) -> (u16, String, &'static str) {
    let rejection = parse::<Login>(body.as_ref()).unwrap_err();
    let field = rejection.fields().first().cloned();
    let (name, code) = field.map_or((String::new(), rejection.code()), |f| (f.field, f.code));
    (rejection.status().as_u16(), name, code)
}

fn malformed() -> (u16, String, &'static str) {
    (400, String::new(), "invalid_request")
}

async fn send(content_type: Option<&str>, body: impl Into<Body>) -> (u16, String) {
    let app: Router = Router::new()
        .route("/login", post(|Json(login): Json<Login>| async move { login.email }))
        .layer(DefaultBodyLimit::max(64 * 1024));
    answer(app, "/login", content_type, body).await
}

async fn answer(app: Router, path: &str, content_type: Option<&str>, body: impl Into<Body>) -> (u16, String) {
    let mut request = Request::post(path);
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    let response = app.oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 100_000).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

const GOOD: &str = r#"{"email": "a@b.c", "password": "hunter2"}"#;

#[test]
fn a_good_body_is_read() {
    let login: Login = parse(GOOD.as_bytes()).unwrap();
    assert_eq!((login.email.as_str(), login.password.as_str()), ("a@b.c", "hunter2"));
}

#[test]
fn what_is_not_json_is_400() {
    for body in [
        "",
        " ",
        "{",
        "nonsense",
        "{'email': 1}",
        r#"{"email": "a",}"#,
        r#"{"email": 01}"#,
        r#"{"email": NaN}"#,
        r#"{"email": 1e999}"#,
        "\u{feff}{}",
        r#"{"email": "a"} x"#,
        r#"{"email": "a"}{}"#,
        "{\"email\": \"a\nb\"}",
    ] {
        assert_eq!(fault(body), malformed(), "{body}");
    }
}

#[test]
fn invalid_utf8_and_lone_surrogates_are_400() {
    assert_eq!(fault(b"{\"email\": \"\xff\"}"), malformed());
    for escape in [r"\ud800", r"\udc00", r"\ud800x", r"\ud800\ud800"] {
        assert_eq!(fault(format!(r#"{{"email": "{escape}"}}"#)), malformed(), "{escape}");
        assert_eq!(fault(format!(r#"{{"{escape}": 1}}"#)), malformed(), "{escape}");
    }
}

#[test]
fn nul_is_422_on_the_member_that_holds_it() {
    let nul = |name: &str| (422, name.to_owned(), "nul");
    assert_eq!(fault(r#"{"email": "a\u0000", "password": ""}"#), nul("email"));
    let nested = r#"{"email": "", "password": "", "metadata": {"a": [{"b": "\u0000"}]}}"#;
    assert_eq!(fault(nested), nul("metadata.a[0].b"));
    assert_eq!(fault(r#"{"\u0000": 1}"#), (422, "\u{fffd}".into(), "unknown_field"));
}

#[test]
fn a_fault_names_eight_levels_at_the_most() {
    let deep = format!(r#"{{"metadata": {}"\u0000"{}}}"#, r#"{"a":"#.repeat(100), "}".repeat(100));
    assert_eq!(fault(deep), (422, "metadata.a.a.a.a.a.a.a".into(), "nul"));
}

#[test]
fn a_member_twice_is_400_on_every_level_and_in_every_spelling() {
    assert_eq!(fault(r#"{"email": "a", "email": "b"}"#), malformed());
    assert_eq!(fault(r#"{"email": "a", "\u0065mail": "a"}"#), malformed());
    assert_eq!(fault(r#"{"email": "", "password": "", "metadata": {"x": [{"y": 1, "y": 1}]}}"#), malformed());
}

#[test]
fn depth_is_bounded() {
    for depth in [200, 20_000] {
        let body = format!(r#"{{"metadata": {}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert_eq!(fault(body), malformed());
        assert_eq!(fault(format!("{}{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))), malformed());
    }
}

#[test]
fn only_an_object_is_a_body() {
    for body in ["null", "true", "5", "-5", "2.5", "\"a\"", "[]", r#"["a@b.c", "hunter2", null]"#] {
        assert_eq!(fault(body), (422, "body".into(), "invalid_type"), "{body}");
    }
}

#[test]
fn types_and_names_are_checked_member_by_member() {
    let on = |field: &str, code| (422, field.to_owned(), code);
    assert_eq!(fault(r#"{"email": "a"}"#), on("password", "required"));
    assert_eq!(fault(r#"{"email": 1, "password": ""}"#), on("email", "invalid_type"));
    assert_eq!(fault(r#"{"email": "a", "password": ["x"]}"#), on("password", "invalid_type"));
    for name in ["id", "password_hash", "token_version", "is_admin", "__proto__", "Email"] {
        let body = format!(r#"{{"email": "a", "password": "b", "{name}": 1}}"#);
        assert_eq!(fault(body), on(name, "unknown_field"));
    }
}

#[test]
fn no_refusal_repeats_the_password() {
    for body in [
        r#"{"email": "a", "password": "hunter2""#,
        r#"{"email": "a", "password": "hunter2", "password": "hunter2"}"#,
        r#"{"email": "a", "password": {"hunter2": "hunter2"}}"#,
        r#"{"email": "a", "password": "hunter2\u0000"}"#,
        r#"["a", "hunter2"]"#,
        r#""hunter2""#,
    ] {
        let rejection = parse::<Login>(body.as_bytes()).unwrap_err();
        assert!(!format!("{rejection:?}").contains("hunter2"), "{rejection:?}");
    }
}

#[tokio::test]
async fn only_a_declared_json_body_is_read() {
    for good in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
        assert_eq!(send(Some(good), GOOD).await, (200, "a@b.c".into()), "{good}");
    }
    let refused =
        r#"{"error":"unsupported_media_type","message":"The body must be sent as Content-Type: application/json."}"#;
    let bad = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/json",
        "application/jsonx",
        "json",
        "",
    ];
    for bad in bad.map(Some).into_iter().chain([None]) {
        assert_eq!(send(bad, GOOD).await, (415, refused.into()), "{bad:?}");
    }
}

#[tokio::test]
async fn two_content_types_or_a_compressed_body_are_refused() {
    let mut headers = HeaderMap::new();
    headers.append(header::CONTENT_TYPE, "application/json".parse().unwrap());
    assert!(require_json(&headers).is_ok());
    headers.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
    assert!(require_json(&headers).is_err());
    headers.insert(header::CONTENT_ENCODING, "identity".parse().unwrap());
    assert!(require_json(&headers).is_ok());
    headers.append(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    assert!(require_json(&headers).is_err());
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_is_not_read_to_its_end() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let chunks = std::iter::repeat_with(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b' '; 16 * 1024]))
    })
    .take(640);
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    let expected = r#"{"error":"payload_too_large","message":"The body is too large."}"#;
    assert_eq!(send(Some("application/json"), body).await, (413, expected.into()));
    assert!(taken.load(Ordering::Relaxed) <= 8, "only what the limit allows was taken");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let chunks = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("reset"))];
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    let expected = r#"{"error":"invalid_request","message":"The body did not arrive whole."}"#;
    assert_eq!(send(Some("application/json"), body).await, (400, expected.into()));
}

#[tokio::test]
async fn an_optional_body_may_be_absent_but_not_undeclared() {
    let app: Router = Router::new()
        .route("/ban", post(|OptionalJson(ban): OptionalJson<Ban>| async move { ban.reason.unwrap_or("none".into()) }));
    let send = |content_type, body: &'static str| answer(app.clone(), "/ban", content_type, body);
    assert_eq!(send(None, "").await, (200, "none".into()));
    assert_eq!(send(Some("application/json"), "").await, (200, "none".into()));
    assert_eq!(send(Some("application/json"), r#"{"reason": "spam"}"#).await, (200, "spam".into()));
    assert_eq!(send(None, r#"{"reason": "spam"}"#).await.0, 415);
    assert_eq!(send(Some("text/plain"), r#"{"reason": "spam"}"#).await.0, 415);
    assert_eq!(send(Some("application/json"), "[]").await.0, 422);
}

#[test]
fn a_reserved_name_of_the_parser_is_400_and_text_inside_of_it_is_not_read() {
    let inner = r#"{\"email\": \"a\", \"email\": \"b\", \"password\": \"c\"}"#;
    for body in [
        format!(r#"{{"$serde_json::private::RawValue": "{inner}"}}"#),
        format!(
            r#"{{"email": "a", "password": "b", "metadata": {{"x": {{"$serde_json::private::RawValue": "{inner}"}}}}}}"#
        ),
        r#"{"email": {"$serde_json::private::RawValue": "not json"}, "password": ""}"#.to_owned(),
    ] {
        let rejection = parse::<Login>(body.as_bytes()).unwrap_err();
        assert_eq!(rejection.status(), 400, "{body}");
        assert!(rejection.message().contains("a member with a reserved name"), "{}", rejection.message());
    }
}
