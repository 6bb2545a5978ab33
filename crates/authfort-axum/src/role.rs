//! Roles as types: the signature of a handler says which roles its caller needs.
//!
//! | the caller must have | argument | layer |
//! |---|---|---|
//! | one role | [`RequireRole<Admin>`](RequireRole) | [`require_role("admin")`](require_role) |
//! | any of several | `RequireRole<AnyOf<(Admin, Editor)>>` | [`require_any_role`] |
//! | all of several | `RequireRole<AllOf<(Admin, Auditor)>>` | [`require_all_roles`] |
//!
//! Without a valid token the response is 401, without the role 403 `insufficient_role`; both before the body is read. A
//! guard without any roles refuses every caller.
//!
//! A guard that no caller can ever pass is a programming error, and is reported:
//!
//! | what is wrong | what happens |
//! |---|---|
//! | a role type with an invalid name, or two role types with the same name | a compile error |
//! | an invalid or repeated name passed to [`require_role`] | a panic where the router is built |
//! | a role that [`Builder::roles`](authfort::Builder::roles) does not list | 500 `internal` for every request; the log names the role |

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use authfort::{Principal, is_role_name};
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use tower::{Layer, Service};

use crate::layer::{self, Caller};
use crate::{CurrentUser, Rejection};

/// A role as a type; [`roles!`](crate::roles) declares them.
///
/// ```
/// use authfort_axum::Role;
/// struct Auditor;
/// impl Role for Auditor {
///     const NAME: &'static str = "auditor";
/// }
/// # let _: axum::Router = axum::Router::new()
/// #     .route("/", axum::routing::get(async |_: authfort_axum::RequireRole<Auditor>| ()));
/// ```
pub trait Role: Send + Sync + 'static {
    /// The role's name in the database.
    const NAME: &'static str;
}

/// Declares roles as types.
///
/// ```
/// authfort_axum::roles! {
///     /// May do everything.
///     pub Admin = "admin";
///     pub Editor = "editor";
/// }
/// use authfort_axum::Role;
/// assert_eq!(Admin::NAME, "admin");
/// ```
///
/// An invalid role name does not compile, whether or not a guard uses it; nor do two roles with the same name.
///
/// ```compile_fail,E0080
/// authfort_axum::roles! { Admin = "Admin"; }
/// ```
///
/// ```compile_fail,E0080
/// authfort_axum::roles! { Admin = "admin"; Root = "admin"; }
/// ```
#[macro_export]
macro_rules! roles {
    ($($(#[$doc:meta])* $visibility:vis $name:ident = $role:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            $visibility struct $name;
            impl $crate::Role for $name {
                const NAME: &'static str = $role;
            }
        )*
        // Checked where the roles are declared, because an associated constant that is never used is not evaluated.
        const _: () = $crate::check_role_names(&[$($role),*]);
    };
}

/// Fails the compilation at the first invalid or repeated name, for [`roles!`](crate::roles).
#[doc(hidden)]
pub const fn check_role_names(names: &[&str]) {
    let mut rest = names;
    while let Some((name, others)) = rest.split_first() {
        assert!(is_role_name(name), "a role name matches ^[a-z][a-z0-9_-]{{0,49}}$");
        let mut later = others;
        while let Some((other, more)) = later.split_first() {
            assert!(!is_same(name.as_bytes(), other.as_bytes()), "each role is named once");
            later = more;
        }
        rest = others;
    }
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let (mut one, mut other) = (one, other);
    while let (Some((a, one_rest)), Some((b, other_rest))) = (one.split_first(), other.split_first()) {
        if *a != *b {
            return false;
        }
        (one, other) = (one_rest, other_rest);
    }
    one.is_empty() && other.is_empty()
}

/// A rule that a caller's roles must satisfy.
///
/// ```
/// use authfort::Principal;
/// use authfort_axum::{RequireRole, RoleRule};
///
/// /// A caller with any role.
/// struct Member;
/// impl RoleRule for Member {
///     fn allows(principal: &Principal) -> bool {
///         !principal.roles.is_empty()
///     }
///
///     fn wanted() -> String {
///         "of a member".into()
///     }
/// }
///
/// async fn members_only(_: RequireRole<Member>) {}
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(members_only));
/// ```
pub trait RoleRule: Send + Sync + 'static {
    /// Returns whether the caller satisfies the rule.
    fn allows(principal: &Principal) -> bool;
    /// Describes the required roles, for the error message.
    fn wanted() -> String;
    /// Returns the roles that the rule names, which must be declared in the service; none by default.
    fn roles() -> &'static [&'static str] {
        &[]
    }
}

