//! Extracts a JSON body strictly.
//!
//! | what the client sends | response |
//! |---|---|
//! | no `Content-Type`, one other than `application/json` or `application/*+json`, a compressed body | 415 `unsupported_media_type` |
//! | more bytes than axum's `DefaultBodyLimit` | 413 `payload_too_large`; bytes over the limit are never buffered |
//! | invalid UTF-8, malformed JSON, lone surrogates, trailing bytes, a depth over 128, a repeated member | 400 `invalid_request` |
//! | anything but an object | 422 `validation_failed` on `body` |
//! | NUL in a string | 422 on that member |
//! | a member that is unknown, missing, of the wrong type or not an allowed value | 422 on that member |
//!
//! The content type is a security check: an HTML form on another site can send a body that looks like JSON, but only as
//! `text/plain`. Repeated members are refused because parsers disagree on which one is used (RFC 8259, section 4), and
//! NUL because PostgreSQL cannot store it and SQLite can.
//!
//! Unknown members are refused only if `T` has `#[serde(deny_unknown_fields)]`, and `T` always should.

use std::time::Duration;

use authfort::JsonFault;
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use super::node::Node;
use super::{fault, media_type};
use crate::Rejection;

/// A JSON body that must be an object with only the members of `T`. As a response it is the same as `axum::Json`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Json<T>(pub T);

/// A JSON body whose members are all optional: a missing body is read as an empty object.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OptionalJson<T>(pub T);

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        // The type is checked before the body is read.
        require_json(request.headers())?;
        let bytes = buffer(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<T, S> FromRequest<S> for OptionalJson<T>
where
    T: DeserializeOwned + Default,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let declared = require_json(request.headers());
        let bytes = buffer(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        declared?;
        parse(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The maximum time for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// Reads the whole body, within its limits of size and time.
pub(crate) async fn buffer<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Rejection> {
    let whole = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
    let whole = whole.map_err(|_| Rejection::invalid_request("The body took too long to arrive."))?;
    whole.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Rejection::payload_too_large()
        } else {
            Rejection::invalid_request("The body did not arrive whole.")
        }
    })
}

fn require_json(headers: &HeaderMap) -> Result<(), Rejection> {
    let kind = media_type(headers).unwrap_or_default();
    let json = kind.strip_prefix("application/").is_some_and(|kind| kind.rsplit('+').next() == Some("json"));
    if json && is_plain(headers) { Ok(()) } else { Err(Rejection::unsupported_media_type()) }
}

/// Returns whether a body is not compressed.
pub(crate) fn is_plain(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Parses a whole body.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Rejection> {
    let text = std::str::from_utf8(bytes).map_err(|_| Rejection::invalid_request("The body is not valid UTF-8."))?;

    let value = authfort::read_json(text).map_err(|fault| malformed(&fault))?;
    fault::read(Node(value)).map_err(|fault| Rejection::validation(vec![fault::in_body(fault)]))
}

/// Gives the position only; the text around it may hold anything, so it is not repeated.
fn malformed(&(fault, line, column): &(JsonFault, usize, usize)) -> Rejection {
    let what = match fault {
        JsonFault::Malformed => "is not valid JSON",
        JsonFault::Twice => "names a member twice",
        JsonFault::Reserved => "has a member with a reserved name",
    };
    Rejection::invalid_request(format!("The body {what}, at line {line}, column {column}."))
}

#[cfg(test)]
mod tests;
