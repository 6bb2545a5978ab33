//! Who is calling: an access token, checked, and its user's standing, asked.
//!
//! The guard and the introspection ask here and nowhere else, so they cannot differ. A token counts while its signature,
//! times, issuer and audience do, its key is not retired, its user is there and not banned, its session lives, and its
//! version is the user's. All but the signature is one statement to the database on a connection of the guard's own, so
//! a ban, a deletion, an ended session or a new password cuts at once. The same statement brings address, name and roles
//! as they are now: what the token says of them is for those who read it without asking. Where the database cannot be
//! asked, nobody is let through.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Conn, ReadQuery};
use crate::store::users::{ban_lasts, role_list};
use crate::tokens::{Claims, VerifyError, verify};
use crate::work::Before;
use crate::{AuthFort, Error, Result, SessionId, UserId, store};

/// A caller who proved who they are.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// use authfort::secrecy::ExposeSecret;
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// let id = auth.create_user("jane@example.com").role("editor").await?.id;
/// let signed_in = auth.create_session(id).await?;
/// let principal = auth.authenticate(signed_in.tokens.access_token.expose_secret()).await?;
/// assert!(principal.has_role("editor"));
///
/// auth.ban_user(id).await?;
/// let error = auth.authenticate(signed_in.tokens.access_token.expose_secret()).await.unwrap_err();
/// assert_eq!(error.code(), "user_banned");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Principal {
    /// The user.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// The address, as it is now.
    pub email: String,
    /// The name, as it is now.
    pub name: Option<String>,
    /// The roles, as they are now, sorted.
    pub roles: Vec<String>,
    /// When the access token runs out.
    pub expires_at: DateTime<Utc>,
    /// The user's token version, as the access token has it.
    pub(crate) token_version: i64,
}

impl Principal {
    /// Whether the caller has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role)
    }

    /// Whether the caller has any of these roles; not where there are none.
    pub fn has_any_role(&self, roles: &[&str]) -> bool {
        roles.iter().any(|role| self.has_role(role))
    }

    /// Whether the caller has all of these roles.
    pub fn has_all_roles(&self, roles: &[&str]) -> bool {
        roles.iter().all(|role| self.has_role(role))
    }
}

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
    /// Says who calls, for an access token.
    ///
    /// # Errors
    /// - [`Error::TokenInvalid`] for what is no token of ours, or of a key that was retired.
    /// - [`Error::TokenExpired`] after its time.
    /// - [`Error::TokenUserNotFound`], [`Error::UserBanned`], [`Error::SessionRevoked`],
    ///   [`Error::TokenVersionMismatch`] where the user's standing changed.
    /// - [`Error::DatabaseUnavailable`] where it cannot be asked: nobody is let through then.
    pub async fn authenticate(&self, token: &str) -> Result<Principal> {
        let (claims, standing) = self.check(token).await?;
        Ok(Principal {
            user_id: UserId(claims.sub),
            session_id: SessionId(claims.sid),
            email: standing.email,
            name: standing.name,
            roles: standing.roles,
            token_version: claims.ver,
            expires_at: DateTime::from_timestamp(claims.exp, 0).unwrap_or(DateTime::UNIX_EPOCH),
        })
    }

    /// Says what an access token is worth (RFC 7662), by the very check of the guard.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`] where it cannot be asked.
    pub async fn introspect(&self, token: &str) -> Result<Introspection> {
        match self.check(token).await {
            Ok((claims, standing)) => Ok(Introspection::Active(Box::new(ActiveToken {
                active: true,
                sub: UserId(claims.sub),
                email: standing.email,
                name: standing.name,
                roles: standing.roles,
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

    async fn check(&self, token: &str) -> Result<(Claims, Standing)> {
        let now = self.now();
        let (claims, kid) = self.verified(token).await?;
        let caller = Caller {
            user: UserId(claims.sub),
            session: SessionId(claims.sid),
            version: claims.ver,
            kid: Some(&kid),
            role: None,
        };
        let standing = self.db().on_guard(&StandingQuery { caller, now }).await?;
        Ok((claims, standing))
    }

    /// What a token of ours says that has not expired. Its user's standing is not asked.
    pub(crate) async fn claims(&self, token: &str, before: &mut Before<'_>) -> Result<Claims> {
        let now = self.now();
        if let Some(mut conn) = before.joined() {
            let lookup = self.keyring().verifying_on(&mut conn, now).await?;
            return Ok(verify(token, lookup, self.rules(), now)?);
        }
        // Nothing else says whether the key still counts.
        self.keyring().freshen(now).await?;
        self.verified(token).await.map(|(claims, _)| claims)
    }

    /// The claims, and the key that signed them.
    async fn verified(&self, token: &str) -> Result<(Claims, String)> {
        let now = self.now();
        let mut kid = None;
        let mut lookup = |name: &str| {
            kid = Some(name.to_owned());
            self.keyring().verifying(name, now)
        };
        let claims = match verify(token, &mut lookup, self.rules(), now) {
            Err(VerifyError::UnknownKey) => {
                self.keyring().reload_for_unknown(now).await?;
                verify(token, lookup, self.rules(), now)?
            }
            other => other?,
        };
        Ok((claims, kid.unwrap_or_default()))
    }
}

/// What a token says of its bearer and the database has to confirm.
pub(crate) struct Caller<'a> {
    pub user: UserId,
    pub session: SessionId,
    pub version: i64,
    /// The key, where it is to be asked for.
    pub kid: Option<&'a str>,
    /// A role that must be held, where one is demanded.
    pub role: Option<&'a str>,
}

/// The query of the guard.
struct StandingQuery<'a> {
    caller: Caller<'a>,
    now: DateTime<Utc>,
}

impl ReadQuery for StandingQuery<'_> {
    type Answer = Standing;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Standing> {
        self.caller.confirm(conn, self.now).await
    }
}

/// Who a caller is now.
pub(crate) struct Standing {
    pub email: String,
    pub name: Option<String>,
    pub roles: Vec<String>,
}

impl Caller<'_> {
    /// The one answer to whether somebody counts now: for the guard, for introspection, and once more at each commit.
    pub(crate) async fn confirm(&self, conn: &mut Conn<'_>, now: DateTime<Utc>) -> Result<Standing> {
        let row = store::sessions::standing(conn, self, now).await?;
        let row = row.filter(|user| !user.deleted).ok_or(Error::TokenUserNotFound)?;
        if !row.key_live {
            return Err(Error::TokenInvalid);
        }
        if ban_lasts(row.banned, row.ban_expires_at, now) {
            return Err(Error::UserBanned);
        }
        if !row.session_live {
            return Err(Error::SessionRevoked);
        }
        if row.token_version != self.version {
            return Err(Error::TokenVersionMismatch);
        }
        let roles = role_list(row.roles.as_deref());
        match self.role {
            Some(role) if !roles.iter().any(|held| held == role) => {
                Err(Error::InsufficientRole { role: role.to_owned() })
            }
            _ => Ok(Standing { email: row.email, name: row.name, roles }),
        }
    }
}
