//! Serves the public keys where verifiers look for them (RFC 7517).

use authfort::{AuthFort, JWKS_MAX_AGE};
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use crate::openapi;
use crate::{AuthLayer, Rejection};

/// Returns a router with `GET /.well-known/jwks.json`, to be merged into the application's root.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let layer = authfort_axum::AuthLayer::new(authfort::AuthFort::connect("sqlite::memory:").await?);
/// let app: axum::Router = axum::Router::new().merge(authfort_axum::jwks_router(&layer));
/// # Ok(()) }
/// ```
pub fn jwks_router<S: Clone + Send + Sync + 'static>(layer: &AuthLayer) -> Router<S> {
    // A merged router leaves unknown paths to the application, so it is not hardened as the nested ones are.
    let route = get(keys).fallback(async || Rejection::method_not_allowed()).with_state(layer.auth().clone());
    Router::new().route("/.well-known/jwks.json", route)
}

/// Returns the OpenAPI 3.1 document of [`jwks_router`]. The router itself does not serve it: it is merged into the
/// application's root, where `/openapi.json` belongs to the application.
///
/// ```
/// let document = authfort_axum::jwks_openapi();
/// assert!(document["paths"]["/.well-known/jwks.json"].is_object());
/// ```
pub fn jwks_openapi() -> Value {
    #[derive(OpenApi)]
    #[openapi(paths(keys))]
    struct Document;
    openapi::describe(&Document::openapi(), "AuthFort public keys")
}

/// A JSON Web Key Set (RFC 7517).
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes; the service answers")]
struct Jwks {
    /// The keys that verify access tokens now.
    keys: Vec<Jwk>,
}

/// A public key: RSA with `n` and `e`, EC with `crv`, `x` and `y`, OKP with `crv` and `x`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes; the service answers")]
struct Jwk {
    kty: String,
    kid: String,
    alg: String,
    r#use: String,
    #[schema(nullable = false)]
    n: Option<String>,
    #[schema(nullable = false)]
    e: Option<String>,
    #[schema(nullable = false)]
    crv: Option<String>,
    #[schema(nullable = false)]
    x: Option<String>,
    #[schema(nullable = false)]
    y: Option<String>,
}

/// Returns the public keys that verify access tokens.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "jwks", tag = "keys",
    responses((status = 200, body = Jwks, headers(("Cache-Control", description = "How long they may be kept."))))
)]
async fn keys(State(auth): State<AuthFort>) -> ([(HeaderName, String); 1], Json<Value>) {
    let lifetime = format!("public, max-age={}", JWKS_MAX_AGE.as_secs());
    ([(header::CACHE_CONTROL, lifetime)], Json(auth.jwks().await))
}
