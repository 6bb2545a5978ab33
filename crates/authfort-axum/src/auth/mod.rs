//! The routes by which users sign up, sign in and manage their own account. The application chooses where to mount
//! them.
//!
//! | route | file |
//! |---|---|
//! | `POST /signup` | `signup` |
//! | `POST /login` | `login` |
//! | `POST /refresh` | `refresh` |
//! | `POST /logout` | `logout` |
//! | `GET /me` | `me` |
//! | `POST /change-password` | `change_password` |
//! | `POST /verify-email` | `verify_email` |
//! | `POST /request-email-verification`, `POST /request-password-reset` | one file each, of the same name |
//! | `POST /reset-password` | `reset_password` |
//! | `GET /sessions`, `DELETE /sessions/{id}` | `sessions` |
//! | `POST /introspect` | `introspect` |
//! | `GET /openapi.json` | this file |

mod answer;
mod change_password;
mod introspect;
mod login;
mod logout;
mod me;
mod refresh;
mod request_email_verification;
mod request_password_reset;
mod reset_password;
mod sessions;
mod signup;
mod verify_email;
mod visitor;

pub use visitor::Visitor;
#[cfg(feature = "ui")]
pub(crate) use {
    answer::{clear_cookies, cookies_of},
    logout::end_sessions,
    refresh::exchange,
    visitor::{AccessTokens, RefreshCookies},
};

use axum::Router;
use serde_json::Value;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use crate::openapi;
use crate::{AuthLayer, harden};

fn routes() -> Vec<UtoipaMethodRouter> {
    vec![
        routes!(signup::signup),
        routes!(login::login),
        routes!(refresh::refresh),
        routes!(logout::logout),
        routes!(me::me),
        routes!(change_password::change_password),
        routes!(verify_email::verify_email),
        routes!(request_email_verification::request_email_verification),
        routes!(request_password_reset::request_password_reset),
        routes!(reset_password::reset_password),
        routes!(sessions::list),
        routes!(sessions::revoke),
        routes!(introspect::introspect),
    ]
}

const TITLE: &str = "AuthFort authentication";

/// Returns the OpenAPI 3.1 document of [`auth_router`], for an application that publishes its own document. `GET
/// /openapi.json` of the router returns the same, with the path where it is mounted as its server.
///
/// ```
/// let document = authfort_axum::auth_openapi();
/// assert!(document["paths"]["/login"].is_object());
/// ```
pub fn auth_openapi() -> Value {
    openapi::document(routes(), TITLE)
}

/// Returns the routes of sign-up, login, refresh, logout and self-service, for `nest("/auth", …)`. Every response body
/// is JSON; see the HTTP reference in the guide.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let layer = authfort_axum::AuthLayer::new(authfort::AuthFort::connect("sqlite::memory:").await?);
/// let app: axum::Router = axum::Router::new().nest("/auth", authfort_axum::auth_router(&layer));
/// # Ok(()) }
/// ```
pub fn auth_router<S: Clone + Send + Sync + 'static>(layer: &AuthLayer) -> Router<S> {
    auth_router_without(layer, std::iter::empty::<String>())
}

/// Returns [`auth_router`] without the routes of these paths, for an application that has its own in their place; a
/// path is left out with all its methods. If the application adds a second route for the same method and path, axum
/// panics with `Overlapping method route` where the router is built.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let layer = authfort_axum::AuthLayer::new(authfort::AuthFort::connect("sqlite::memory:").await?);
/// use authfort_axum::auth_router_without;
/// use axum::{Router, routing::post};
///
/// let app: Router = Router::new()
///     .nest("/auth", auth_router_without(&layer, ["/signup"]))
///     .route("/auth/signup", post(|| async { "by invitation only" }));
/// # Ok(()) }
/// ```
///
/// # Panics
/// If the router has no such path; the message lists the paths that it has.
#[track_caller]
pub fn auth_router_without<S: Clone + Send + Sync + 'static>(
    layer: &AuthLayer,
    paths: impl IntoIterator<Item = impl Into<String>>,
) -> Router<S> {
    harden(openapi::router(routes(), TITLE, &openapi::texts(paths))).layer(layer.clone()).with_state(())
}