impl<R: Role> RoleRule for R {
    fn allows(principal: &Principal) -> bool {
        principal.has_role(R::NAME)
    }

    fn roles() -> &'static [&'static str] {
        const { checked(&[R::NAME]) }
    }

    fn wanted() -> String {
        R::NAME.to_owned()
    }
}

/// Requires any role of a tuple.
///
/// ```
/// use authfort_axum::{AnyOf, RequireRole, RoleRule};
/// authfort_axum::roles! { Admin = "admin"; Editor = "editor"; }
/// async fn publish(_: RequireRole<AnyOf<(Admin, Editor)>>) {}
/// assert_eq!(AnyOf::<(Admin, Editor)>::wanted(), "admin or editor");
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(publish));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AnyOf<T>(PhantomData<T>);

/// Requires all roles of a tuple.
///
/// ```
/// use authfort_axum::{AllOf, RequireRole, RoleRule};
/// authfort_axum::roles! { Admin = "admin"; Auditor = "auditor"; }
/// async fn books(_: RequireRole<AllOf<(Admin, Auditor)>>) {}
/// assert_eq!(AllOf::<(Admin, Auditor)>::wanted(), "admin and auditor");
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(books));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AllOf<T>(PhantomData<T>);

const fn checked(names: &'static [&'static str]) -> &'static [&'static str] {
    check_role_names(names);
    names
}

macro_rules! tuples {
    ($(($($name:ident),+);)*) => {
        $(
            impl<$($name: Role),+> RoleRule for AnyOf<($($name,)+)> {
                fn allows(principal: &Principal) -> bool {
                    false $(|| principal.has_role($name::NAME))+
                }
                fn wanted() -> String {
                    [$($name::NAME),+].join(" or ")
                }
                fn roles() -> &'static [&'static str] {
                    const { checked(&[$($name::NAME),+]) }
                }
            }
            impl<$($name: Role),+> RoleRule for AllOf<($($name,)+)> {
                fn allows(principal: &Principal) -> bool {
                    true $(&& principal.has_role($name::NAME))+
                }
                fn wanted() -> String {
                    [$($name::NAME),+].join(" and ")
                }
                fn roles() -> &'static [&'static str] {
                    const { checked(&[$($name::NAME),+]) }
                }
            }
        )*
    };
}
tuples! {
    (A); (A, B); (A, B, C); (A, B, C, D); (A, B, C, D, E); (A, B, C, D, E, F);
}

/// Extracts the authenticated caller, who satisfies the rule `R`: a [`Role`], [`AnyOf`] or [`AllOf`].
///
/// ```
/// use authfort_axum::{AnyOf, RequireRole};
/// authfort_axum::roles! { pub Admin = "admin"; pub Editor = "editor"; }
///
/// async fn guarded(admin: RequireRole<Admin>) -> String {
///     format!("Welcome, {}", admin.email)
/// }
///
/// async fn editorial(_: RequireRole<AnyOf<(Admin, Editor)>>) {}
/// # let _: axum::Router = axum::Router::new()
/// #     .route("/guarded", axum::routing::get(guarded)).route("/editorial", axum::routing::get(editorial));
/// ```
#[derive(Debug, Clone)]
pub struct RequireRole<R> {
    user: CurrentUser,
    rule: PhantomData<fn() -> R>,
}

impl<R> Deref for RequireRole<R> {
    type Target = CurrentUser;

    fn deref(&self) -> &CurrentUser {
        &self.user
    }
}

impl<R: RoleRule, S: Send + Sync> FromRequestParts<S> for RequireRole<R> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        known(parts, R::roles())?;
        let user = <CurrentUser as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        if R::allows(&user) {
            Ok(Self { user, rule: PhantomData })
        } else {
            Err(Rejection::insufficient_role(R::wanted()))
        }
    }
}

/// Refuses every request if a guard names a role that is not declared, since no user can have it.
///
/// # Errors
/// 500, as for a missing layer.
fn known(parts: &Parts, roles: &[impl AsRef<str>]) -> Result<(), Rejection> {
    let caller = Caller::of(parts)?;
    match roles.iter().find(|role| !caller.shared.auth.is_role(role.as_ref())) {
        None => Ok(()),
        Some(role) => {
            tracing::error!(
                role = role.as_ref(),
                "a guard names a role that is not declared: add it to `AuthFort::builder().roles(…)`"
            );
            Err(Rejection::internal())
        }
    }
}

