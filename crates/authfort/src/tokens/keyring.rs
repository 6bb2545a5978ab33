//! This process's cache of the signing keys in the database.
//!
//! - A token's `kid` is only looked up in memory, so verifying a signature needs no database. An unknown `kid` causes
//!   the keys to be read again, at most once a second, by a statement that does not contain it.
//! - The cache may be out of date: the guard's own statement checks that the key is still valid, so that a revoked key
//!   is refused at once on every node.
//! - Before a key signs or the keys are published, they are read again if they are older than
//!   [`STALENESS`](super::schedule::STALENESS).
//! - One task at a time reads them, and it continues if its first caller is dropped. Concurrent callers wait for the
//!   same read and get its result, also if it failed: if the database is unavailable, it is not queried once per
//!   caller.
//! - A row that cannot be parsed is logged and ignored; the other keys keep working.
//! - Private halves are read by a separate statement, one at a time, when they are needed to sign.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::Instrument;

use super::schedule::{has_spent, is_fresh, is_live, newest, settled, signing};
use super::{Algorithm, SigningKey, Vault, VerifyingKey};
use crate::db::{Conn, Db};
use crate::store::keys::KeyRow;
use crate::{Error, Result, store};

/// How often an unknown `kid` may cause the keys to be read again.
const UNKNOWN_PAUSE: TimeDelta = TimeDelta::seconds(1);

pub(crate) struct Keyring {
    db: Db,
    vault: Vault,
    keys: RwLock<Arc<Keys>>,
    /// The private half that was last used to sign.
    signer: Mutex<Option<Arc<SigningKey>>>,
    readings: Mutex<Readings>,
}

/// The keys that verify, newest first.
struct Keys {
    rows: Vec<KeyRow>,
    /// In the order of the rows; none for a row that cannot be parsed.
    public: Vec<Option<Arc<PublicKey>>>,
    read_at: DateTime<Utc>,
}

struct PublicKey {
    key: Arc<VerifyingKey>,
    jwk: Value,
}

#[derive(Default)]
struct Readings {
    latest: Option<Reading>,
    /// The last read that an unknown `kid` caused.
    for_unknown: Option<Reading>,
    /// Whether the last finished read failed.
    failing: bool,
}

/// A read of the keys, in progress or finished.
#[derive(Clone)]
struct Reading {
    began: DateTime<Utc>,
    outcome: watch::Receiver<Option<Result<(), Arc<Error>>>>,
}

impl Reading {
    fn is_over(&self) -> bool {
        self.outcome.borrow().is_some() || self.outcome.has_changed().is_err()
    }

    async fn outcome(mut self) -> Result<()> {
        match &*self.outcome.wait_for(Option::is_some).await.map_err(Error::internal)? {
            Some(Err(error)) => Err(shared(error)),
            _ => Ok(()),
        }
    }
}

/// Copies the error for each caller that waited.
fn shared(error: &Arc<Error>) -> Error {
    match &**error {
        Error::DatabaseUnavailable(_) => Error::DatabaseUnavailable(std::io::Error::other(Arc::clone(error)).into()),
        _ => Error::internal(Arc::clone(error)),
    }
}

impl PublicKey {
    fn read(row: &KeyRow) -> Result<Self> {
        let jwk = serde_json::from_str(&row.public_jwk).map_err(Error::internal)?;
        let key = VerifyingKey::from_public_jwk(&jwk)?;
        if key.kid() != row.kid || Algorithm::from_name(&row.algorithm) != Some(key.algorithm()) {
            return Err(Error::internal("the row and its JWK are of different keys"));
        }
        Ok(Self { key: Arc::new(key), jwk })
    }
}

impl Keys {
    /// Keys that are already known are not parsed again, nor logged again if they are invalid.
    fn new(rows: Vec<KeyRow>, known: &Self, now: DateTime<Utc>) -> Self {
        let rows: Vec<_> = rows.into_iter().filter(|row| is_live(row, now)).collect();
        let public = |row: &KeyRow| match known.find(&row.kid) {
            Some((old, public)) if old.public_jwk == row.public_jwk && old.algorithm == row.algorithm => public.clone(),
            _ => match PublicKey::read(row) {
                Ok(public) => Some(Arc::new(public)),
                Err(error) => {
                    tracing::error!(kid = row.kid, ?error, "a signing key cannot be read; the others go on without it");
                    None
                }
            },
        };
        Self { public: rows.iter().map(public).collect(), rows, read_at: now }
    }

    fn find(&self, kid: &str) -> Option<(&KeyRow, &Option<Arc<PublicKey>>)> {
        self.rows.iter().zip(&self.public).find(|(row, _)| row.kid == kid)
    }

