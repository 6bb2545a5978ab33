//! What axum's own extractors refuse, in the shape of the contract.
//!
//! An application uses `axum::Json`, `axum::extract::Query` and `axum::extract::Path`. What they refuse is plain text
//! that quotes the value, which may be a password. [`AuthLayer`](crate::AuthLayer) turns it into a [`Rejection`], and so
//! does `From` for a handler that takes a `Result<Json<T>, JsonRejection>`. What was wanted is kept, what came is
//! dropped.
//!
//! An answer counts as axum's by three signs together: its status, `text/plain` with a body that is there at once, and
//! one of the sentences by which axum begins. Anything else is the application's own and passes as it is. The sentences
//! are axum's, and a release can change them: then the text passes as it is too, and the tests below fail.
//!
//! | extractor | refuses | answer |
//! |---|---|---|
//! | all that read a body | more bytes than `DefaultBodyLimit`; a body that breaks off | 413 `payload_too_large`; 400 `invalid_request` |
//! | `Json` | the content type; text that is no JSON; JSON that is not acceptable | 415; 400; 422 on the member |
//! | `Form`, `Query` | text that cannot be read; a member that is missing, unknown or not allowed | 400; 422 on the member |
//! | `Path` | a segment that cannot be read | 400 |
//! | `Path`, `Extension`, `MatchedPath` | a mistake of the program | 500 `internal`; its text goes to the log |

use authfort::FieldError;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::{
    BytesRejection, ExtensionRejection, JsonRejection, PathRejection, QueryRejection, StringRejection,
};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, StreamExt, stream};
use http_body_util::{BodyExt, BodyStream, StreamBody};

use crate::Rejection;
use crate::extract::{presentable, wanted};

/// The longest text that is looked at. axum's quotes a name or a value of the request, whose body is bounded.
const TEXT_LIMIT: u64 = 4 * 1024 * 1024;

/// Turns the answer of one of axum's extractors into that of the contract; any other passes as it is. The headers that
/// other layers have set stay.
pub(crate) fn reshape(response: Response) -> Response {
    if !is_plain_refusal(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    match at_once(body) {
        Err(body) => Response::from_parts(parts, body),
        Ok(bytes) => {
            let Some(rejection) = std::str::from_utf8(&bytes).ok().and_then(|text| of(parts.status, text)) else {
                return Response::from_parts(parts, Body::from(bytes));
            };
            let (shaped, body) = rejection.into_response().into_parts();
            parts.status = shaped.status;
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.extend(shaped.headers);
            Response::from_parts(parts, body)
        }
    }
}

fn is_plain_refusal(response: &Response) -> bool {
    let wanted = matches!(
        response.status(),
        StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::INTERNAL_SERVER_ERROR
    );
    wanted && is_plain_text(response.headers()) && response.body().size_hint().exact().is_some_and(|n| n <= TEXT_LIMIT)
}

fn is_plain_text(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value == "text/plain; charset=utf-8")
        && !headers.contains_key(header::CONTENT_ENCODING)
}

/// The whole body if it is one piece that is there already, as a text of axum's is; else the body, nothing of it lost.
fn at_once(mut body: Body) -> Result<Bytes, Body> {
    let whole = body.size_hint().exact();
    let Some(first) = body.frame().now_or_never() else { return Err(body) };
    match first {
        None => Err(body),
        Some(Ok(frame)) if frame.data_ref().and_then(|data| u64::try_from(data.len()).ok()) == whole => {
            frame.into_data().map_err(|_| body)
        }
        Some(first) => Err(Body::new(StreamBody::new(stream::iter([first]).chain(BodyStream::new(body))))),
    }
}

/// Reads one of axum's sentences.
fn of(status: StatusCode, text: &str) -> Option<Rejection> {
    let after = |start: &str| text.strip_prefix(start).and_then(|rest| rest.strip_prefix(": "));
    match status {
        StatusCode::UNPROCESSABLE_ENTITY => after("Failed to deserialize the JSON body into the target type")
            .map(|fault| Rejection::validation(vec![field(without_position(fault))]))
            .or_else(|| after("Failed to deserialize form body").map(|fault| pair("form", fault))),
        StatusCode::BAD_REQUEST => bad_request(text),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => match text {
            "Expected request with `Content-Type: application/json`" => Some(Rejection::unsupported_media_type()),
            "Form requests must have `Content-Type: application/x-www-form-urlencoded`" => Some(Rejection::new(
                status,
                Rejection::unsupported_media_type().code(),
                "The body must be sent as Content-Type: application/x-www-form-urlencoded.",
            )),
            _ => None,
        },
        StatusCode::PAYLOAD_TOO_LARGE => {
            after("Failed to buffer the request body").map(|_| Rejection::payload_too_large())
        }
        StatusCode::INTERNAL_SERVER_ERROR => {
            let ours = [
                "Missing request extension",
                "No paths parameters found for matched route",
                "Wrong number of path arguments for `Path`",
                "Unsupported type `",
                "No matched path found",
                "The matched route is not nested",
            ];
            ours.iter().any(|start| text.starts_with(start)).then(|| {
                tracing::error!(mistake = ?text, "an extractor of axum does not fit its route");
                Rejection::internal()
            })
        }
        _ => None,
    }
}

