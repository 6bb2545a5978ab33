//! Changing the key that signs.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::keyring::STALENESS;
use crate::events::KeyRotated;
use crate::store::keys::KeyRow;
use crate::work::{Before, Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, Result, store};

/// A signing key, without its secret.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// let new = auth.rotate_keys().await?;
/// let keys = auth.list_keys().await?;
/// assert!(new.current && keys.len() == 2);
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
    /// Whether it signs.
    pub current: bool,
    /// Since when it is there.
    pub created_at: DateTime<Utc>,
    /// When it stops verifying; none while it signs.
    pub expires_at: Option<DateTime<Utc>>,
}

impl From<KeyRow> for KeyInfo {
    fn from(row: KeyRow) -> Self {
        Self {
            kid: row.kid,
            algorithm: row.algorithm,
            current: row.current,
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}

/// Makes a new key that signs from now on; made by [`AuthFort::rotate_keys`](crate::AuthFort::rotate_keys).
///
/// Its options are methods of `Write<RotateKeys>`: see [`Write`](crate::Write).
#[derive(Clone, Default)]
pub struct RotateKeys {
    new: Option<Arc<KeyRow>>,
    cut: bool,
    /// Only where there is no current key of the configured algorithm: what every node does when it starts.
    if_needed: bool,
}

impl Write<RotateKeys> {
    /// Cuts every token that an older key signed, at once: for a key that leaked. Without it their tokens live on until
    /// they run out.
    pub fn cut_old_tokens(mut self) -> Self {
        self.op.cut = true;
        self
    }
}

impl Joinable for RotateKeys {}

impl Operation for RotateKeys {
    type Output = KeyInfo;

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let auth = before.auth;
        let key = auth.keyring().draw(auth.config().algorithm, auth.now()).await?;
        self.new = Some(Arc::new(key));
        Ok(())
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<KeyInfo>> {
        let new = self.new.as_deref().ok_or_else(|| Error::internal("no key was drawn"))?;
        let rows = store::keys::all(&mut work.conn).await?;
        let current = rows.into_iter().find(|row| row.current);
        if let Some(current) = &current {
            if self.if_needed && current.algorithm == new.algorithm {
                return Ok(Verdict::Done(current.clone().into()));
            }
            let overlap = if self.cut { TimeDelta::zero() } else { overlap(work.auth) };
            if store::keys::retire(&mut work.conn, &current.kid, work.now + overlap).await? == 0 {
                return self.outrun(work).await;
            }
        }
        if store::keys::insert_current(&mut work.conn, new).await? == 0 {
            return self.outrun(work).await;
        }
        if self.cut {
            store::keys::expire_retired(&mut work.conn, work.now).await?;
        }
        work.append(KeyRotated::draft(None, current.map(|row| row.kid), new.kid.clone()));
        Ok(Verdict::Done(new.clone().into()))
    }

    async fn committed(&self, auth: &AuthFort) {
        let now = auth.now();
        if let Err(error) = auth.keyring().reload(now, DateTime::<Utc>::MAX_UTC).await {
            tracing::warn!(%error, "the keys could not be read after a rotation; they will be when next needed");
        }
    }
}

/// Encrypts a key that was made before a secret was configured.
pub(crate) struct SealKeys;

impl Operation for SealKeys {
    type Output = ();

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<()>> {
        for row in store::keys::all(&mut work.conn).await? {
            if let Some(sealed) = work.auth.keyring().sealed(&row)? {
                store::keys::replace_private_key(&mut work.conn, &row.kid, &row.private_key, &sealed).await?;
                tracing::info!(kid = row.kid, "encrypted a signing key that lay in clear");
            }
        }
        Ok(Verdict::Done(()))
    }
}

impl RotateKeys {
    pub(crate) fn if_needed() -> Self {
        Self { if_needed: true, ..Self::default() }
    }

    /// Another node rotated at the same instant: its key is the new one, and one current key is left. What was to be cut
    /// is cut: the other node may have left the old key its overlap.
    async fn outrun(&self, work: &mut Work<'_>) -> Result<Verdict<KeyInfo>> {
        if self.cut {
            store::keys::expire_retired(&mut work.conn, work.now).await?;
        }
        let rows = store::keys::all(&mut work.conn).await?;
        let current = rows.into_iter().find(|row| row.current);
        current.map(|row| Verdict::Done(row.into())).ok_or_else(|| Error::internal("there is no current signing key"))
    }
}

/// How long a retired key verifies: as long as the youngest of its tokens lives, which a node that has not heard of the
/// rotation may still sign for a moment.
fn overlap(auth: &AuthFort) -> TimeDelta {
    TimeDelta::from_std(auth.config().access_ttl + auth.config().leeway + STALENESS).unwrap_or(TimeDelta::MAX)
}
