//! Versions of a user as entity tags (RFC 9110, section 8.8.3), against lost updates.

use authfort::User;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderName};

use crate::Rejection;

pub(super) fn etag(user: &User) -> [(HeaderName, String); 1] {
    [(ETAG, format!("\"v{}\"", user.version))]
}

/// What `If-Match` allows.
pub(crate) enum Wanted {
    /// Anything: no header, or `*`.
    Any,
    /// One of these versions. Tags that are none of ours match nothing, and weak ones never do.
    Versions(Vec<i64>),
}

pub(super) fn if_match(headers: &HeaderMap) -> Result<Wanted, Rejection> {
    let mut versions = Vec::new();
    let mut any = true;
    for value in headers.get_all(IF_MATCH) {
        let text = value.to_str().map_err(|_| Rejection::invalid_request("`If-Match` is not readable."))?;
        if text.trim() == "*" {
            return Ok(Wanted::Any);
        }
        any = false;
        versions.extend(text.split(',').filter_map(|tag| {
            let version = tag.trim().strip_prefix("\"v")?.strip_suffix('"')?;
            version.parse::<i64>().ok()
        }));
    }
    Ok(if any { Wanted::Any } else { Wanted::Versions(versions) })
}
