//! Rotating the signing key.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::core::Core;
use crate::events::KeyRotated;
use crate::store::keys::{KeyRow, NewKey};
use crate::tokens::schedule::{ahead, newest, overlap, settled, signing};
use crate::work::{Before, Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, Result, store};

impl AuthFort {
    /// Returns the signing keys, newest first, without their private halves.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable).
    pub async fn list_keys(&self) -> Result<Vec<KeyInfo>> {
        let mut conn = self.core().db().read().await?;
        let rows = store::keys::all(&mut conn.conn()).await?;
        Ok(KeyInfo::all(&rows, self.now()))
    }

    /// Generates a new key and publishes it. The new key signs once every cached copy of the [JWKS](Self::jwks) without
    /// it has expired: after [`JWKS_MAX_AGE`](crate::JWKS_MAX_AGE), half a minute by which nodes may differ, and the
    /// leeway. Until then the old key signs; it verifies for as long as its tokens are valid. While a new key waits to
    /// sign, the call returns that key and writes no event. Event: `key_rotated`.
    ///
    /// | option | |
    /// |---|---|
    /// | `revoke_old_tokens()` | the old keys stop verifying: all access tokens issued so far become invalid |
    pub fn rotate_keys(&self) -> Write<RotateKeys> {
        Write::new(self.core(), RotateKeys::default())
    }

    /// Returns the public keys as a JWK set (RFC 7517), to be cached for at most [`JWKS_MAX_AGE`](crate::JWKS_MAX_AGE).
    /// Keys older than five seconds are read again; while the database is unavailable, the last ones read are returned.
    pub async fn jwks(&self) -> Value {
        self.core().keyring().jwks(self.now()).await
    }
}

/// A signing key, without its private half.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// let new = auth.rotate_keys().await?;
/// let keys = auth.list_keys().await?;
/// assert!(!new.current && keys.len() == 2);
/// assert!(keys.iter().any(|key| key.current && key.expires_at.is_some()));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct KeyInfo {
    /// Its id: the RFC 7638 thumbprint.
    pub kid: String,
    /// `RS256`, `ES256` or `EdDSA`.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::Algorithm::schema))]
    pub algorithm: String,
    /// Whether it signs now. A new key does not sign at once: it is published first.
    pub current: bool,
    /// When it was created; it verifies since then.
    pub created_at: DateTime<Utc>,
    /// When it stops verifying; none for the newest key. A key that still signs has one as soon as a newer key exists.
    pub expires_at: Option<DateTime<Utc>>,
}

impl KeyInfo {
    fn new(row: &KeyRow, signing: Option<&KeyRow>) -> Self {
        Self {
            kid: row.kid.clone(),
            algorithm: row.algorithm.clone(),
            current: signing.is_some_and(|key| key.kid == row.kid),
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }

    pub(crate) fn all(rows: &[KeyRow], now: DateTime<Utc>) -> Vec<Self> {
        let signing = signing(rows, now);
        rows.iter().map(|row| Self::new(row, signing)).collect()
    }
}

/// Generates a new key that signs once every verifier can know it; created by
/// [`AuthFort::rotate_keys`](crate::AuthFort::rotate_keys).
#[derive(Clone, Default)]
pub struct RotateKeys {
    new: Option<Arc<NewKey>>,
    revoke_old: bool,
    /// Rotates only if the newest key does not use the configured algorithm. Every node does this when it starts.
    if_needed: bool,
}

impl Write<RotateKeys> {
    /// Invalidates every older key and its tokens at once, and signs with the new key at once; for a key that leaked. A
    /// verifier that has the old public keys cached accepts old tokens, and refuses new ones, until it fetches the keys
    /// again: for at most [`JWKS_MAX_AGE`](crate::JWKS_MAX_AGE).
    pub fn revoke_old_tokens(mut self) -> Self {
        self.op.revoke_old = true;
        self
    }
}

impl Joinable for RotateKeys {}

/// The most attempts. Each can fail because another node rotates the keys at the same time.
const ATTEMPTS: u32 = 8;

impl Operation for RotateKeys {
    type Output = KeyInfo;

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let core = before.core;
        let key = core.keyring().vault().generate(core.config().algorithm, core.now()).await?;
        self.new = Some(Arc::new(key));
        Ok(())
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<KeyInfo>> {
        let new = self.new.as_deref().ok_or_else(|| Error::internal("no key was generated"))?;
        let (now, config) = (work.now, work.core.config());
        store::keys::forget(&mut work.conn, settled(now)).await?;
        for _ in 0..ATTEMPTS {
            let rows = store::keys::all(&mut work.conn).await?;
            let (end, signing) = (newest(&rows), signing(&rows, now));
            if let Some(end) = end {
                let waits = signing.is_some_and(|key| key.kid != end.kid);
                let enough = if self.if_needed { end.algorithm == new.algorithm } else { waits && !self.revoke_old };
                if enough {
                    return Ok(Verdict::Commit(KeyInfo::new(end, signing)));
                }
            }
            let signs_from = match end.filter(|_| signing.is_some() && !self.revoke_old) {
                // Later than the previous one, even if this node's clock is behind.
                Some(end) => (now + ahead(config.leeway)).max(end.signs_from + TimeDelta::microseconds(1)),
                None => now,
            };
            if let Some(end) = end
                && store::keys::retire(&mut work.conn, &end.kid, signs_from + overlap(config.access_ttl, config.leeway))
                    .await?
                    == 0
            {
                continue;
            }
            if store::keys::append(&mut work.conn, new, signs_from).await? == 0 {
                continue;
            }
            if self.revoke_old {
                work.revoke_keys().await?;
            }
            work.append(KeyRotated::draft(None, end.map(|row| row.kid.clone()), new.kid.clone()));
            return Ok(Verdict::Commit(KeyInfo {
                kid: new.kid.clone(),
                algorithm: new.algorithm.to_owned(),
                current: signs_from <= now,
                created_at: new.created_at,
                expires_at: None,
            }));
        }
        Err(Error::internal("other nodes rotated the keys again and again"))
    }

    async fn committed(&self, core: &Core) {
        let now = core.now();
        if let Err(error) = core.keyring().reload(now).await {
            tracing::warn!(%error, "the keys could not be read after a rotation; they will be when next needed");
        }
    }
}

/// Encrypts the keys that were created before a secret was configured.
pub(crate) struct SealKeys;

impl Operation for SealKeys {
    type Output = ();

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<()>> {
        for key in store::keys::in_clear(&mut work.conn).await? {
            match work.core.keyring().vault().seal(&key) {
                Ok(Some(sealed)) => {
                    store::keys::replace_private_key(&mut work.conn, &key.kid, &key.private_key, &sealed).await?;
                    tracing::info!(kid = key.kid, "encrypted a signing key that lay in clear");
                }
                Ok(None) => {}
                Err(error) => tracing::error!(kid = key.kid, ?error, "a signing key in clear cannot be encrypted"),
            }
        }
        Ok(Verdict::Commit(()))
    }
}

impl RotateKeys {
    pub(crate) fn if_needed() -> Self {
        Self { if_needed: true, ..Self::default() }
    }
}
