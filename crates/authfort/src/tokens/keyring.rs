//! The signing keys of the database, as this process knows them.
//!
//! - One key is current and signs. At a rotation the old one goes on verifying for as long as its tokens can live; then
//!   it verifies nothing, whatever is left in the database.
//! - A key is committed before it signs, so the JWKS holds it before its first token is out.
//! - A token's `kid` is only ever looked up in memory. An unknown one makes the keys be read again, at most once a
//!   second, by a statement that does not contain it.
//! - The guard's own statement asks whether the key still counts, so that a retired key is cut at once on every node.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Algorithm, SigningKey, VerifyingKey};
use crate::crypto::Sealer;
use crate::db::{Conn, Db};
use crate::store::keys::KeyRow;
use crate::{Error, Result, store};

/// After this long the keys are read again: a node that did not hear of a rotation signs with the old key no longer.
pub(crate) const STALENESS: Duration = Duration::from_secs(5);
/// How often an unknown `kid` may make the keys be read again.
const UNKNOWN_PAUSE: TimeDelta = TimeDelta::seconds(1);

pub(crate) struct Keyring {
    db: Db,
    sealer: Option<Sealer>,
    keys: RwLock<Arc<Keys>>,
    /// Held while the keys are read, so that many who find them stale read them once. Holds when an unknown `kid` last
    /// made them be read.
    reading: tokio::sync::Mutex<Option<DateTime<Utc>>>,
}

struct Keys {
    signer: Option<Arc<SigningKey>>,
    verifying: HashMap<String, Verifying>,
    read_at: DateTime<Utc>,
}

struct Verifying {
    key: Arc<VerifyingKey>,
    expires_at: Option<DateTime<Utc>>,
}

fn live(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    expires_at.is_none_or(|at| at > now)
}

impl Keyring {
    pub(crate) fn new(db: Db, secret: Option<&SecretString>) -> Result<Self> {
        let sealer = secret.map(Sealer::new).transpose()?;
        let keys = Keys { signer: None, verifying: HashMap::new(), read_at: DateTime::UNIX_EPOCH };
        Ok(Self { db, sealer, keys: RwLock::new(Arc::new(keys)), reading: tokio::sync::Mutex::default() })
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealer.is_some()
    }

