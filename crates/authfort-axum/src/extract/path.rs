//! Extracts the parameters in the path of a route.

use axum::{
    extract::{FromRequestParts, RawPathParams, rejection::RawPathParamsRejection},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::parameters::Parameters;
use crate::Rejection;

/// The path parameters that a struct has fields for. Other parameters belong to outer routers: a router nested under
/// `/tenants/{tenant}/admin` has one parameter more than its own routes declare.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let refuse = |what: &str| Rejection::invalid_request(format!("The path {what}."));
        let segments = RawPathParams::from_request_parts(parts, state).await.map_err(|rejection| match rejection {
            RawPathParamsRejection::InvalidUtf8InPathParam(_) => refuse("is not valid UTF-8"),
            _ => too_few(),
        })?;
        if segments.iter().any(|(_, text)| text.contains('\0')) {
            return Err(refuse("contains a NUL character"));
        }
        match Parameters::of_path(segments.iter()).take() {
            Err(rejection) if rejection.fields().iter().any(|fault| fault.code == "required") => Err(too_few()),
            taken => taken.map(Self),
        }
    }
}

/// Reports a route that declares fewer parameters than its handler takes: a programming error, not the client's.
fn too_few() -> Rejection {
    tracing::error!("a handler takes more path parameters than its route has");
    Rejection::internal()
}

#[cfg(test)]
mod tests {
    use authfort::UserId;
    use axum::{
        Router,
        body::{Body, to_bytes},
        http::Request,
        routing::get,
    };
    use serde::Deserialize;
    use tower::ServiceExt;

    use super::*;

    #[derive(Deserialize)]
    struct UserPath {
        id: UserId,
    }

    #[derive(Deserialize)]
    struct RolePath {
        id: UserId,
        role: String,
    }

    const ID: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

    async fn ask(path: &str) -> (u16, String) {
        let user = async |Path(UserPath { id }): Path<UserPath>| id.to_string();
        let role = async |Path(RolePath { id, role }): Path<RolePath>| format!("{id} {role}");
        let routes: Router = Router::new()
            .route("/users/{id}", get(user))
            .route("/users/{id}/roles/{role}", get(role))
            .route("/none", get(user));
        let app: Router = Router::new().nest("/tenants/{tenant}/admin", routes);
        let request = Request::get(format!("/tenants/acme/admin{path}")).body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn parameters_of_outer_routers_do_not_count() {
        assert_eq!(ask(&format!("/users/{ID}")).await, (200, ID.into()));
        assert_eq!(ask(&format!("/users/{}", ID.to_uppercase())).await, (200, ID.into()));
        assert_eq!(ask(&format!("/users/{ID}/roles/a%20b%2Fc")).await, (200, format!("{ID} a b/c")));
    }

    #[tokio::test]
    async fn of_two_parameters_with_one_name_the_inner_counts() {
        let segments = [("id", "acme"), ("id", ID)];
        let UserPath { id } = Parameters::of_path(segments.into_iter()).take().unwrap();
        assert_eq!(id.to_string(), ID);
    }

    #[tokio::test]
    async fn a_route_without_the_parameter_is_a_fault_of_the_program() {
        assert_eq!(ask("/none").await.0, 500);
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
