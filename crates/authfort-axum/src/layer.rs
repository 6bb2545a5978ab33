//! The layer that connects routers to the service, and the authentication of callers.
//!
//! [`AuthLayer`] holds the HTTP options: cookies, proxies, limits. It attaches a [`Caller`] to each request. The
//! database is queried only when an extractor or a guard needs the caller. The result is stored with the request, so
//! any number of extractors and layers authenticate the caller once.

use std::sync::Arc;
use std::task::{Context, Poll};

use authfort::secrecy::SecretString;
use authfort::{Actor, AuthFort, Error, Principal, Result};
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, Method, header, request::Parts};
use axum::response::{IntoResponse, Response};
use futures_util::TryFutureExt;
use futures_util::future::MapOk;
use tokio::sync::OnceCell;
use tower::{Layer, Service};
use tower_http::request_id::RequestId;

use crate::axum_rejection;
use crate::rejection::describe_metrics;
use crate::{CookieOptions, Cookies, CrossSite, RateLimits, Rejection, TrustedProxies};

/// A tower layer with the service and its HTTP options, from which the routers are built. Cheap to clone.
///
/// Every router of this crate contains its layer. Put the layer on the application as well, so that the application's
/// own handlers can use [`CurrentUser`](crate::CurrentUser) and [`RequireRole`](crate::RequireRole); the caller is
/// still authenticated once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// use authfort_axum::{AuthLayer, CookieOptions, CurrentUser, admin_router, auth_router};
/// use axum::{Router, routing::get};
///
/// let auth = authfort::AuthFort::connect("sqlite::memory:").await?;
/// let layer = AuthLayer::new(auth).cookies(CookieOptions::default())?;
/// let app: Router = Router::new()
///     .route("/profile", get(|user: CurrentUser| async move { user.email.clone() }))
///     .nest("/auth", auth_router(&layer))
///     .nest("/admin", admin_router(&layer))
///     .layer(layer);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct AuthLayer {
    shared: Arc<Shared>,
}

#[derive(Clone)]
pub(crate) struct Shared {
    pub auth: AuthFort,
    pub cookies: Option<Cookies>,
    pub cross_site: CrossSite,
    pub proxies: TrustedProxies,
    pub limits: RateLimits,
    pub introspection_secret: Option<SecretString>,
    pub reshapes: bool,
}

impl std::fmt::Debug for AuthLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthLayer").field("auth", &self.shared.auth).finish_non_exhaustive()
    }
}

impl AuthLayer {
    /// Creates a layer with bearer tokens only, no trusted proxy, the default limits, and no introspection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// use authfort_axum::AuthLayer;
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let layer = AuthLayer::new(auth);
    /// let app: axum::Router = axum::Router::new().layer(layer);
    /// # Ok(()) }
    /// ```
    pub fn new(auth: AuthFort) -> Self {
        describe_metrics();
        let shared = Shared {
            auth,
            cookies: None,
            cross_site: CrossSite::default(),
            proxies: TrustedProxies::none(),
            limits: RateLimits::default(),
            introspection_secret: None,
            reshapes: true,
        };
        Self { shared: Arc::new(shared) }
    }

    fn with(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        change(Arc::make_mut(&mut self.shared));
        self
    }

    /// Sets and reads tokens as cookies too. A request from another site that is authenticated by cookie is refused
    /// with 403 `cross_site_request`, unless its method is GET, HEAD or OPTIONS.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// use authfort_axum::AuthLayer;
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// use authfort_axum::CookieOptions;
    /// let layer = AuthLayer::new(auth).cookies(CookieOptions::default())?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Error::Config`] names the invalid cookie option.
    pub fn cookies(self, options: CookieOptions) -> Result<Self> {
        let cookies = Cookies::new(options)?;
        Ok(self.with(|shared| shared.cookies = Some(cookies)))
    }

