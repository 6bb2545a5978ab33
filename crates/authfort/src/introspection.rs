//! What an access token is worth, for services that do not check tokens themselves (RFC 7662).

use serde::Serialize;

use crate::guard::authenticate;
use crate::{AuthFort, Error, Result, UserId};

/// The answer of RFC 7662. Of an inactive token it says nothing else.
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
    /// The token counts.
    Active(Box<ActiveToken>),
    /// It does not.
    Inactive {
        /// Always false.
        #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::always_false))]
        active: bool,
    },
}

/// What a token that counts says.
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
    /// When it runs out, in seconds since 1970.
    pub exp: i64,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// Who issued it.
    pub iss: String,
}

impl AuthFort {
    /// Says what an access token is worth (RFC 7662), by the very check of the guard.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`] where it cannot be asked.
    pub async fn introspect(&self, token: &str) -> Result<Introspection> {
        match authenticate(self.core(), token).await {
            Ok((claims, principal)) => Ok(Introspection::Active(Box::new(ActiveToken {
                active: true,
                sub: principal.user_id,
                email: principal.email,
                name: principal.name,
                roles: principal.roles,
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
