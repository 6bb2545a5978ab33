//! axum's own extractors in an application's handlers: what they refuse has the shape of the contract and repeats no
//! value; what a handler says itself stays as it was said.

use std::collections::HashMap;

use authfort_axum::{AuthLayer, Rejection};
use authfort_testkit::{TestDatabase, both_engines};
use axum::body::{Body, Bytes};
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Extension, Path, Query, RawPathParams};
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use futures_util::stream;
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use crate::support::{Answer, App, Call, call};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    title: String,
    #[serde(default)]
    stars: u8,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    owner: Option<Uuid>,
    #[serde(default)]
    place: Option<Place>,
    #[serde(default)]
    extra: HashMap<String, u8>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Plain,
    Secret,
}

#[derive(Deserialize)]
struct Place {
    line: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paging {
    #[serde(default)]
    limit: u32,
    #[serde(default)]
    order: Kind,
}

#[derive(Deserialize)]
struct InFolder {
    folder: u32,
    note: Uuid,
}

/// Types whose own sentences quote what they refuse.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Quoting;

impl TryFrom<String> for Quoting {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Err(format!("{text}: is not what was wanted: {text}"))
    }
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Tagged {
    Card {
        #[serde(rename = "number")]
        _number: Quoting,
    },
}

#[derive(Deserialize)]
struct Flat {
    #[serde(flatten)]
    _rest: Inner,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(rename = "number")]
    _number: Quoting,
}

#[derive(Clone)]
struct NotThere;

async fn write(Json(note): Json<Note>) -> String {
    let Note { title, stars, tags, kind, owner, place, extra } = note;
    let line = place.map_or(0, |place| place.line);
    format!("{title} {stars} {tags:?} {} {owner:?} {line} {extra:?}", matches!(kind, Kind::Secret))
}

async fn form(Form(note): Form<Paging>) -> String {
    note.limit.to_string()
}

async fn list(Query(paging): Query<Paging>) -> String {
    format!("{} {}", paging.limit, matches!(paging.order, Kind::Secret))
}

async fn by_hand(
    id: Result<Path<u32>, PathRejection>,
    paging: Result<Query<Paging>, QueryRejection>,
    note: Result<Json<Note>, JsonRejection>,
) -> Result<String, Rejection> {
    let (Path(id), Query(paging), Json(note)) = (id?, paging?, note?);
    Ok(format!("{id} {} {}", paging.limit, note.title))
}

fn pieces(pieces: &'static [&'static str]) -> Body {
    Body::from_stream(stream::iter(pieces.iter().map(|piece| Ok::<_, std::io::Error>(*piece))))
}

const OWN: &str = "Failed to parse the mood: sunny";

