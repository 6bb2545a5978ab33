//! Versions of a user as entity tags (RFC 9110, section 8.8.3), against lost updates.

use authfort::User;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderName};

use crate::Rejection;

pub(super) fn etag(user: &User) -> [(HeaderName, String); 1] {
    [(ETAG, tag(user.version))]
}

fn tag(version: i64) -> String {
    format!("\"v{version}\"")
}

/// What `If-Match` allows.
pub(crate) enum Wanted {
    /// Anything: no header, or `*`.
    Any,
    /// One of these tags. Weak ones never match.
    Tags(Vec<String>),
}

impl Wanted {
    pub(super) fn allows(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.contains(&tag(version)),
        }
    }
}

pub(super) fn if_match(headers: &HeaderMap) -> Result<Wanted, Rejection> {
    let mut tags = Vec::new();
    let mut any = true;
    for value in headers.get_all(IF_MATCH) {
        let text = value.to_str().map_err(|_| Rejection::invalid_request("`If-Match` is not readable."))?;
        if text.trim() == "*" {
            return Ok(Wanted::Any);
        }
        any = false;
        tags.extend(text.split(',').map(|tag| tag.trim().to_owned()));
    }
    Ok(if any { Wanted::Any } else { Wanted::Tags(tags) })
}
