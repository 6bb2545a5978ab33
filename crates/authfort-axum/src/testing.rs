//! Test helpers for applications: sign in a user with given roles without a password or a login.

use authfort::secrecy::ExposeSecret;
use authfort::{AuthFort, Result, SignedIn};

/// Creates a user with these roles and signs them in through the service: no password is hashed, no route is called,
/// and no rate limit is used. The address is generated and unique for each call.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use authfort_axum::{AuthLayer, RequireRole, testing};
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use tower::ServiceExt;
/// authfort_axum::roles! { Admin = "admin"; }
///
/// let auth = authfort::AuthFort::connect("sqlite::memory:").await?;
/// let app = Router::new()
///     .route("/guarded", get(async |admin: RequireRole<Admin>| admin.email.clone()))
///     .layer(AuthLayer::new(auth.clone()));
///
/// let admin = testing::signed_in(&auth, ["admin"]).await?;
/// let request = Request::get("/guarded").header("authorization", testing::bearer(&admin)).body(Body::empty())?;
/// assert_eq!(app.oneshot(request).await?.status(), 200);
/// # Ok(()) }
/// ```
///
/// # Errors
/// The errors of creating a user and opening a session.
pub async fn signed_in<I, S>(auth: &AuthFort, roles: I) -> Result<SignedIn>
where
    I: IntoIterator<Item = S>,
    S: Into<String>,
{
    #[expect(clippy::disallowed_methods, reason = "an address that nobody has; no secret and no time")]
    let address = format!("{}@test.example.com", uuid::Uuid::now_v7().simple());
    let user = roles.into_iter().fold(auth.create_user(address), authfort::Write::role).await?;
    auth.create_session(user.id).provider("test").await
}

/// Returns the value of the `Authorization` header for a signed-in user.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// use authfort_axum::testing;
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// let user = testing::signed_in(&auth, ["editor"]).await?;
/// assert!(testing::bearer(&user).starts_with("Bearer "));
/// # Ok(()) }
/// ```
pub fn bearer(user: &SignedIn) -> String {
    format!("Bearer {}", user.tokens.access_token.expose_secret())
}
