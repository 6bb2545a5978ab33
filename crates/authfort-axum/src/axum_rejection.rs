//! Converts the rejections of axum's own extractors to [`Rejection`].
//!
//! An application may use `axum::Json`, `axum::extract::Query` and `axum::extract::Path`. Their rejections are plain
//! text that quotes the invalid value, which may be a password. [`AuthLayer`](crate::AuthLayer) converts such a
//! response to a [`Rejection`], and so does `From` for a handler that takes a `Result<Json<T>, JsonRejection>`. The
//! conversion keeps what was expected and drops the value.
//!
//! A response is recognized as axum's by three signs together: its status, a plain-text body that is available at once,
//! and one of the sentences with which axum's messages begin. Every other response is the application's own and is not
//! changed; neither is a text that a layer between the handler and the [`AuthLayer`](crate::AuthLayer) has compressed.
//! A release of axum can change the sentences: then the text is not changed either, and the tests fail.
//!
//! | extractor | refuses | response |
//! |---|---|---|
//! | all that read a body | more bytes than `DefaultBodyLimit`; an incomplete body | 413 `payload_too_large`; 400 `invalid_request` |
//! | `Json` | the content type; malformed JSON; invalid JSON | 415; 400; 422 on the member |
//! | `Form`, `Query` | text that cannot be parsed; a member that is missing, unknown or not allowed | 400; 422 on the member |
//! | `Multipart` | a body that cannot be parsed; a body that is too long | 400; 413 |
//! | `Path`, `RawPathParams` | a segment that cannot be parsed | 400 |
//! | `Path`, `Extension`, `MatchedPath` | a programming error | 500 `internal`; the text goes to the log |
//!
//! A name from the request (a member, a part of the path) is repeated only if it consists of letters, digits, `_`, `-`,
//! `.`, `[` and `]`. It is truncated.

mod sentence;

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::{
    BytesRejection, ExtensionRejection, JsonRejection, MatchedPathRejection, PathRejection, QueryRejection,
    RawPathParamsRejection, StringRejection,
};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use crate::Rejection;
use crate::extract::media_type;
use sentence::rejection_of;

/// The headers that describe the replaced body.
const OF_THE_BODY: [HeaderName; 3] = [header::CONTENT_LENGTH, header::ETAG, HeaderName::from_static("content-digest")];

/// Marks a response that must not be changed, not even by an outer layer.
#[derive(Clone)]
struct KeepAsIs;

/// Marks the response, so that outer layers do not change it.
pub(crate) fn keep(mut response: Response) -> Response {
    response.extensions_mut().insert(KeepAsIs);
    response
}

/// Converts the rejection of one of axum's extractors to a [`Rejection`]; other responses are not changed. Headers that
/// other layers have set are kept.
pub(crate) fn reshape(response: Response) -> Response {
    if !is_plain_refusal(&response) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    match at_once(body) {
        Err(body) => Response::from_parts(parts, body),
        Ok(bytes) => {
            let Some(rejection) = std::str::from_utf8(&bytes).ok().and_then(|text| rejection_of(parts.status, text))
            else {
                return Response::from_parts(parts, Body::from(bytes));
            };
            let (shaped, body) = rejection.into_response().into_parts();
            parts.status = shaped.status;
            for name in OF_THE_BODY {
                parts.headers.remove(name);
            }
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
    wanted && is_plain_text(response.headers()) && response.extensions().get::<KeepAsIs>().is_none()
}

fn is_plain_text(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|kind| kind == "text/plain") && !headers.contains_key(header::CONTENT_ENCODING)
}

/// Returns the whole body if it is a single frame that is available at once, as axum's texts are; otherwise returns the
/// body without loss.
fn at_once(mut rest: Body) -> Result<Bytes, Body> {
    let length = rest.size_hint();
    let mut frames = VecDeque::new();
    while frames.len() < 2 {
        match rest.frame().now_or_never() {
            Some(Some(frame)) => frames.push_back(frame),
            Some(None) => {
                rest = Body::empty();
                if frames.len() == 1
                    && let Some(Ok(frame)) = frames.pop_front_if(|frame| frame.as_ref().is_ok_and(Frame::is_data))
                    && let Ok(bytes) = frame.into_data()
                {
                    return Ok(bytes);
                }
                break;
            }
            None => break,
        }
    }
    Err(Body::new(Peeked { length, frames, rest }))
}

/// A body whose first frames were already read.
struct Peeked {
    length: SizeHint,
    frames: VecDeque<Result<Frame<Bytes>, axum::Error>>,
    rest: Body,
}

impl HttpBody for Peeked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.frames.is_empty() { self.rest.size_hint() } else { self.length }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.is_end_stream()
    }
}

macro_rules! from {
    ($($rejection:ident),+) => {
        $(
            /// Converts the rejection of one of axum's extractors, without the value that it quotes.
            impl From<$rejection> for Rejection {
                fn from(rejection: $rejection) -> Self {
                    let status = rejection.status();
                    rejection_of(status, &rejection.body_text()).unwrap_or_else(|| {
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
from!(
    BytesRejection,
    StringRejection,
    JsonRejection,
    QueryRejection,
    PathRejection,
    RawPathParamsRejection,
    MatchedPathRejection,
    ExtensionRejection
);
