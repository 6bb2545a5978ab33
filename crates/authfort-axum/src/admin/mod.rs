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

use axum::Router;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use admin_user::Admin;
pub(crate) use sessions::{Revoked, SessionFilter};

use crate::openapi::{self, Document};
use crate::{AuthLayer, harden, require_role};

/// The admin routes, for `nest("/admin", …)`. The role is the service's [`admin_role`](authfort::AuthFort::admin_role).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let layer = authfort_axum::AuthLayer::new(authfort::AuthFort::connect("sqlite::memory:").await?);
/// let app: axum::Router = axum::Router::new().nest("/admin", authfort_axum::admin_router(&layer));
/// # Ok(()) }
/// ```
pub fn admin_router<S: Clone + Send + Sync + 'static>(layer: &AuthLayer) -> Router<S> {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(users::list::list, users::create::create))
        .routes(routes!(users::count::count))
        .routes(routes!(users::get::get, users::update::update, users::delete::delete))
        .routes(routes!(users::ban::ban))
        .routes(routes!(users::unban::unban))
        .routes(routes!(users::password::set_password))
        .routes(routes!(roles::list::list))
        .routes(routes!(roles::change::add, roles::change::remove))
        .routes(routes!(sessions::list::list, sessions::revoke_all::revoke_all))
        .routes(routes!(sessions::revoke::revoke))
        .routes(routes!(accounts::list::list))
        .routes(routes!(accounts::link::link, accounts::unlink::unlink))
        .routes(routes!(keys::list::list))
        .routes(routes!(keys::rotate::rotate))
        .routes(routes!(events::list::list))
        .split_for_parts();
    let (path, document) = openapi::route(openapi::describe(document, "AuthFort administration"));
    let router = router.route(path, document).route_layer(require_role(layer.auth().admin_role()));
    harden(router).layer(layer.clone()).with_state(())
}
