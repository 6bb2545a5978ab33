//! The public keys, where verifiers look for them (RFC 7517).

use authfort::{AuthFort, JWKS_MAX_AGE};
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;

use crate::{AuthLayer, Rejection};

/// `GET /.well-known/jwks.json`, to be merged into the application's root.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let layer = authfort_axum::AuthLayer::new(authfort::AuthFort::connect("sqlite::memory:").await?);
/// let app: axum::Router = axum::Router::new().merge(authfort_axum::jwks_router(&layer));
/// # Ok(()) }
/// ```
pub fn jwks_router<S: Clone + Send + Sync + 'static>(layer: &AuthLayer) -> Router<S> {
    // A router that is merged leaves unknown paths to the application, so it is not hardened as the nested ones are.
    let route = get(keys).fallback(async || Rejection::method_not_allowed()).with_state(layer.auth().clone());
    Router::new().route("/.well-known/jwks.json", route)
}

async fn keys(State(auth): State<AuthFort>) -> ([(HeaderName, String); 1], Json<Value>) {
    let lifetime = format!("public, max-age={}", JWKS_MAX_AGE.as_secs());
    ([(header::CACHE_CONTROL, lifetime)], Json(auth.jwks().await))
}