fn routes() -> Router {
    let plain = || [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Router::new()
        .route("/notes", post(write).get(list))
        .route("/form", post(form).get(form))
        .route("/notes/{id}", get(async |Path(id): Path<u64>| id.to_string()))
        .route(
            "/folders/{folder}/{note}",
            get(async |Path(path): Path<InFolder>| format!("{} {}", path.folder, path.note)),
        )
        .route("/pairs/{a}/{b}", get(async |Path((a, b)): Path<(u8, bool)>| format!("{a} {b}")))
        .route("/bytes", post(async |body: Bytes| body.len().to_string()))
        .route("/text", post(async |body: String| body))
        .route("/state", get(async |Extension(NotThere): Extension<NotThere>| ""))
        .route("/too-many/{a}", get(async |Path((a, b)): Path<(u8, u8)>| (a + b).to_string()))
        .route("/by-hand/{id}", post(by_hand))
        .route("/quoting", post(async |Json(_): Json<Quoting>| ""))
        .route("/tagged", post(async |Json(_): Json<Tagged>| ""))
        .route("/flat", post(async |Json(_): Json<Flat>| "").get(async |Query(_): Query<Flat>| ""))
        .route("/ids/{owner}", get(async |Path(id): Path<Uuid>| id.to_string()))
        .route("/kinds/{kind}", get(async |Path(_): Path<Kind>| ""))
        .route("/raw/{part}", get(async |_: RawPathParams| ""))
        .route("/own/path", get(async || (StatusCode::BAD_REQUEST, "Invalid URL: the link that you gave is dead")))
        .route("/own/500", get(async || (StatusCode::INTERNAL_SERVER_ERROR, "No matched path found between A and B")))
        .route(
            "/own/trailers",
            get(async move || {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-checksum", "7".parse().unwrap());
                let body =
                    Full::new(Bytes::from_static(b"Invalid URL: own")).with_trailers(async { Some(Ok(trailers)) });
                (StatusCode::BAD_REQUEST, plain(), Body::new(body))
            }),
        )
        .route("/own", get(async || (StatusCode::BAD_REQUEST, OWN)))
        .route("/own/200", get(async || "Failed to parse the request body as JSON: no"))
        .route(
            "/own/html",
            get(async move || {
                let html = [(header::CONTENT_TYPE, "text/html")];
                (StatusCode::BAD_REQUEST, html, "Invalid URL: of the application")
            }),
        )
        .route(
            "/own/stream",
            get(async move || {
                let body = pieces(&["Invalid URL: ", "in ", "pieces"]);
                (StatusCode::BAD_REQUEST, plain(), body)
            }),
        )
        .route(
            "/marked",
            post(async |note: Result<Json<Note>, JsonRejection>| -> Response {
                match note {
                    Ok(Json(note)) => note.title.into_response(),
                    Err(refused) => ([("x-trace", "7"), ("set-cookie", "a=b")], refused).into_response(),
                }
            }),
        )
        .layer(DefaultBodyLimit::max(2_000))
}

async fn app(db: &TestDatabase, http: impl FnOnce(AuthLayer) -> AuthLayer) -> Router {
    routes().layer(App::with(db, |builder| builder, http).await.layer)
}

async fn send_json(app: &Router, body: &str) -> Answer {
    call(app, "POST", "/notes").header("content-type", "application/json").body(body.to_owned()).send().await
}

fn without_the_value(answer: &Answer) {
    assert!(!answer.text.contains("hunter2"), "{}", answer.text);
}

/// Asserts the whole of a refusal with one field.
async fn unacceptable(call: Call, field: &str, code: &str, message: &str) {
    let answer = call.send().await;
    answer.refused(422, "validation_failed");
    assert_eq!(answer.json()["fields"], json!([{"field": field, "code": code, "message": message}]));
    without_the_value(&answer);
}

async fn invalid(call: Call, message: &str) {
    let answer = call.send().await;
    answer.refused(400, "invalid_request");
    assert_eq!(answer.json()["message"], message);
    without_the_value(&answer);
}

both_engines! {
    async fn a_json_body_that_is_not_acceptable_is_422_on_the_member_without_its_value(db: TestDatabase) {
        let app = app(&db, |layer| layer).await;
        assert_eq!(send_json(&app, r#"{"title": "a", "kind": "secret"}"#).await.text, "a 0 [] true None 0 {}");
        let cases = [
            (json!({}), "title", "required", "is required"),
            (json!({"title": 5}), "title", "invalid_type", "must be a string"),
            (json!({"title": ["hunter2"]}), "title", "invalid_type", "must be a string"),
            (json!({"title": "a", "stars": 256}), "stars", "invalid", "must be a whole number in range"),
            (json!({"title": "a", "stars": "hunter2"}), "stars", "invalid_type", "must be a whole number in range"),
            (json!({"title": "a", "tags": ["b", 7]}), "tags[1]", "invalid_type", "must be a string"),
            (json!({"title": "a", "tags": "hunter2"}), "tags", "invalid_type", "must be an array"),
            (json!({"title": "a", "kind": "hunter2"}), "kind", "not_allowed", "must be `plain` or `secret`"),
            (json!({"title": "a", "owner": "hunter2"}), "owner", "invalid", "must be a UUID"),
            (json!({"title": "a", "extra": {"k: missing field `": "hunter2"}}), "body", "invalid", "is not acceptable"),
            (json!({"title": "a", "place": {}}), "place.line", "required", "is required"),
            (json!({"title": "a", "place": {"line": -1}}), "place.line", "invalid", "must be a whole number in range"),
            (json!({"title": "a", "place": "hunter2"}), "place", "invalid_type", "must be an object"),
            (json!({"title": "a", "body": 1}), "body", "unknown_field", "is not a known member"),
            (json!({"title": "a", "extra": {"k": "hunter2"}}), "extra.k", "invalid_type", "must be a whole number in range"),
            (json!("hunter2"), "body", "invalid_type", "must be an object"),
            (json!({"title": "a", "stars": ", expected hunter3"}), "stars", "invalid_type", "must be a whole number in range"),
            (json!({"title": "a", "kind": "x at line 1 column 2: missing field `hunter3`"}), "kind", "not_allowed",
                "must be `plain` or `secret`"),
        ];
        for (body, field, code, message) in cases {
            unacceptable(call(&app, "POST", "/notes").json(&body), field, code, message).await;
        }
        let twice = call(&app, "POST", "/notes").header("content-type", "application/json");
        unacceptable(twice.body(r#"{"title": "a", "title": "b"}"#), "title", "duplicate", "appears twice").await;
    }

    async fn a_name_of_the_request_is_repeated_only_in_part(db: TestDatabase) {
        let app = app(&db, |layer| layer).await;
        for name in ["x".repeat(1_500), "\u{1b}[31m: invalid type: b, expected c".into(), "`, expected `hunter2".into()] {
            let answer = call(&app, "POST", "/notes").json(&json!({"title": "a", name: 1})).send().await;
            answer.refused(422, "validation_failed");
            assert!(answer.text.len() < 1_000 && !answer.text.contains("\\u001b"), "{}", answer.text);
            let answer = call(&app, "POST", "/notes").json(&json!({"title": "a", "extra": {answer.text: "x"}})).send().await;
            answer.refused(422, "validation_failed");
        }
    }

    async fn a_sentence_of_the_applications_own_type_is_not_repeated(db: TestDatabase) {
        let app = app(&db, |layer| layer).await;
        let post = |path: &str, body: Value| call(&app, "POST", path).json(&body);
        for said in ["hunter2", "hunter2: hunter2", "missing field: hunter2", "a b: invalid type: hunter2, expected hunter2"] {
            for (path, body) in [
                ("/quoting", json!(said)),
                ("/tagged", json!({"kind": "card", "number": said})),
                ("/flat", json!({"number": said})),
            ] {
                unacceptable(post(path, body), "body", "invalid", "is not acceptable").await;
            }
        }
        invalid(call(&app, "GET", "/flat?number=hunter2"), "The query is not acceptable.").await;
        let long = "hunter2 \u{7}".repeat(180);
        let answer = post("/quoting", json!(format!("x: invalid type: y, expected {long}"))).send().await;
        assert!(answer.text.len() < 300, "{}", answer.text);
    }

    async fn an_answer_of_axums_is_known_however_long_it_is(db: TestDatabase) {
        let layer = App::with(&db, |builder| builder, |layer| layer).await.layer;
        let app = Router::new().route("/notes", post(write)).layer(layer);
        // Each of these characters takes six bytes in the text: it passes what axum takes of a body.
        let body = json!({"title": "a", "stars": format!("hunter2{}", "\u{7f}".repeat(1_000_000))});
        let call = call(&app, "POST", "/notes").json(&body);
        unacceptable(call, "stars", "invalid_type", "must be a whole number in range").await;
    }

    async fn a_body_that_is_no_json_or_is_not_said_to_be_is_refused_in_json(db: TestDatabase) {
        let app = app(&db, |layer| layer).await;
        let place = |place: &str| format!("The body is not valid JSON, at line {place}.");
        invalid(
            call(&app, "POST", "/notes").header("content-type", "application/json"),
            "The body is empty, and must be JSON.",
        )
        .await;
        // serde_json stops before it can tell a wrong value from broken text.
        let answer = send_json(&app, r#"{"title": "a", "kind": 5}"#).await;
        answer.refused(400, "invalid_request");
        assert_eq!(answer.json()["message"], "`kind` in the body cannot be read, at line 1, column 24.");
        for (body, at) in [("{", "1, column 1"), ("hunter2", "1, column 1"), ("{}\n x", "1, column 2")] {
            let answer = send_json(&app, body).await;
            without_the_value(&answer);
            if body.starts_with("{}") {
                // The missing title is seen first.
                answer.refused(422, "validation_failed");
            } else {
                answer.refused(400, "invalid_request");
                assert_eq!(answer.json()["message"], place(at));
            }
        }
        call(&app, "POST", "/notes").body("{}").send().await.refused(415, "unsupported_media_type");
        call(&app, "POST", "/form").body("limit=1").send().await.refused(415, "unsupported_media_type");
        for path in ["/notes", "/bytes", "/text"] {
            let long = call(&app, "POST", path).header("content-type", "application/json").body("x".repeat(2_001));
            long.send().await.refused(413, "payload_too_large");
        }
        invalid(call(&app, "POST", "/text").body(vec![0xff]), "The body is not valid UTF-8.").await;
        let broken = Body::from_stream(stream::iter([Ok("{"), Err(std::io::Error::other("hunter2"))]));
        let call = call(&app, "POST", "/notes").header("content-type", "application/json").body(broken);
        invalid(call, "The body did not arrive whole.").await;
    }

    async fn a_query_a_form_and_a_path_are_refused_by_the_name_of_the_part(db: TestDatabase) {
        let app = app(&db, |layer| layer).await;
        let ask = |path: &str| call(&app, "GET", path);
        assert_eq!(ask("/notes?limit=3&order=secret").send().await.text, "3 true");
        let limit = "`limit` in the query must be a whole number in range.";
        invalid(ask("/notes?limit=hunter2"), limit).await;
        invalid(ask("/notes?limit=99999999999"), limit).await;
        invalid(ask("/notes?limit="), limit).await;
        unacceptable(ask("/notes?order=hunter2"), "order", "not_allowed", "must be `plain` or `secret`").await;
        unacceptable(ask("/notes?x=hunter2"), "x", "unknown_field", "is not a known member").await;
        unacceptable(ask("/notes?limit=1&limit=2"), "limit", "duplicate", "appears twice").await;

        invalid(ask("/form?limit=hunter2"), "`limit` in the form must be a whole number in range.").await;
        let form = |body: &str| {
            let call = call(&app, "POST", "/form").header("content-type", "application/x-www-form-urlencoded");
            call.body(body.to_owned())
        };
        invalid(form("limit=hunter2"), "`limit` in the form must be a whole number in range.").await;
        unacceptable(form("x=1"), "x", "unknown_field", "is not a known member").await;

        let number = "A part of the path must be a whole number in range.";
        for id in ["hunter2", "-1", "` with value `", "a` to a `bool", "%F0%9F%A6%80"] {
            invalid(ask(&format!("/notes/{}", id.replace(' ', "%20").replace('`', "%60"))), number).await;
        }
        invalid(ask("/notes/%FF"), "`id` in the path is not valid UTF-8.").await;
        invalid(ask(&format!("/folders/hunter2/{}", Uuid::nil())), "`folder` in the path must be a whole number in range.").await;
        invalid(ask("/folders/1/hunter2"), "`note` in the path must be a UUID.").await;
        invalid(ask("/ids/hunter2"), "`owner` in the path must be a UUID.").await;
        invalid(ask("/raw/%FF"), "`part` in the path is not valid UTF-8.").await;
        let answer = ask("/kinds/hunter2").send().await;
        answer.refused(400, "invalid_request");
        without_the_value(&answer);
        invalid(ask("/pairs/1/hunter2"), "A part of the path must be true or false.").await;
    }

    async fn a_mistake_of_the_program_is_500_and_says_nothing(db: TestDatabase) {
        let app = app(&db, |layer| layer).await;
        for path in ["/state", "/too-many/1"] {
            let answer = call(&app, "GET", path).send().await;
            answer.refused(500, "internal");
            assert_eq!(answer.json(), json!({"error": "internal", "message": "An internal error occurred."}));
        }
    }

    async fn what_a_handler_says_itself_stays_as_it_was_said(db: TestDatabase) {
        let app = app(&db, |layer| layer).await;
        let ask = async |path: &str| {
            let answer = call(&app, "GET", path).send().await;
            (answer.status, answer.text)
        };
        assert_eq!(ask("/own").await, (400, OWN.into()));
        assert_eq!(ask("/own/200").await, (200, "Failed to parse the request body as JSON: no".into()));
        assert_eq!(ask("/own/html").await, (400, "Invalid URL: of the application".into()));
        assert_eq!(ask("/own/stream").await, (400, "Invalid URL: in pieces".into()));
        assert_eq!(ask("/own/path").await, (400, "Invalid URL: the link that you gave is dead".into()));
        assert_eq!(ask("/own/500").await, (500, "No matched path found between A and B".into()));
        let request = Request::get("/own/trailers").body(Body::empty()).unwrap();
        let mut body = app.clone().oneshot(request).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "Invalid URL: own");
        assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap()["x-checksum"], "7");
        assert!(body.frame().await.is_none());
        let answer = call(&app, "HEAD", "/own").send().await;
        assert_eq!((answer.status, answer.text.as_str()), (400, ""));
    }

    async fn headers_that_were_set_on_the_way_stay_on_the_refusal(db: TestDatabase) {
        let app = app(&db, |layer| layer).await;
        let answer = call(&app, "POST", "/marked").json(&json!({"title": 1})).send().await;
        answer.refused(422, "validation_failed");
        assert_eq!((answer.header("x-trace"), answer.cookies()), (Some("7"), vec!["a=b"]));
        let length = answer.header("content-length").map(|length| length.parse().unwrap());
        assert_eq!(length, Some(answer.text.len()));
    }

    async fn the_text_of_axum_stays_where_it_is_asked_for(db: TestDatabase) {
        let app = app(&db, |layer| layer.json_rejections(false)).await;
        let answer = send_json(&app, "{}").await;
        assert_eq!(answer.status, 422);
        assert!(answer.text.starts_with("Failed to deserialize the JSON body"), "{}", answer.text);
        // The layer that is nearest to the handler decides.
        let outer = App::with(&db, |builder| builder, |layer| layer).await.layer;
        assert!(send_json(&app.layer(outer), "{}").await.text.starts_with("Failed to deserialize the JSON body"));
    }

    async fn a_handler_that_looks_at_the_refusal_turns_it_into_the_same_answer(db: TestDatabase) {
        let app = app(&db, |layer| layer.json_rejections(false)).await;
        let ask = |path: &str, body: Value| call(&app, "POST", path).json(&body);
        let good = json!({"title": "a"});
        assert_eq!(ask("/by-hand/1?limit=2", good.clone()).send().await.text, "1 2 a");
        let number = "A part of the path must be a whole number in range.";
        invalid(ask("/by-hand/hunter2", good.clone()), number).await;
        invalid(ask("/by-hand/1?limit=hunter2", good), "`limit` in the query must be a whole number in range.").await;
        unacceptable(ask("/by-hand/1", json!({"title": 1})), "title", "invalid_type", "must be a string").await;
    }
}