    /// Allows pages of another origin, such as `https://app.example.com`, to use the cookies.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// use authfort_axum::AuthLayer;
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let layer = AuthLayer::new(auth).allow_origin("https://app.example.com")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Error::Config`] if the text is not an origin.
    pub fn allow_origin(self, origin: &str) -> Result<Self> {
        let cross_site = self.shared.cross_site.clone().allow_origin(origin)?;
        Ok(self.with(|shared| shared.cross_site = cross_site))
    }

    /// Trusts these proxies to report the client's address.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// use authfort_axum::AuthLayer;
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// use authfort_axum::TrustedProxies;
    /// let layer = AuthLayer::new(auth).trusted_proxies(TrustedProxies::parse(["10.0.0.1"])?);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn trusted_proxies(self, proxies: TrustedProxies) -> Self {
        self.with(|shared| shared.proxies = proxies)
    }

    /// Sets the rate limits of sign-up, login, refresh and requests for mail; [`RateLimits::default`] by default.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// use authfort_axum::AuthLayer;
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// use authfort_axum::{Action, Rate, RateLimits};
    /// let limits = RateLimits::default().client(Action::SignUp, Rate::per_hour(5));
    /// let layer = AuthLayer::new(auth).rate_limits(limits);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn rate_limits(self, limits: RateLimits) -> Self {
        self.with(|shared| shared.limits = limits)
    }

    /// Sets the secret that a resource server must present to use introspection. Without it, or with an empty one,
    /// introspection is refused.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// use authfort_axum::AuthLayer;
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let layer = AuthLayer::new(auth).introspection_secret("one that no one guesses");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn introspection_secret(self, secret: impl Into<SecretString>) -> Self {
        let secret = secret.into();
        self.with(|shared| shared.introspection_secret = Some(secret))
    }

    /// Sets whether rejections of axum's own extractors (`axum::Json`, `Query`, `Path` and others) are converted to the
    /// JSON errors of this crate, which omit the value that axum quotes. On by default; switch it off if clients of the
    /// application read axum's plain text. Responses that handlers return themselves are never changed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// use authfort_axum::AuthLayer;
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let layer = AuthLayer::new(auth).json_rejections(false);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn json_rejections(self, on: bool) -> Self {
        self.with(|shared| shared.reshapes = on)
    }

    /// Returns the service.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// use authfort_axum::AuthLayer;
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let layer = AuthLayer::new(auth);
    /// assert_eq!(layer.auth().get_user_count().await?, 0);
    /// # Ok(()) }
    /// ```
    pub fn auth(&self) -> &AuthFort {
        &self.shared.auth
    }

    #[cfg(feature = "ui")]
    pub(crate) fn has_cookies(&self) -> bool {
        self.shared.cookies.is_some()
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthService { inner, shared: Arc::clone(&self.shared) }
    }
}

/// The service created by [`AuthLayer`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// use authfort_axum::AuthLayer;
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// use authfort_axum::AuthService;
/// use tower::Layer;
/// let service: AuthService<axum::Router> = AuthLayer::new(auth).layer(axum::Router::new());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct AuthService<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// Returns whether a guard around an `S` would be outside the layer. This is known only for layers that are stacked
/// directly, as by tower's `ServiceBuilder`; axum's `Router` hides the type inside it.
pub(crate) fn is_auth_service<S>() -> bool {
    std::any::type_name::<S>().starts_with(concat!(module_path!(), "::AuthService<"))
}

impl<S> std::fmt::Debug for AuthService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthService").finish_non_exhaustive()
    }
}