    fn known(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the keys unless somebody has since `not_before`.
    pub(crate) async fn reload(&self, now: DateTime<Utc>, not_before: DateTime<Utc>) -> Result<()> {
        let _reading = self.reading.lock().await;
        if self.known().read_at > not_before {
            return Ok(());
        }
        self.read(now).await
    }

    async fn read(&self, now: DateTime<Utc>) -> Result<()> {
        let mut conn = self.db.guard().await?;
        let rows = store::keys::all(&mut conn.conn()).await?;
        drop(conn);
        let known = self.known();
        let mut signer = None;
        let mut verifying = HashMap::new();
        for row in &rows {
            if row.current {
                signer = match &known.signer {
                    Some(key) if key.kid() == row.kid => Some(Arc::clone(key)),
                    _ => Some(Arc::new(self.open(row)?)),
                };
            }
            if live(row.expires_at, now) {
                let jwk: Value = serde_json::from_str(&row.public_jwk).map_err(Error::internal)?;
                let key = match known.verifying.get(&row.kid) {
                    Some(known) => Arc::clone(&known.key),
                    None => Arc::new(VerifyingKey::from_public_jwk(&jwk)?),
                };
                verifying.insert(row.kid.clone(), Verifying { key, expires_at: row.expires_at });
            }
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Keys { signer, verifying, read_at: now });
        Ok(())
    }

    async fn fresh(&self, now: DateTime<Utc>) -> Result<Arc<Keys>> {
        let known = self.known();
        let stale = TimeDelta::from_std(STALENESS).unwrap_or_default();
        if now - known.read_at < stale && known.read_at <= now {
            return Ok(known);
        }
        self.reload(now, known.read_at).await?;
        Ok(self.known())
    }

    /// The key that signs. Not to be called inside a transaction: it may need a connection.
    pub(crate) async fn signer(&self, now: DateTime<Utc>) -> Result<Arc<SigningKey>> {
        self.fresh(now).await?.signer.clone().ok_or_else(|| Error::internal("there is no current signing key"))
    }

    /// The key that signs, as the application's transaction sees it. Nothing is kept of what it shows: it may be rolled
    /// back.
    pub(crate) async fn signer_on(&self, conn: &mut Conn<'_>) -> Result<Arc<SigningKey>> {
        let rows = store::keys::all(conn).await?;
        let row =
            rows.iter().find(|row| row.current).ok_or_else(|| Error::internal("there is no current signing key"))?;
        match &self.known().signer {
            Some(key) if key.kid() == row.kid => Ok(Arc::clone(key)),
            _ => self.open(row).map(Arc::new),
        }
    }

    /// The keys that verify now, by `kid`.
    pub(crate) async fn verifying(
        &self,
        now: DateTime<Utc>,
    ) -> Result<impl Fn(&str) -> Option<Arc<VerifyingKey>> + use<>> {
        let keys = self.fresh(now).await?;
        Ok(move |kid: &str| {
            keys.verifying.get(kid).filter(|known| live(known.expires_at, now)).map(|known| Arc::clone(&known.key))
        })
    }

    /// The keys that verify now, as the application's transaction sees them; nothing is kept of what it shows.
    pub(crate) async fn verifying_on(
        &self,
        conn: &mut Conn<'_>,
        now: DateTime<Utc>,
    ) -> Result<impl Fn(&str) -> Option<Arc<VerifyingKey>> + use<>> {
        let mut keys = HashMap::new();
        for row in store::keys::all(conn).await?.into_iter().filter(|row| live(row.expires_at, now)) {
            let jwk: Value = serde_json::from_str(&row.public_jwk).map_err(Error::internal)?;
            keys.insert(row.kid, Arc::new(VerifyingKey::from_public_jwk(&jwk)?));
        }
        Ok(move |kid: &str| keys.get(kid).map(Arc::clone))
    }

    /// Reads the keys again because a token names one that is unknown: at once, but then not again for a while. However
    /// fresh the keys are, another node may have made one since. Who comes while they are read waits for that.
    pub(crate) async fn reload_for_unknown(&self, now: DateTime<Utc>) -> Result<()> {
        let mut last = self.reading.lock().await;
        if last.is_some_and(|at| at <= now && now - at < UNKNOWN_PAUSE) {
            return Ok(());
        }
        *last = Some(now);
        self.read(now).await
    }

    fn aad(kid: &str) -> String {
        format!("authfort signing key {kid}")
    }

    fn open(&self, row: &KeyRow) -> Result<SigningKey> {
        let algorithm = Algorithm::from_name(&row.algorithm)
            .ok_or_else(|| Error::internal(format!("the stored key {} has an unknown algorithm", row.kid)))?;
        let pkcs8 = match (&self.sealer, row.private_key.starts_with("v1.")) {
            (Some(sealer), true) => sealer.open(&Self::aad(&row.kid), &row.private_key)?,
            (None, true) => {
                return Err(Error::config("secret", "is missing: the signing keys of this database are encrypted"));
            }
            (_, false) => Zeroizing::new(STANDARD.decode(&row.private_key).map_err(Error::internal)?),
        };
        SigningKey::from_stored(algorithm, pkcs8)
    }

    /// The stored form of a key that lies in clear although a secret is configured; `None` where all is well.
    pub(crate) fn sealed(&self, row: &KeyRow) -> Result<Option<String>> {
        match &self.sealer {
            Some(sealer) if row.current && !row.private_key.starts_with("v1.") => {
                sealer.seal(&Self::aad(&row.kid), self.open(row)?.pkcs8()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// A new key in the form in which it is stored. Drawing an RSA key takes a while: it happens off the runtime.
    pub(crate) async fn draw(&self, algorithm: Algorithm, now: DateTime<Utc>) -> Result<KeyRow> {
        let key =
            tokio::task::spawn_blocking(move || SigningKey::generate(algorithm)).await.map_err(Error::internal)??;
        super::self_test(&key)?;
        let private_key = match &self.sealer {
            Some(sealer) => sealer.seal(&Self::aad(key.kid()), key.pkcs8())?,
            None => STANDARD.encode(key.pkcs8()),
        };
        Ok(KeyRow {
            kid: key.kid().to_owned(),
            algorithm: algorithm.as_str().to_owned(),
            public_jwk: key.public_jwk().to_string(),
            private_key,
            current: true,
            created_at: now,
            expires_at: None,
        })
    }
}

/// The public keys that verify now, as RFC 7517 has them.
pub(crate) fn jwks(rows: &[KeyRow], now: DateTime<Utc>) -> Result<Value> {
    let keys = rows
        .iter()
        .filter(|row| live(row.expires_at, now))
        .map(|row| serde_json::from_str(&row.public_jwk).map_err(Error::internal))
        .collect::<Result<Vec<Value>>>()?;
    Ok(json!({ "keys": keys }))
}
