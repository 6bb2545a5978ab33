//! Path segments, read strictly.
//!
//! An identifier is a UUID in its canonical hyphenated form; the other spellings that a parser would take (without
//! hyphens, in braces, as a URN) are refused, so that one resource has one address. What is not one is 400 and never
//! reaches the database; so are NUL and invalid UTF-8.
//!
//! The last segments of the route count. A router that is nested under `/tenants/{tenant}/admin` has one parameter more
//! than its own routes know of, and that one is the application's.

use axum::{
    extract::{FromRequestParts, RawPathParams, rejection::RawPathParamsRejection},
    http::request::Parts,
};
use uuid::Uuid;

use crate::Rejection;

/// The last parameters of the route: one `T`, or a tuple of two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<T>(pub T);

/// Something that one path segment can be.
pub(crate) trait FromSegment: Sized {
    /// What a refusal says is wanted, to follow "must be".
    const WANTED: &'static str;

    /// Reads the decoded segment; `None` if it is not acceptable, which answers 400.
    fn from_segment(text: &str) -> Option<Self>;
}

impl FromSegment for String {
    const WANTED: &'static str = "a text";

    fn from_segment(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl FromSegment for Uuid {
    const WANTED: &'static str = "a UUID";

    fn from_segment(text: &str) -> Option<Self> {
        parse_uuid(text)
    }
}

/// The canonical form only: it is the one of 36 characters.
pub(super) fn parse_uuid(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

/// What [`Path`] can hold: one segment or two.
pub(crate) trait FromSegments: Sized {
    /// Reads the last of the route's parameters, which come as pairs of name and decoded text.
    ///
    /// # Errors
    /// - 400 for a segment that is not acceptable
    fn from_segments(segments: &[(&str, &str)]) -> Result<Self, Rejection>;
}

impl<T: FromSegment> FromSegments for T {
    fn from_segments(segments: &[(&str, &str)]) -> Result<Self, Rejection> {
        match segments {
            [.., last] => read(*last),
            [] => Err(too_few()),
        }
    }
}

impl<A: FromSegment, B: FromSegment> FromSegments for (A, B) {
    fn from_segments(segments: &[(&str, &str)]) -> Result<Self, Rejection> {
        match segments {
            [.., first, second] => Ok((read(*first)?, read(*second)?)),
            _ => Err(too_few()),
        }
    }
}

fn read<T: FromSegment>((name, text): (&str, &str)) -> Result<T, Rejection> {
    if text.contains('\0') {
        return Err(Rejection::invalid_request("The path contains a NUL character."));
    }
    T::from_segment(text)
        .ok_or_else(|| Rejection::invalid_request(format!("`{name}` in the path must be {}.", T::WANTED)))
}

/// The route declares fewer parameters than its handler asks for: a mistake of the program, not of the client.
fn too_few() -> Rejection {
    tracing::error!("a handler asks for more path parameters than its route has");
    Rejection::internal()
}

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: FromSegments,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        match RawPathParams::from_request_parts(parts, state).await {
            Ok(params) => {
                let segments: Vec<(&str, &str)> = params.iter().collect();
                T::from_segments(&segments).map(Self)
            }
            Err(RawPathParamsRejection::InvalidUtf8InPathParam(_)) => {
                Err(Rejection::invalid_request("The path is not valid UTF-8."))
            }
            Err(_) => Err(too_few()),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::{Body, to_bytes},
        http::Request,
        routing::get,
    };
    use tower::ServiceExt;

    use super::*;

    const ID: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

    async fn ask(path: &str) -> (u16, String) {
        let routes: Router =
            Router::new().route("/users/{id}", get(|Path(id): Path<Uuid>| async move { id.to_string() })).route(
                "/users/{id}/roles/{role}",
                get(|Path((id, role)): Path<(Uuid, String)>| async move { format!("{id} {role}") }),
            );
        let app: Router = Router::new().nest("/tenants/{tenant}/admin", routes);
        let request = Request::get(format!("/tenants/acme/admin{path}")).body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_last_segments_count_wherever_the_router_is_nested() {
        assert_eq!(ask(&format!("/users/{ID}")).await, (200, ID.into()));
        assert_eq!(ask(&format!("/users/{}", ID.to_uppercase())).await, (200, ID.into()));
        assert_eq!(ask(&format!("/users/{ID}/roles/a%20b%2Fc")).await, (200, format!("{ID} a b/c")));
    }

    #[tokio::test]
    async fn what_is_not_a_canonical_uuid_is_400() {
        let expected = r#"{"error":"invalid_request","message":"`id` in the path must be a UUID."}"#;
        for id in [
            "me",
            "1",
            "0190163d8694739baea5966c26f8ad91",
            "%7B0190163d-8694-739b-aea5-966c26f8ad91%7D",
            "urn:uuid:0190163d-8694-739b-aea5-966c26f8ad91",
            "0190163d-8694-739b-aea5-966c26f8ad9g",
            "0190163d-8694-739b-aea5-966c26f8ad91%20",
            "%E2%82%AC%E2%82%AC%E2%82%AC%E2%82%AC%E2%82%AC%E2%82%AC%E2%82%AC%E2%82%AC%E2%82%AC%E2%82%AC%E2%82%AC%E2%82%AC",
        ] {
            assert_eq!(ask(&format!("/users/{id}")).await, (400, expected.into()), "{id}");
        }
    }

    #[tokio::test]
    async fn nul_and_invalid_utf8_in_a_path_are_400() {
        let nul = r#"{"error":"invalid_request","message":"The path contains a NUL character."}"#;
        assert_eq!(ask(&format!("/users/{ID}/roles/a%00")).await, (400, nul.into()));
        let utf8 = r#"{"error":"invalid_request","message":"The path is not valid UTF-8."}"#;
        assert_eq!(ask(&format!("/users/{ID}/roles/%FF")).await, (400, utf8.into()));
        assert_eq!(ask("/users/%C3").await, (400, utf8.into()));
    }
}
