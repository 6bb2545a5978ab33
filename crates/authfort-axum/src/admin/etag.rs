//! Versions of a user as entity tags (RFC 9110, section 8.8.3), against lost updates.
//!
//! Every write at or below `/users/{id}` supports `If-Match`. Roles, sessions and other data of a user have no tag of
//! their own and use the user's. [`IfMatch`] binds the call to a version, which the service compares under its lock.

use authfort::{AuthFort, Conditional, User, UserId, Write};
use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};

use crate::Rejection;

pub(crate) fn etag(user: &User) -> [(HeaderName, String); 1] {
    [(ETAG, tag(user.version))]
}

fn tag(version: i64) -> String {
    format!("\"v{version}\"")
}

/// The versions that `If-Match` allows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// Any version: no header, or `*`.
    Any,
    /// One of these tags. Weak ones never match.
    Tags(Vec<String>),
}

/// A version that no user has.
const NO_VERSION: i64 = -1;

impl IfMatch {
    /// Binds a change of this user to the allowed versions.
    pub(crate) async fn bind<O: Conditional>(
        self,
        auth: &AuthFort,
        id: UserId,
        change: Write<O>,
    ) -> Result<Write<O>, Rejection> {
        let Self::Tags(tags) = self else { return Ok(change) };
        // Of several tags, binds the one of the user's current version, which the transaction compares again. If there
        // is no such user, the change itself reports it.
        let user = auth.find_user(id).deleted(true).await?;
        let version = user.map(|user| user.version).filter(|version| tags.contains(&tag(*version)));
        Ok(change.if_version(version.unwrap_or(NO_VERSION)))
    }

    fn read<'h>(values: impl Iterator<Item = &'h HeaderValue>) -> Result<Self, Rejection> {
        let mut tags = Vec::new();
        let mut any = true;
        for value in values {
            let text = value.to_str().map_err(|_| Rejection::invalid_request("`If-Match` is not readable."))?;
            if text.trim() == "*" {
                return Ok(Self::Any);
            }
            any = false;
            tags.extend(text.split(',').map(|tag| tag.trim().to_owned()));
        }
        Ok(if any { Self::Any } else { Self::Tags(tags) })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::read(parts.headers.get_all(IF_MATCH).iter())
    }
}

/// The header in the OpenAPI document of the operations that support it.
pub(crate) struct IfMatchHeader;

impl utoipa::IntoParams for IfMatchHeader {
    fn into_params(
        _: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
    ) -> Vec<utoipa::openapi::path::Parameter> {
        use utoipa::openapi::Required;
        use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        let header = ParameterBuilder::new()
            .name("If-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("Only while the user is at one of these versions: entity tags, or `*`."))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        vec![header.build()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_from_all_lines() {
        let read = |lines: &[&'static [u8]]| {
            let values: Vec<HeaderValue> = lines.iter().map(|line| HeaderValue::from_bytes(line).unwrap()).collect();
            IfMatch::read(values.iter())
        };
        let tags = |tags: &[&str]| IfMatch::Tags(tags.iter().map(|tag| (*tag).to_owned()).collect());
        assert_eq!(read(&[]).unwrap(), IfMatch::Any);
        assert_eq!(read(&[b" * "]).unwrap(), IfMatch::Any);
        assert_eq!(read(&[b"\"v1\" ,W/\"v2\"", b"\"v3\""]).unwrap(), tags(&["\"v1\"", "W/\"v2\"", "\"v3\""]));
        assert_eq!(read(&[b""]).unwrap(), tags(&[""]), "a list of nothing allows nothing");
        assert_eq!(read(&[b"\xff"]).unwrap_err().code(), "invalid_request");
    }
}
