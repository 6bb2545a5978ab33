//! Authentication of a request: verifies the access token and checks the current state of its user.
//!
//! The guard and the introspection both use this module, so they cannot differ. A token is valid while its signature,
//! times, issuer and audience are valid, its key is not retired, its user exists and is not banned, its session is
//! live, and its version is the user's. All but the signature is read by one statement on a connection reserved for
//! the guard. The same statement reads address, name and roles as they are now; the ones in the token are for verifiers
//! that do not query this service. If the database is unavailable, every request is refused.
//!
//! What was read for a request is [remembered](crate::standings) for the next ones, as long as it is certain that nothing
//! has changed. The introspection always reads.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::core::Core;
use crate::crypto::sha256;
use crate::model::claims::Claims;
use crate::model::principal::Principal;
use crate::model::standing::{Bearer, Standing};
use crate::standings::{Recalled, Remembered, Standings};
use crate::tokens::{VerifyError, verify};
use crate::work::Before;
use crate::{AuthFort, Error, Result, store};

impl AuthFort {
    /// Authenticates the caller of a request by its access token.
    ///
    /// A call whose token was seen before needs no statement: see
    /// [`guard_staleness`](crate::Builder::guard_staleness).
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
    pub async fn authenticate(&self, token: &str) -> Result<Arc<Principal>> {
        let core = self.core();
        let outcome = match core.standings() {
            Some(standings) => recall(core, standings, token).await,
            None => authenticate(core, token).await.map(|(_, principal)| principal),
        };
        core.guard_checks().count(&outcome);
        outcome
    }
}

/// Returns the token's claims, and the caller's current state.
pub(crate) async fn authenticate(core: &Core, token: &str) -> Result<(Claims, Arc<Principal>)> {
    let (claims, kid) = verified(core, token).await?;
    let standing = read(core, &Bearer::from(&claims), &kid).await?;
    Ok((claims, judge(core, &standing)?))
}

/// Returns the caller's current state, from what is remembered of the token if that is certain to be current.
async fn recall(core: &Core, standings: &Standings, token: &str) -> Result<Arc<Principal>> {
    let now = core.now();
    let digest = sha256(token.as_bytes());
    let recalled = standings.recall(&digest, now);
    standings.count(&recalled);
    let (bearer, kid) = match recalled {
        Recalled::Current(known) | Recalled::Doubtful(known) if has_expired(core, &known, now) => {
            standings.forget(&digest);
            return Err(Error::TokenExpired);
        }
        Recalled::Current(known) => return known.standing.check(now).cloned(),
        // The signature stays valid.
        Recalled::Doubtful(known) => (Bearer::from(&*known.standing.caller), known.kid.clone()),
        Recalled::Nothing => {
            let (claims, kid) = verified(core, token).await?;
            (Bearer::from(&claims), kid)
        }
    };
    let reading = standings.begin_reading(&digest).await?;
    let now = core.now();
    if core.rules().has_expired(bearer.expires_at.timestamp(), now) {
        return Err(Error::TokenExpired);
    }
    if let Recalled::Current(known) = standings.recall(&digest, now) {
        // Another call has read it meanwhile.
        return known.standing.check(now).cloned();
    }
    let epoch = standings.epoch(bearer.user_id);
    let standing = read(core, &bearer, &kid).await.inspect_err(|error| {
        if let (Some(reading), Error::DatabaseUnavailable(sqlx::Error::PoolTimedOut | sqlx::Error::Io(_))) =
            (&reading, error)
        {
            reading.failed();
        }
    })?;
    let outcome = judge(core, &standing);
    standings.remember(digest, Remembered { kid, standing, epoch });
    drop(reading);
    outcome
}

/// Judges what was read by the time at which it was there, not by that of the call: the database may have taken seconds.
fn judge(core: &Core, standing: &Standing) -> Result<Arc<Principal>> {
    let now = core.now();
    if core.rules().has_expired(standing.caller.expires_at.timestamp(), now) {
        return Err(Error::TokenExpired);
    }
    standing.check(now).cloned()
}

fn has_expired(core: &Core, known: &Remembered, now: DateTime<Utc>) -> bool {
    core.rules().has_expired(known.standing.caller.expires_at.timestamp(), now)
}

async fn read(core: &Core, bearer: &Bearer, kid: &str) -> Result<Standing> {
    core.db().on_guard(&store::standing::Read { bearer, kid }).await?.ok_or(Error::TokenUserNotFound)
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
