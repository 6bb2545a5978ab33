//! The routes by which administrators manage users. Mounted where the application likes.
//!
//! One file a route: its path, its input, its answer. Every route needs the admin role of the service, which is asked
//! before anything of the request is read: by a layer around the whole router, so that a new route cannot be forgotten,
//! and by the argument [`Admin`] of each handler, which acts in the administrator's name.

mod accounts;
mod admin_user;
mod etag;
mod events;
mod keys;
mod roles;
mod sessions;
mod users;

use authfort::UserId;
use axum::Router;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use admin_user::Admin;
pub(crate) use sessions::{Revoked, SessionFilter};

use crate::openapi;
use crate::{AuthLayer, harden, require_role};

/// Which user.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct UserPath {
    id: UserId,
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
    ]
}

const TITLE: &str = "AuthFort administration";

/// The OpenAPI 3.1 document of [`admin_router`], for an application that describes itself. `GET /openapi.json` of the
/// router answers the same, with the path where it is mounted as its server.
///
/// ```
/// let document = authfort_axum::admin_openapi();
/// assert!(document["paths"]["/users/{id}"].is_object());
/// ```
pub fn admin_openapi() -> Value {
    openapi::document(routes(), TITLE)
}

/// The admin routes, for `nest("/admin", …)`. The role is the service's [`admin_role`](authfort::AuthFort::admin_role).
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

/// [`admin_router`] without the routes of these paths, for an application that has its own in their place; a path goes with all its
/// methods. See
/// [`auth_router_without`](crate::auth_router_without).
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
/// If there is no such path; the message lists those that there are.
#[track_caller]
pub fn admin_router_without<S: Clone + Send + Sync + 'static>(
    layer: &AuthLayer,
    paths: impl IntoIterator<Item = impl Into<String>>,
) -> Router<S> {
    let router =
        openapi::router(routes(), TITLE, &openapi::texts(paths)).route_layer(require_role(layer.auth().admin_role()));
    harden(router).layer(layer.clone()).with_state(())
}
