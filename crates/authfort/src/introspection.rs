//! Token introspection (RFC 7662), for services that do not verify tokens themselves.

use serde::Serialize;

use crate::guard::authenticate;
use crate::{AuthFort, Error, Result, UserId};

/// The response of RFC 7662. For an inactive token it contains nothing else.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// let answer = auth.introspect("no token").await?;
/// assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"active":false}"#);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
#[non_exhaustive]
pub enum Introspection {
    /// The token is valid.
    Active(Box<ActiveToken>),
    /// The token is not valid.
    Inactive {
        /// Always false.
        #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::always_false))]
        active: bool,
    },
}

/// What the introspection tells about a valid token.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ActiveToken {
    /// Always true.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::always_true))]
    pub active: bool,
    /// The user.
    pub sub: UserId,
    /// The address, as it is now.
    pub email: String,
    /// The name, as it is now.
    pub name: Option<String>,
    /// The roles, as they are now.
    pub roles: Vec<String>,
    /// The user's token version.
    pub token_version: i64,
    /// When it expires, in seconds since 1970.
    pub exp: i64,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// Who issued it.
    pub iss: String,
}

impl AuthFort {
    /// Introspects an access token (RFC 7662), with the same check as the guard.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`] if the database does not answer.
    pub async fn introspect(&self, token: &str) -> Result<Introspection> {
        match authenticate(self.core(), token).await {
            Ok((claims, principal)) => Ok(Introspection::Active(Box::new(ActiveToken {
                active: true,
                sub: principal.user_id,
                email: principal.email.clone(),
                name: principal.name.clone(),
                roles: principal.roles.clone(),
                token_version: claims.ver,
                exp: claims.exp,
                iat: claims.iat,
                iss: claims.iss,
            }))),
            Err(
                Error::TokenInvalid
                | Error::TokenExpired
                | Error::TokenVersionMismatch
                | Error::SessionRevoked
                | Error::TokenUserNotFound
                | Error::UserBanned,
            ) => Ok(Introspection::Inactive { active: false }),
            Err(error) => Err(error),
        }
    }
}
