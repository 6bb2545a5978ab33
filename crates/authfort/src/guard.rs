//! Authentication of a request: verifies the access token and checks the current state of its user.
//!
//! The guard and the introspection both use this module, so they cannot differ. A token is valid while its signature,
//! times, issuer and audience are valid, its key is not retired, its user exists and is not banned, its session is
//! live, and its version is the user's. All but the signature is checked by one statement on a connection reserved for
//! the guard, so a ban, a deletion, an ended session or a new password takes effect at once. The same statement reads
//! address, name and roles as they are now; the ones in the token are for verifiers that do not query this service. If
//! the database is unavailable, every request is refused.

use crate::access::Confirm;
use crate::core::Core;
use crate::model::claims::Claims;
use crate::model::principal::Principal;
use crate::model::standing::Bearer;
use crate::tokens::{VerifyError, verify};
use crate::work::Before;
use crate::{AuthFort, Result};

impl AuthFort {
    /// Authenticates the caller of a request by its access token.
    ///
    /// # Errors
    /// - [`Error::TokenInvalid`](crate::Error::TokenInvalid) for a token that this service did not issue, or whose key
    ///   was retired.
    /// - [`Error::TokenExpired`](crate::Error::TokenExpired) after its expiry.
    /// - [`Error::TokenUserNotFound`](crate::Error::TokenUserNotFound),
    ///   [`Error::UserBanned`](crate::Error::UserBanned), [`Error::SessionRevoked`](crate::Error::SessionRevoked),
    ///   [`Error::TokenVersionMismatch`](crate::Error::TokenVersionMismatch) if the user's standing changed.
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable) if the database does not answer: the request
    ///   is refused then.
    pub async fn authenticate(&self, token: &str) -> Result<Principal> {
        authenticate(self.core(), token).await.map(|(_, principal)| principal)
    }
}

/// Returns the token's claims, and the caller's current state.
pub(crate) async fn authenticate(core: &Core, token: &str) -> Result<(Claims, Principal)> {
    let now = core.now();
    let (claims, kid) = verified(core, token).await?;
    let principal = core.db().on_guard(&Confirm { bearer: Bearer::from(&claims), kid: &kid, now }).await?;
    Ok((claims, principal))
}

/// Returns the claims of a valid, unexpired token. The current state of its user is not checked.
pub(crate) async fn claims(token: &str, before: &mut Before<'_>) -> Result<Claims> {
    let core = before.core;
    let now = core.now();
    if let Some(mut conn) = before.joined() {
        let lookup = core.keyring().verifying_on(&mut conn, now).await?;
        return Ok(verify(token, lookup, core.rules(), now)?);
    }
    // No query of the user's standing follows, so only the key ring tells whether the key is still valid.
    core.keyring().freshen(now).await?;
    verified(core, token).await.map(|(claims, _)| claims)
}

/// Returns the claims, and the id of the key that signed them.
async fn verified(core: &Core, token: &str) -> Result<(Claims, String)> {
    let now = core.now();
    let mut kid = None;
    let mut lookup = |name: &str| {
        kid = Some(name.to_owned());
        core.keyring().verifying(name, now)
    };
    let claims = match verify(token, &mut lookup, core.rules(), now) {
        Err(VerifyError::UnknownKey) => {
            core.keyring().reload_for_unknown(now).await?;
            verify(token, lookup, core.rules(), now)?
        }
        other => other?,
    };
    Ok((claims, kid.unwrap_or_default()))
}