fn bad_request(text: &str) -> Option<Rejection> {
    let after = |start: &str| text.strip_prefix(start).and_then(|rest| rest.strip_prefix(": "));
    if let Some(fault) = after("Failed to parse the request body as JSON") {
        let place = position(fault).map(|(line, column)| format!(", at line {line}, column {column}"));
        return Some(Rejection::invalid_request(format!("The body is not valid JSON{}.", place.unwrap_or_default())));
    }
    if let Some(fault) = after("Failed to deserialize query string") {
        return Some(pair("query", fault));
    }
    if let Some(fault) = after("Failed to deserialize form") {
        return Some(pair("form", fault));
    }
    if let Some(fault) = after("Invalid URL") {
        return Some(Rejection::invalid_request(segment(fault)));
    }
    if after("Failed to buffer the request body").is_some() {
        return Some(Rejection::invalid_request("The body did not arrive whole."));
    }
    after("Request body didn't contain valid UTF-8").map(|_| Rejection::invalid_request("The body is not valid UTF-8."))
}

/// A fault in pairs of name and text: what cannot be read is 400, what can be read and is not acceptable is 422.
fn pair(place: &str, fault: &str) -> Rejection {
    let field = field(fault);
    if matches!(field.code, "required" | "unknown_field" | "not_allowed" | "duplicate") {
        return Rejection::validation(vec![field]);
    }
    Rejection::invalid_request(if field.field == "body" {
        format!("The {place} is not acceptable.")
    } else {
        format!("`{}` in the {place} {}.", field.field, field.message)
    })
}

/// `Cannot parse …`. The names come from the route, so they end at the first mark; the type at the last.
fn segment(fault: &str) -> String {
    if let Some(name) = fault.strip_prefix("Invalid UTF-8 in `").and_then(|rest| rest.strip_suffix('`')) {
        return format!("`{name}` in the path is not valid UTF-8.");
    }
    let kind =
        fault.strip_suffix('`').and_then(|fault| fault.rsplit_once("` to a `")).map_or("acceptable", |of| match of.1 {
            "i8" | "i16" | "i32" | "i64" | "i128" | "u8" | "u16" | "u32" | "u64" | "u128" => "a whole number in range",
            "f32" | "f64" => "a number",
            "bool" => "true or false",
            _ => "acceptable",
        });
    let named = fault.strip_prefix("Cannot parse `").and_then(|rest| rest.split_once("` with value `"));
    match named.map(|(name, _)| name).filter(|name| !name.is_empty() && name.chars().all(is_word)) {
        Some(name) => format!("`{}` in the path must be {kind}.", presentable(name)),
        None => format!("A part of the path must be {kind}."),
    }
}

/// What serde says, after the path of the member if there is one: `email: invalid type: integer …, expected a string`.
fn field(fault: &str) -> FieldError {
    let (path, fault) =
        KINDS.iter().filter_map(|kind| at(fault, kind)).min_by_key(|(path, _)| path.len()).unwrap_or_else(
            // The sentence of a type of the application's.
            || (fault.split_once(": ").map_or("", |(path, _)| path), ""),
        );
    let path = if path.chars().all(|c| is_word(c) || ".[]".contains(c)) { path } else { "" };
    // The path of an unknown or doubled member ends with it, that of a missing one does not.
    let under = |name: &str| {
        let ends = path.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('.'));
        if path.is_empty() {
            name.to_owned()
        } else if ends {
            path.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    let here = |code, message: String| {
        FieldError::new(presentable(if path.is_empty() { "body" } else { path }), code, message)
    };
    let expected = |code| match fault.rsplit_once(", expected ") {
        Some((_, expected)) => here(code, format!("must be {}", wanted(expected))),
        None => here("invalid", "is not acceptable".into()),
    };
    let named = |start: &str| fault.strip_prefix(start).and_then(|rest| rest.split('`').next()).map(under);
    if let Some(name) = named("missing field `") {
        FieldError::new(presentable(&name), "required", "is required")
    } else if let Some(name) = named("unknown field `") {
        FieldError::new(presentable(&name), "unknown_field", "is not a known member")
    } else if let Some(name) = named("duplicate field `") {
        FieldError::new(presentable(&name), "duplicate", "appears twice")
    } else if fault.starts_with("unknown variant `") {
        expected("not_allowed")
    } else if fault.starts_with("invalid type: ") {
        expected("invalid_type")
    } else {
        expected("invalid")
    }
}

/// What names are made of; another text where a name should be is a value that was sent.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "_-".contains(c)
}

/// How serde begins.
const KINDS: [&str; 7] = [
    "missing field `",
    "unknown field `",
    "duplicate field `",
    "unknown variant `",
    "invalid type: ",
    "invalid value: ",
    "invalid length ",
];

/// The path and the sentence, where the sentence begins so.
fn at<'a>(fault: &'a str, kind: &str) -> Option<(&'a str, &'a str)> {
    if fault.starts_with(kind) {
        return Some(("", fault));
    }
    let start = fault.find(&format!(": {kind}"))?;
    Some((fault.get(..start)?, fault.get(start + 2..)?))
}

/// `… at line 1 column 20`, which ends each sentence of `serde_json`.
fn position(fault: &str) -> Option<(u64, u64)> {
    let (line, column) = fault.rsplit_once(" at line ")?.1.split_once(" column ")?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

fn without_position(fault: &str) -> &str {
    match (position(fault), fault.rsplit_once(" at line ")) {
        (Some(_), Some((fault, _))) => fault,
        _ => fault,
    }
}

macro_rules! from {
    ($($rejection:ident),+) => {
        $(
            /// The refusal of one of axum's extractors, without the value that it quotes.
            impl From<$rejection> for Rejection {
                fn from(rejection: $rejection) -> Self {
                    let status = rejection.status();
                    of(status, &rejection.body_text()).unwrap_or_else(|| {
                        if status.is_server_error() {
                            tracing::error!(mistake = ?rejection.body_text(), "an extractor of axum failed");
                            return Self::internal();
                        }
                        Self::new(status, "invalid_request", "The request is not acceptable.")
                    })
                }
            }
        )+
    };
}
from!(BytesRejection, StringRejection, JsonRejection, QueryRejection, PathRejection, ExtensionRejection);
