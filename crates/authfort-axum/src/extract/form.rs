//! Reads a form: a body of the type `application/x-www-form-urlencoded`.

use axum::extract::Request;
use axum::http::HeaderMap;

use super::{Parameters, buffer, is_plain, media_type};
use crate::Rejection;

pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|kind| kind == "application/x-www-form-urlencoded")
}

/// Reads the whole form of a request that says it is one.
///
/// # Errors
/// - 415 if it is compressed
/// - 400 for an invalid percent-encoding, invalid UTF-8, or NUL
pub(crate) async fn form<S: Send + Sync>(request: Request, state: &S) -> Result<Parameters, Rejection> {
    if !is_plain(request.headers()) {
        return Err(Rejection::unsupported_media_type());
    }
    let body = buffer(request, state).await?;
    let text = std::str::from_utf8(&body).map_err(|_| Rejection::invalid_request("The body is not UTF-8."))?;
    Parameters::split("form", text)
}
