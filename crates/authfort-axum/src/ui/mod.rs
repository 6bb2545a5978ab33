//! The admin page: users for people, in the browser.
//!
//! Each page is made on the server and works without script; a script (htmx) replaces parts of it while somebody types. A page
//! calls the service as the routes of the admin router do, on behalf of the administrator. There is one file per page:
//!
//! | file | what |
//! |---|---|
//! | `site.rs` | [`AdminPage`], the options; and [`site::Site`], the page as it is mounted |
//! | `around.rs` | what surrounds each page: the session is kept fresh, a refusal becomes a page, headers |
//! | `frame.rs` | what each page shows around its content |
//! | `params.rs` | reads a query or a form |
//! | `step_up.rs` | asks for the password again before a dangerous act |
//! | `assets.rs` | styles and scripts |
//! | `panel.rs` | [`Panel`]: what an application adds to a person's page |
//! | `words.rs` | how a template writes times, numbers and events |
//! | `log.rs` | events, as a page shows them |
//! | `sign_in.rs`, `overview.rs`, `rotate.rs`, `events.rs`, `sessions.rs`, `subscriptions.rs`, `webhooks.rs`, `users/` | the pages |

mod around;
mod assets;
mod events;
mod frame;
mod log;
mod overview;
mod panel;
mod params;
mod rotate;
mod sessions;
mod sign_in;
mod site;
mod step_up;
mod subscriptions;
mod users;
#[cfg(feature = "webhooks")]
mod webhooks;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request};
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

pub use self::panel::{Panel, PanelContent};
pub use self::site::AdminPage;
use self::site::Site;
use crate::admin::stream;
use crate::harden::{BODY_LIMIT, catch_panics, mark};
use crate::{AuthLayer, Rejection, require_role};

/// The limit of a body with a list of a thousand people, or with metadata.
const LARGE: usize = 1024 * 1024;

/// The stream of the log, for the page that shows it live.
const LIVE_EVENTS: &str = "/ui/events/live";

/// Returns the admin page: users for people, in the browser. Merge it with the [`admin_router`](crate::admin_router); its
/// paths begin with `/ui/`, and `/` leads there. Every page requires the service's
/// [`admin_role`](authfort::AuthFort::admin_role), except the one to sign in.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::connect("sqlite::memory:").await?;
/// use authfort_axum::{AdminPage, AuthLayer, CookieOptions, admin_page, admin_router};
///
/// let layer = AuthLayer::new(auth).cookies(CookieOptions::default())?;
/// let admin = admin_router(&layer).merge(admin_page(&layer, AdminPage::new().title("Acme users")));
/// let app: axum::Router = axum::Router::new().nest("/admin", admin).layer(layer);
/// # Ok(()) }
/// ```
///
/// # Panics
/// If the layer has no [`cookies`](AuthLayer::cookies): a browser signs in with them.
#[track_caller]
pub fn admin_page<S: Clone + Send + Sync + 'static>(layer: &AuthLayer, page: AdminPage) -> Router<S> {
    assert!(
        layer.has_cookies(),
        "the admin page needs cookies; call `.cookies(CookieOptions::default())?` on the layer"
    );
    let theme = page.theme.clone();
    let asset =
        async move |Path(address): Path<String>, headers: HeaderMap| assets::serve(&address, theme.as_ref(), &headers);
    let page = Arc::new(page);
    let guarded = Router::new()
        .route("/ui/users", get(users::list::list))
        .route("/ui/users/new", get(users::create::form).post(users::create::create))
        .route("/ui/users/bulk", get(users::bulk::form).post(users::bulk::run).layer(DefaultBodyLimit::max(LARGE)))
        .route("/ui/users/{id}", get(users::person::show).post(users::edit::edit).layer(DefaultBodyLimit::max(LARGE)))
        .route("/ui/users/{id}/news", get(users::news::news))
        .route("/ui/users/{id}/ban", get(users::ban::form).post(users::ban::ban))
        .route("/ui/users/{id}/unban", post(users::acts::unban))
        .route("/ui/users/{id}/roles", get(users::grant::form).post(users::grant::grant))
        .route("/ui/users/{id}/roles/remove", post(users::acts::remove_role))
        .route("/ui/users/{id}/sessions/end", post(users::acts::end_sessions))
        .route("/ui/users/{id}/password", get(users::password::form).post(users::password::set))
        .route("/ui/users/{id}/delete", get(users::delete::form).post(users::delete::delete))
        .route("/ui/overview", get(overview::show))
        .route("/ui/keys/rotate", get(rotate::form).post(rotate::rotate))
        .route("/ui/events", get(events::list))
        .route(LIVE_EVENTS, get(stream::stream))
        .route("/ui/sessions", get(sessions::list))
        .route("/ui/subscriptions", get(subscriptions::list))
        .route("/ui/subscriptions/{name}", get(subscriptions::show))
        .route("/ui/subscriptions/{name}/replay", post(subscriptions::replay))
        .route("/ui/subscriptions/{name}/drop", get(subscriptions::drop_form).post(subscriptions::drop_letter))
        .merge(webhooks())
        .route("/ui/{*rest}", get(async || Rejection::not_found()))
        .route_layer(require_role(layer.auth().admin_role()));
    let pages = guarded
        .route("/", get(home))
        .route("/ui", get(home))
        .route("/ui/", get(home))
        .route("/ui/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/ui/sign-out", post(sign_in::sign_out))
        .method_not_allowed_fallback(async || Rejection::method_not_allowed())
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(catch_panics())
        .layer(from_fn(move |request: Request, next: Next| around::around(Arc::clone(&page), request, next)))
        .layer(layer.clone());
    pages.route("/ui/assets/{name}", get(asset)).layer(from_fn(mark)).with_state(())
}

#[cfg(feature = "webhooks")]
fn webhooks() -> Router {
    Router::new()
        .route("/ui/webhooks/new", get(webhooks::new).post(webhooks::create))
        .route("/ui/webhooks/{id}", get(webhooks::show))
        .route("/ui/webhooks/{id}/edit", get(webhooks::edit_form).post(webhooks::edit))
        .route("/ui/webhooks/{id}/switch", post(webhooks::switch))
        .route("/ui/webhooks/{id}/test", get(webhooks::after_test).post(webhooks::test))
        .route("/ui/webhooks/{id}/redeliver", post(webhooks::redeliver))
        .route("/ui/webhooks/{id}/secret", get(webhooks::secret_form).post(webhooks::rotate_secret))
        .route("/ui/webhooks/{id}/delete", get(webhooks::delete_form).post(webhooks::delete))
}

#[cfg(not(feature = "webhooks"))]
fn webhooks() -> Router {
    Router::new()
}

async fn home(site: Site) -> Response {
    Redirect::to(&site.path("/ui/users")).into_response()
}