/// Guards a router or a route by a role.
///
/// ```
/// use authfort_axum::require_role;
/// use axum::{Router, routing::get};
/// let app: Router = Router::new().route("/reports", get(|| async { "…" })).route_layer(require_role("admin"));
/// ```
///
/// # Panics
/// If the name does not match `^[a-z][a-z0-9_-]{0,49}$`. It panics where the router is built, as axum does for an
/// invalid route.
///
/// ```should_panic
/// authfort_axum::require_role("Admin");
/// ```
#[track_caller]
pub fn require_role(role: impl Into<String>) -> RequireRoleLayer {
    RequireRoleLayer::new([role.into()], false)
}

/// Guards by any of several roles.
///
/// ```
/// # let app: axum::Router = axum::Router::new().route("/", axum::routing::get(|| async {}))
/// .route_layer(authfort_axum::require_any_role(["admin", "editor"]))
/// # ;
/// ```
///
/// # Panics
/// If a name is invalid or is repeated; see [`require_role`].
#[track_caller]
pub fn require_any_role<I: IntoIterator<Item = S>, S: Into<String>>(roles: I) -> RequireRoleLayer {
    RequireRoleLayer::new(roles.into_iter().map(Into::into), false)
}

/// Guards by all of several roles.
///
/// ```
/// # let app: axum::Router = axum::Router::new().route("/", axum::routing::get(|| async {}))
/// .route_layer(authfort_axum::require_all_roles(["admin", "auditor"]))
/// # ;
/// ```
///
/// # Panics
/// If a name is invalid or is repeated; see [`require_role`].
#[track_caller]
pub fn require_all_roles<I: IntoIterator<Item = S>, S: Into<String>>(roles: I) -> RequireRoleLayer {
    RequireRoleLayer::new(roles.into_iter().map(Into::into), true)
}

/// The layer returned by [`require_role`], [`require_any_role`] and [`require_all_roles`]. Put it inside an
/// [`AuthLayer`](crate::AuthLayer).
///
/// ```
/// use authfort_axum::{RequireRoleLayer, require_role};
/// let guard: RequireRoleLayer = require_role("editor");
/// let app: axum::Router = axum::Router::new().route("/drafts", axum::routing::get(|| async {})).route_layer(guard);
/// ```
#[derive(Debug, Clone)]
pub struct RequireRoleLayer {
    roles: Arc<[String]>,
    all: bool,
}

impl RequireRoleLayer {
    #[track_caller]
    fn new(roles: impl IntoIterator<Item = String>, all: bool) -> Self {
        let roles: Arc<[String]> = roles.into_iter().collect();
        for (n, role) in roles.iter().enumerate() {
            let shown = role.escape_debug();
            assert!(
                is_role_name(role),
                "a guard asks for the role `{shown}`, and a role matches ^[a-z][a-z0-9_-]{{0,49}}$"
            );
            assert!(!roles.iter().take(n).any(|other| other == role), "a guard asks for the role `{shown}` twice");
        }
        Self { roles, all }
    }

    async fn check(&self, parts: &mut Parts) -> Result<(), Rejection> {
        known(parts, &self.roles)?;
        let user = <CurrentUser as FromRequestParts<()>>::from_request_parts(parts, &()).await?;
        let mut held = self.roles.iter().map(|role| user.has_role(role));
        let allowed = if self.all { held.all(|held| held) && !self.roles.is_empty() } else { held.any(|held| held) };
        if allowed {
            Ok(())
        } else {
            Err(Rejection::insufficient_role(self.roles.join(if self.all { " and " } else { " or " })))
        }
    }
}

impl<S> Layer<S> for RequireRoleLayer {
    type Service = RequireRoleService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        if layer::is_auth_service::<S>() {
            tracing::error!(
                roles = ?self.roles,
                "a guard by role lies around the AuthLayer, which it has to lie inside of: every request is answered 500"
            );
        }
        RequireRoleService { inner, rule: self.clone() }
    }
}

/// The service created by [`RequireRoleLayer`].
///
/// ```
/// use authfort_axum::{RequireRoleService, require_role};
/// use tower::Layer;
/// let service: RequireRoleService<axum::Router> = require_role("editor").layer(axum::Router::new());
/// ```
#[derive(Debug, Clone)]
pub struct RequireRoleService<S> {
    inner: S,
    rule: RequireRoleLayer,
}

impl<S> Service<Request> for RequireRoleService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // `poll_ready` prepared this instance, so this instance is called and the clone takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let rule = self.rule.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match rule.check(&mut parts).await {
                Ok(()) => inner.call(Request::from_parts(parts, body)).await,
                Err(rejection) => Ok(rejection.into_response()),
            }
        })
    }
}
