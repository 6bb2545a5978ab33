//! The routes by which administrators manage users. The application chooses where to mount them.
//!
//! There is one file per route, with its path, input and response. Every route requires the service's admin role, which
//! is checked before anything of the request is read: by a layer around the whole router, so that a new route cannot
//! miss it, and by the argument [`Admin`] of each handler, which acts on behalf of the administrator.

mod accounts;
mod admin_user;
mod etag;
mod events;
mod keys;
mod roles;
mod sessions;
mod users;
#[cfg(feature = "webhooks")]
mod webhooks;

use authfort::UserId;
use axum::Router;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

pub(crate) use admin_user::{Admin, AdminRequest};
#[cfg(feature = "ui")]
pub(crate) use events::stream;
pub(crate) use sessions::{Revoked, SessionFilter};

use crate::openapi;
use crate::{AuthLayer, harden, require_role};

/// Identifies a user.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct UserPath {
    pub(crate) id: UserId,
}

fn routes() -> Vec<UtoipaMethodRouter> {
    vec![
        routes!(users::list::list, users::create::create),
        routes!(users::count::count),
        routes!(users::get::get, users::update::update, users::delete::delete),
        routes!(users::ban::ban),
        routes!(users::unban::unban),
        routes!(users::password::set_password),
        routes!(roles::list::list),
        routes!(roles::change::add, roles::change::remove),
        routes!(sessions::list::list, sessions::revoke_all::revoke_all),
        routes!(sessions::revoke::revoke),
        routes!(accounts::list::list),
        routes!(accounts::link::link, accounts::unlink::unlink),
        routes!(keys::list::list),
        routes!(keys::rotate::rotate),
        routes!(events::list::list),
        routes!(events::stream::stream),
        #[cfg(feature = "webhooks")]
        routes!(webhooks::list::list, webhooks::create::create),
        #[cfg(feature = "webhooks")]
        routes!(webhooks::get::get, webhooks::update::update, webhooks::delete::delete),
        #[cfg(feature = "webhooks")]
        routes!(webhooks::test::test),
        #[cfg(feature = "webhooks")]
        routes!(webhooks::rotate_secret::rotate_secret),
        #[cfg(feature = "webhooks")]
        routes!(webhooks::deliveries::list),
        #[cfg(feature = "webhooks")]
        routes!(webhooks::redeliver::redeliver),
    ]
}

const TITLE: &str = "AuthFort administration";

/// Returns the OpenAPI 3.1 document of [`admin_router`], for an application that publishes its own document. `GET
/// /openapi.json` of the router returns the same, with the path where it is mounted as its server.
///
/// ```
/// let document = authfort_axum::admin_openapi();
/// assert!(document["paths"]["/users/{id}"].is_object());
/// ```
pub fn admin_openapi() -> Value {
    openapi::document(routes(), TITLE)
}

/// Returns the admin routes, for `nest("/admin", …)`. The required role is the service's
/// [`admin_role`](authfort::AuthFort::admin_role).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let layer = authfort_axum::AuthLayer::new(authfort::AuthFort::connect("sqlite::memory:").await?);
/// let app: axum::Router = axum::Router::new().nest("/admin", authfort_axum::admin_router(&layer));
/// # Ok(()) }
/// ```
pub fn admin_router<S: Clone + Send + Sync + 'static>(layer: &AuthLayer) -> Router<S> {
    admin_router_without(layer, std::iter::empty::<String>())
}

/// Returns [`admin_router`] without the routes of these paths, for an application that has its own in their place; a
/// path is left out with all its methods. See [`auth_router_without`](crate::auth_router_without).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let layer = authfort_axum::AuthLayer::new(authfort::AuthFort::connect("sqlite::memory:").await?);
/// use authfort_axum::{admin_router_without, require_role};
/// use axum::{Router, routing::get};
///
/// let app: Router = Router::new()
///     .nest("/admin", admin_router_without(&layer, ["/events"]))
///     .route("/admin/events", get(|| async { "elsewhere" }).route_layer(require_role("admin")))
///     .layer(layer);
/// # Ok(()) }
/// ```
///
/// # Panics
/// If the router has no such path; the message lists the paths that it has.
#[track_caller]
pub fn admin_router_without<S: Clone + Send + Sync + 'static>(
    layer: &AuthLayer,
    paths: impl IntoIterator<Item = impl Into<String>>,
) -> Router<S> {
    let router =
        openapi::router(routes(), TITLE, &openapi::texts(paths)).route_layer(require_role(layer.auth().admin_role()));
    harden(router).layer(layer.clone()).with_state(())
}