    fn verifying(&self, kid: &str, now: DateTime<Utc>) -> Option<Arc<VerifyingKey>> {
        let (row, public) = self.find(kid)?;
        public.as_ref().filter(|_| is_live(row, now)).map(|public| Arc::clone(&public.key))
    }

    /// Returns the key that signs, if it can be parsed.
    fn signing(&self, now: DateTime<Utc>) -> Result<&KeyRow> {
        let row = signing(&self.rows, now).ok_or_else(|| Error::internal("there is no key that signs"))?;
        match self.find(&row.kid) {
            Some((_, Some(_))) => Ok(row),
            _ => Err(Error::internal(format!("the signing key {} cannot be read", row.kid))),
        }
    }
}

impl Keyring {
    pub(crate) fn new(db: Db, vault: Vault) -> Self {
        let keys = Keys { rows: Vec::new(), public: Vec::new(), read_at: DateTime::UNIX_EPOCH };
        Self { db, vault, keys: RwLock::new(Arc::new(keys)), signer: Mutex::default(), readings: Mutex::default() }
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    fn known(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the algorithm of the newest key.
    pub(crate) fn newest_algorithm(&self) -> Option<Algorithm> {
        newest(&self.known().rows).and_then(|row| Algorithm::from_name(&row.algorithm))
    }

    /// Decrypts all private halves, at the start.
    ///
    /// # Errors
    /// - [`Error::Config`] if the secret is not the one of the key that signs. All other failures are logged only, so
    ///   that tokens can be verified and keys rotated.
    pub(crate) async fn check(&self, now: DateTime<Utc>) -> Result<()> {
        let keys = self.known();
        let signs = signing(&keys.rows, now).map(|row| row.kid.as_str());
        for row in keys.rows.iter().filter(|row| row.can_sign) {
            match self.open(row, &mut self.db.read().await?.conn()).await {
                Err(error @ Error::Config { .. }) if Some(row.kid.as_str()) == signs => return Err(error),
                Err(error @ (Error::Config { .. } | Error::Internal(_))) => {
                    tracing::error!(
                        kid = row.kid,
                        ?error,
                        "nobody can sign in when it is the turn of this key; cut it"
                    );
                }
                outcome => drop(outcome?),
            }
        }
        Ok(())
    }

    /// Returns the cached key that verifies under this id.
    pub(crate) fn verifying(&self, kid: &str, now: DateTime<Utc>) -> Option<Arc<VerifyingKey>> {
        self.known().verifying(kid, now)
    }

    /// Reads the keys again if they are out of date.
    pub(crate) async fn freshen(self: &Arc<Self>, now: DateTime<Utc>) -> Result<()> {
        if is_fresh(self.known().read_at, now) { Ok(()) } else { self.reading(now).outcome().await }
    }

    /// Returns the public keys as a JWK set (RFC 7517); while the database is unavailable, the cached ones.
    pub(crate) async fn jwks(self: &Arc<Self>, now: DateTime<Utc>) -> Value {
        if !is_fresh(self.known().read_at, now) {
            let away = self.readings.lock().unwrap_or_else(PoisonError::into_inner).failing;
            let reading = self.reading(now);
            // If the last read failed, callers get the cached keys without waiting for the next read.
            if !away && let Err(error) = reading.outcome().await {
                tracing::warn!(?error, "the published keys may be out of date");
            }
        }
        let keys = self.known();
        let live = keys.rows.iter().zip(&keys.public).filter(|(row, _)| is_live(row, now));
        let jwks: Vec<_> = live.filter_map(|(_, public)| public.as_ref().map(|public| public.jwk.clone())).collect();
        json!({ "keys": jwks })
    }

    /// Returns the key that signs. Do not call it inside a transaction: it may need a connection.
    pub(crate) async fn signer(self: &Arc<Self>, now: DateTime<Utc>) -> Result<Arc<SigningKey>> {
        self.freshen(now).await?;
        if let Some(key) = self.load(now).await? {
            return Ok(key);
        }
        // Another node has revoked it since the keys were read.
        self.reload(now).await?;
        self.load(now).await?.ok_or_else(|| Error::internal("the signing key is gone"))
    }

    /// Loads the private half of the key that signs; none if it was deleted.
    async fn load(&self, now: DateTime<Utc>) -> Result<Option<Arc<SigningKey>>> {
        let keys = self.known();
        let row = keys.signing(now)?;
        if let Some(key) = self.cached(&row.kid) {
            return Ok(Some(key));
        }
        let key = self.open(row, &mut self.db.read().await?.conn()).await?;
        self.signer.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&key);
        Ok(key)
    }

    /// Returns the key that signs, as the application's transaction sees it. Nothing from the transaction is cached: it
    /// may be rolled back.
    pub(crate) async fn signer_on(&self, conn: &mut Conn<'_>, now: DateTime<Utc>) -> Result<Arc<SigningKey>> {
        let keys = Keys::new(store::keys::all(conn).await?, &self.known(), now);
        let row = keys.signing(now)?;
        match self.cached(&row.kid) {
            Some(key) => Ok(key),
            None => self.open(row, conn).await?.ok_or_else(|| Error::internal("the signing key is gone")),
        }
    }

    fn cached(&self, kid: &str) -> Option<Arc<SigningKey>> {
        let signer = self.signer.lock().unwrap_or_else(PoisonError::into_inner);
        signer.as_ref().filter(|key| key.kid() == kid).map(Arc::clone)
    }

    async fn open(&self, row: &KeyRow, conn: &mut Conn<'_>) -> Result<Option<Arc<SigningKey>>> {
        let stored = store::keys::private_key(conn, &row.kid).await?;
        stored.map(|stored| self.vault.open(&row.kid, &row.algorithm, &stored).map(Arc::new)).transpose()
    }

    /// Returns the keys that verify now, as the application's transaction sees them. Nothing from it is cached.
    pub(crate) async fn verifying_on(
        &self,
        conn: &mut Conn<'_>,
        now: DateTime<Utc>,
    ) -> Result<impl Fn(&str) -> Option<Arc<VerifyingKey>> + use<>> {
        let keys = Keys::new(store::keys::all(conn).await?, &self.known(), now);
        Ok(move |kid: &str| keys.verifying(kid, now))
    }

    /// Reads the keys again because a token names an unknown one: at once, but then not again for a while. Even if the
    /// cache is fresh, another node may have created a key since.
    pub(crate) async fn reload_for_unknown(self: &Arc<Self>, now: DateTime<Utc>) -> Result<()> {
        let recent = |reading: &Reading| reading.began <= now && now - reading.began < UNKNOWN_PAUSE;
        let joined = |reading: &Reading| recent(reading) || !reading.is_over();
        let reading = {
            let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
            let reading = readings.for_unknown.clone().filter(joined);
            let reading = reading.unwrap_or_else(|| self.join_or_begin(&mut readings.latest, now));
            readings.for_unknown.insert(reading).clone()
        };
        reading.outcome().await
    }

    /// Reads the keys again after a change. It does not reuse a read that began earlier.
    pub(crate) async fn reload(self: &Arc<Self>, now: DateTime<Utc>) -> Result<()> {
        let before = self.readings.lock().unwrap_or_else(PoisonError::into_inner).latest.clone();
        if let Some(before) = before.filter(|reading| !reading.is_over()) {
            // Waits for its end and ignores its result.
            drop(before.outcome().await);
        }
        self.reading(now).outcome().await
    }

    fn reading(self: &Arc<Self>, now: DateTime<Utc>) -> Reading {
        self.join_or_begin(&mut self.readings.lock().unwrap_or_else(PoisonError::into_inner).latest, now)
    }

    fn join_or_begin(self: &Arc<Self>, latest: &mut Option<Reading>, now: DateTime<Utc>) -> Reading {
        if let Some(reading) = latest.clone().filter(|reading| !reading.is_over()) {
            return reading;
        }
        let (sender, outcome) = watch::channel(None);
        let keyring = Arc::clone(self);
        let read = async move {
            let outcome = keyring.read(now).await.map_err(Arc::new);
            keyring.readings.lock().unwrap_or_else(PoisonError::into_inner).failing = outcome.is_err();
            sender.send_replace(Some(outcome));
            if has_spent(&keyring.known().rows, now)
                && let Err(error) = keyring.forget_spent(now).await
            {
                tracing::debug!(%error, "the private half of a key that signs no more is forgotten later");
            }
        };
        tokio::spawn(read.in_current_span());
        latest.insert(Reading { began: now, outcome }).clone()
    }

    async fn read(&self, now: DateTime<Utc>) -> Result<()> {
        let rows = self.db.on_guard(&store::keys::All).await?;
        let keys = Keys::new(rows, &self.known(), now);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// Deletes the private halves of keys that no longer sign.
    async fn forget_spent(&self, now: DateTime<Utc>) -> Result<()> {
        let mut tx = self.db.begin().await?;
        store::keys::forget(&mut tx.conn(), settled(now)).await?;
        tx.commit().await
    }
}
