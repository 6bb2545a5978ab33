#![cfg_attr(docsrs, feature(doc_cfg))]
//! Role guards, an admin router and an auth router for axum, on top of [`authfort`].
//!
//! ```
//! use authfort::AuthFort;
//! use authfort_axum::{AuthLayer, CurrentUser, RequireRole, admin_router, auth_router, jwks_router};
//! use axum::{Router, routing::get};
//!
//! authfort_axum::roles! { pub Admin = "admin"; }
//!
//! async fn guarded(admin: RequireRole<Admin>) -> String {
//!     format!("Welcome, {}", admin.email)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
//! let layer = AuthLayer::new(AuthFort::connect("sqlite::memory:").await?);
//! let app: Router = Router::new()
//!     .route("/guarded", get(guarded))
//!     .route("/profile", get(|user: CurrentUser| async move { user.email.clone() }))
//!     .nest("/auth", auth_router(&layer))
//!     .nest("/admin", admin_router(&layer))
//!     .merge(jwks_router(&layer))
//!     .layer(layer);
//! # Ok(()) }
//! ```
//!
//! | task | item |
//! |---|---|
//! | connect the service and set the HTTP options | [`AuthLayer`] |
//! | authenticate the caller | [`CurrentUser`], `Option<CurrentUser>` |
//! | authorize by role | [`RequireRole`], [`AnyOf`], [`AllOf`], [`require_role`] |
//! | call the service on behalf of the caller | [`Auth`] |
//! | write your own sign-up or sign-in handler | [`Visitor`] |
//! | mount ready-made routes, all or some of them | [`auth_router`], [`admin_router`], [`jwks_router`], [`auth_router_without`] |
//! | get their OpenAPI documents | [`auth_openapi`], [`admin_openapi`], [`jwks_openapi`] |
//! | respond in the same shape as those routes | [`Rejection`], [`harden`] |
//! | mount the page for administrators, with the feature `ui` | `admin_page`, `AdminPage` |
//! | test an application | [`testing`] |
//!
//! Serve with `into_make_service_with_connect_info::<SocketAddr>()`: rate limits and events need the client's address.

mod admin;
mod auth;
mod axum_rejection;
mod client;
mod cookie;
mod csrf;
mod extract;
mod harden;
mod jwks;
mod layer;
mod limits;
mod openapi;
mod rejection;
mod role;
pub mod testing;
#[cfg(feature = "ui")]
mod ui;
mod user;

pub use admin::{admin_openapi, admin_router, admin_router_without};
pub use auth::{Visitor, auth_openapi, auth_router, auth_router_without};
pub use authfort::is_role_name;
pub(crate) use client::ClientKey;
pub use client::TrustedProxies;
pub(crate) use cookie::Cookies;
pub use cookie::{CookieOptions, SameSite};
pub(crate) use csrf::CrossSite;
pub(crate) use extract::{Field, Json, OptionalJson, Path, Query, rfc3339};
pub use harden::{BODY_LIMIT, harden};
pub use jwks::{jwks_openapi, jwks_router};
pub use layer::{AuthLayer, AuthService};
pub use limits::{Action, Rate, RateLimits};
pub use rejection::Rejection;
pub use role::{
    AllOf, AnyOf, RequireRole, RequireRoleLayer, RequireRoleService, Role, RoleRule, check_role_names,
    require_all_roles, require_any_role, require_role,
};
#[cfg(feature = "ui")]
pub use ui::{AdminPage, Panel, PanelContent, admin_page};
pub use user::{Auth, CurrentUser};
