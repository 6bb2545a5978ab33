//! The routes by which people sign up, sign in and look after themselves. Mounted where the application likes.
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
//! | `POST /request-email-verification`, `POST /request-password-reset` | each of its name |
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

use axum::Router;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::openapi::{self, Document};
use crate::{AuthLayer, harden};

/// Sign-up, login, refresh, logout and what a user can do about themself, for `nest("/auth", …)`. Answers JSON, always;
/// see the HTTP reference in the guide.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let layer = authfort_axum::AuthLayer::new(authfort::AuthFort::connect("sqlite::memory:").await?);
/// let app: axum::Router = axum::Router::new().nest("/auth", authfort_axum::auth_router(&layer));
/// # Ok(()) }
/// ```
pub fn auth_router<S: Clone + Send + Sync + 'static>(layer: &AuthLayer) -> Router<S> {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(signup::signup))
        .routes(routes!(login::login))
        .routes(routes!(refresh::refresh))
        .routes(routes!(logout::logout))
        .routes(routes!(me::me))
        .routes(routes!(change_password::change_password))
        .routes(routes!(verify_email::verify_email))
        .routes(routes!(request_email_verification::request_email_verification))
        .routes(routes!(request_password_reset::request_password_reset))
        .routes(routes!(reset_password::reset_password))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::revoke))
        .routes(routes!(introspect::introspect))
        .split_for_parts();
    let (path, document) = openapi::route(openapi::describe(document, "AuthFort authentication"));
    harden(router.route(path, document)).layer(layer.clone()).with_state(())
}
