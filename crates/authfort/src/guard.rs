//! Who is calling: an access token, checked, and its user's standing, asked.
//!
//! The guard and the introspection ask here and nowhere else, so they cannot differ. A token counts while its signature,
//! times, issuer and audience do, its key is not retired, its user is there and not banned, its session lives, and its
//! version is the user's. All but the signature is one statement to the database on a connection of the guard's own, so
//! a ban, a deletion, an ended session or a new password cuts at once. The same statement brings address, name and roles
//! as they are now: what the token says of them is for those who read it without asking. Where the database cannot be
//! asked, nobody is let through.

use crate::access::Confirm;
use crate::core::Core;
use crate::model::claims::Claims;
use crate::model::principal::Principal;
use crate::model::standing::Bearer;
use crate::tokens::{VerifyError, verify};
use crate::work::Before;
use crate::{AuthFort, Result};

impl AuthFort {
    /// Says who calls, for an access token.
    ///
    /// # Errors
    /// - [`Error::TokenInvalid`](crate::Error::TokenInvalid) for what is no token of ours, or of a key that was retired.
    /// - [`Error::TokenExpired`](crate::Error::TokenExpired) after its time.
    /// - [`Error::TokenUserNotFound`](crate::Error::TokenUserNotFound), [`Error::UserBanned`](crate::Error::UserBanned),
    ///   [`Error::SessionRevoked`](crate::Error::SessionRevoked),
    ///   [`Error::TokenVersionMismatch`](crate::Error::TokenVersionMismatch) where the user's standing changed.
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable) where it cannot be asked: nobody is let
    ///   through then.
    pub async fn authenticate(&self, token: &str) -> Result<Principal> {
        authenticate(self.core(), token).await.map(|(_, principal)| principal)
    }
}

/// What the token says, and who the caller is now.
pub(crate) async fn authenticate(core: &Core, token: &str) -> Result<(Claims, Principal)> {
    let now = core.now();
    let (claims, kid) = verified(core, token).await?;
    let principal = core.db().on_guard(&Confirm { bearer: Bearer::from(&claims), kid: &kid, now }).await?;
    Ok((claims, principal))
}

/// What a token of ours says that has not expired. Its user's standing is not asked.
pub(crate) async fn claims(token: &str, before: &mut Before<'_>) -> Result<Claims> {
    let core = before.core;
    let now = core.now();
    if let Some(mut conn) = before.joined() {
        let lookup = core.keyring().verifying_on(&mut conn, now).await?;
        return Ok(verify(token, lookup, core.rules(), now)?);
    }
    // Nothing else says whether the key still counts.
    core.keyring().freshen(now).await?;
    verified(core, token).await.map(|(claims, _)| claims)
}

/// The claims, and the key that signed them.
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