impl<S> Service<Request> for AuthService<S>
where
    S: Service<Request>,
    S::Response: IntoResponse,
{
    type Response = Response;
    type Error = S::Error;
    type Future = MapOk<S::Future, fn(S::Response) -> Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let known = request.extensions().get::<Caller>();
        // The layer of a nested router keeps the `Caller` of the application's layer, with the result of its
        // authentication.
        if known.is_none_or(|caller| !Arc::ptr_eq(&caller.shared, &self.shared)) {
            let caller = Caller { shared: Arc::clone(&self.shared), answer: Arc::default() };
            request.extensions_mut().insert(caller);
        }
        let shape: fn(S::Response) -> Response = if self.shared.reshapes {
            |response| axum_rejection::reshape(response.into_response())
        } else {
            |response| axum_rejection::keep(response.into_response())
        };
        self.inner.call(request).map_ok(shape)
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

/// Attached to a request: the service, and the caller once authenticated.
#[derive(Clone)]
pub(crate) struct Caller {
    pub shared: Arc<Shared>,
    answer: Arc<OnceCell<Result<Option<Arc<Principal>>, Rejection>>>,
}

impl Caller {
    /// # Errors
    /// 500 if the layer is missing: a guard that cannot authenticate the caller refuses the request.
    pub(crate) fn of(parts: &Parts) -> Result<&Self, Rejection> {
        parts.extensions.get::<Self>().ok_or_else(|| {
            let route = parts.extensions.get::<MatchedPath>().map_or_else(|| parts.uri.path(), MatchedPath::as_str);
            tracing::error!(
                method = %parts.method,
                route = ?route,
                "this route needs an AuthLayer around it: call `.layer(layer)` below all routes and guards that use \
                 it, with a clone of the layer that the routers were made from"
            );
            Rejection::internal()
        })
    }

    /// Returns the authenticated caller, or `None` if the request has no token. A token that is invalid is an error,
    /// not `None`.
    pub(crate) async fn principal(&self, parts: &Parts) -> Result<Option<Arc<Principal>>, Rejection> {
        self.answer.get_or_init(|| self.ask(parts)).await.clone()
    }

    /// Returns this caller as not authenticated yet.
    pub(crate) fn unanswered(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), answer: Arc::default() }
    }

    /// Returns the caller, if they were authenticated before.
    #[cfg(feature = "ui")]
    pub(crate) fn known(&self) -> Option<Arc<Principal>> {
        self.answer.get().and_then(|answer| answer.as_ref().ok().cloned().flatten())
    }

    /// Returns this caller as authenticated by another token than the request has.
    #[cfg(feature = "ui")]
    pub(crate) fn authenticated(&self, principal: Arc<Principal>) -> Self {
        Self { shared: Arc::clone(&self.shared), answer: Arc::new(OnceCell::new_with(Some(Ok(Some(principal))))) }
    }

    async fn ask(&self, parts: &Parts) -> Result<Option<Arc<Principal>>, Rejection> {
        match bearer(&parts.headers)? {
            Some(token) => Ok(Some(self.shared.auth.authenticate(token).await?)),
            None => self.by_cookie(parts).await,
        }
    }

    async fn by_cookie(&self, parts: &Parts) -> Result<Option<Arc<Principal>>, Rejection> {
        let Some(cookies) = &self.shared.cookies else { return Ok(None) };
        let tokens = cookies.access(&parts.headers)?;
        if tokens.is_empty() {
            return Ok(None);
        }
        self.check_site(parts)?;
        newest_that_counts(&self.shared.auth, tokens).await.map(Some).map_err(Rejection::from)
    }

    /// Refuses a request from another site, unless its method is GET, HEAD or OPTIONS.
    pub(crate) fn check_site(&self, parts: &Parts) -> Result<(), Rejection> {
        self.shared.cross_site.check(&parts.method, &parts.uri, &parts.headers)
    }

    /// Refuses a request from another site whatever its method, for routes that set cookies.
    pub(crate) fn check_site_of_any_method(&self, parts: &Parts) -> Result<(), Rejection> {
        self.shared.cross_site.check(&Method::POST, &parts.uri, &parts.headers)
    }

    /// Returns the service on behalf of the caller. Its events record the user, session, address, user agent and
    /// request id.
    pub(crate) fn act(&self, parts: &Parts, principal: Option<&Principal>, must_hold: Option<&str>) -> AuthFort {
        let mut actor = match principal {
            Some(principal) => principal.into(),
            None => Actor::system(),
        };
        if let Some(role) = must_hold {
            actor = actor.require_role(role);
        }
        if let Some(id) = parts.extensions.get::<RequestId>().and_then(|id| id.header_value().to_str().ok()) {
            actor = actor.request_id(id);
        }
        if let Some(address) = self.shared.proxies.client_of(parts) {
            actor = actor.ip_address(address);
        }
        if let Some(agent) = parts.headers.get(header::USER_AGENT) {
            actor = actor.user_agent(String::from_utf8_lossy(agent.as_bytes()));
        }
        self.shared.auth.by(actor)
    }
}

/// Returns the caller of the valid token, so that an old or planted token among several does not lock the user out. If
/// more than one is valid, the token of the newest sign-in wins: a user who has just signed in acts as that user.
async fn newest_that_counts(auth: &AuthFort, tokens: Vec<&str>) -> Result<Arc<Principal>> {
    let (mut newest, mut refusal) = (None::<Arc<Principal>>, Error::TokenInvalid);
    for token in tokens {
        match auth.authenticate(token).await {
            Ok(principal) => {
                if newest.as_ref().is_none_or(|other| other.session_id < principal.session_id) {
                    newest = Some(principal);
                }
            }
            Err(error) if refusal_rank(&error).is_some() => {
                if refusal_rank(&refusal) < refusal_rank(&error) {
                    refusal = error;
                }
            }
            Err(error) => return Err(error),
        }
    }
    newest.ok_or(refusal)
}

/// Ranks the error to report when none of several tokens is valid: the highest is reported, because the client can fix
/// the last two by a refresh. `None` for an error that the token did not cause.
fn refusal_rank(error: &Error) -> Option<u8> {
    match error {
        Error::TokenInvalid => Some(0),
        Error::TokenUserNotFound => Some(1),
        Error::SessionRevoked => Some(2),
        Error::UserBanned => Some(3),
        Error::TokenVersionMismatch => Some(4),
        Error::TokenExpired => Some(5),
        _ => None,
    }
}

/// Returns the token of `Authorization: Bearer …` (RFC 6750, section 2.1), which follows one or more spaces. Whitespace
/// around the value is ignored (RFC 9110, sections 5.5 and 11.4). A header with another scheme is ignored; two headers,
/// or one that is not visible ASCII, are `token_invalid`.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Rejection> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (first, second) = (values.next(), values.next());
    let Some(value) = first else { return Ok(None) };
    if second.is_some() {
        return Err(Error::TokenInvalid.into());
    }
    let Ok(value) = value.to_str() else { return Err(Error::TokenInvalid.into()) };
    let value = value.trim_matches([' ', '\t']);
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(token.trim_start_matches(' '))) } else { Ok(None) }
}
