//! What axum's own extractors refuse, in the shape of the contract.
//!
//! An application uses `axum::Json`, `axum::extract::Query` and `axum::extract::Path`. What they refuse is plain text
//! that quotes the value, which may be a password. [`AuthLayer`](crate::AuthLayer) turns it into a [`Rejection`], and so
//! does `From` for a handler that takes a `Result<Json<T>, JsonRejection>`. What was wanted is kept, what came is
//! dropped.
//!
//! An answer counts as axum's by three signs together: its status, plain text whose whole body is there at once, and one
//! of the sentences by which axum begins. Anything else is the application's own and passes byte by byte; so does a text
//! that a layer between the handler and the [`AuthLayer`](crate::AuthLayer) has compressed. The sentences are axum's, and
//! a release can change them: then the text passes as it is too, and the tests fail.
//!
//! | extractor | refuses | answer |
//! |---|---|---|
//! | all that read a body | more bytes than `DefaultBodyLimit`; a body that breaks off | 413 `payload_too_large`; 400 `invalid_request` |
//! | `Json` | the content type; text that is no JSON; JSON that is not acceptable | 415; 400; 422 on the member |
//! | `Form`, `Query` | text that cannot be read; a member that is missing, unknown or not allowed | 400; 422 on the member |
//! | `Multipart` | a body that cannot be read; too long a one | 400; 413 |
//! | `Path`, `RawPathParams` | a segment that cannot be read | 400 |
//! | `Path`, `Extension`, `MatchedPath` | a mistake of the program | 500 `internal`; its text goes to the log |
//!
//! A name of the request (a member, a part of the path) is repeated, cut and without control characters, and only where
//! it is made of letters, digits, `_` and `-`.

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

/// What describes the body that goes.
const OF_THE_BODY: [HeaderName; 3] = [header::CONTENT_LENGTH, header::ETAG, HeaderName::from_static("content-digest")];

/// On an answer that is to stay as it is, also where an outer layer would turn it.
#[derive(Clone)]
struct KeepAsIs;

/// Tells the layers around this one that the answer stays as it is.
pub(crate) fn keep(mut response: Response) -> Response {
    response.extensions_mut().insert(KeepAsIs);
    response
}

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

/// The whole body if it is one piece that is there already, as a text of axum's is; else the body, nothing of it lost.
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

/// A body of which the first frames were taken to look at them.
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
            /// The refusal of one of axum's extractors, without the value that it quotes.
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
