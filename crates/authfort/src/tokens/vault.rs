//! The stored form of private keys and other secrets: encrypted under the configured secret, or in plain text if there is none.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{Algorithm, SigningKey};
use crate::crypto::Sealer;
use crate::store::keys::{InClear, NewKey};
use crate::{Error, Result};

pub(crate) struct Vault(Option<Sealer>);

fn aad(kid: &str) -> String {
    format!("authfort signing key {kid}")
}

impl Vault {
    pub(crate) fn new(secret: Option<&SecretString>) -> Result<Self> {
        secret.map(Sealer::new).transpose().map(Self)
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the stored form of a secret; `name` says what it is, and binds it to its place.
    pub(crate) fn store(&self, name: &str, secret: &[u8]) -> Result<String> {
        match &self.0 {
            Some(sealer) => sealer.seal(name, secret),
            None => Ok(STANDARD.encode(secret)),
        }
    }

    /// Reads a secret from its stored form.
    ///
    /// # Errors
    /// - [`Error::Config`] for `secret` if it is missing or wrong.
    /// - [`Error::Internal`] if the text is no stored form.
    pub(crate) fn read(&self, name: &str, stored: &str) -> Result<Zeroizing<Vec<u8>>> {
        match (&self.0, stored.starts_with("v1.")) {
            (Some(sealer), true) => sealer.open(name, stored),
            (None, true) => Err(Error::config("secret", format!("is missing: {name} is encrypted in this database"))),
            (_, false) => STANDARD
                .decode(stored)
                .map(Zeroizing::new)
                .map_err(|_| Error::internal(format!("what is stored as {name} cannot be read"))),
        }
    }

    /// Reads a private key from its stored form.
    ///
    /// # Errors
    /// - [`Error::Config`] for `secret` if it is missing or wrong.
    /// - [`Error::Internal`] if the stored text is not a key of this id and algorithm.
    pub(crate) fn open(&self, kid: &str, algorithm: &str, stored: &str) -> Result<SigningKey> {
        let unreadable = || Error::internal(format!("the signing key {kid} cannot be read"));
        let algorithm = Algorithm::from_name(algorithm).ok_or_else(unreadable)?;
        let pkcs8 = self.read(&aad(kid), stored).map_err(|error| match error {
            Error::Internal(_) => unreadable(),
            error => error,
        })?;
        let key = SigningKey::from_stored(algorithm, pkcs8).map_err(|_| unreadable())?;
        if key.kid() == kid { Ok(key) } else { Err(unreadable()) }
    }

    /// Encrypts a private key that is stored in plain text; `None` if no secret is configured.
    pub(crate) fn seal(&self, key: &InClear) -> Result<Option<String>> {
        let Some(sealer) = &self.0 else { return Ok(None) };
        let opened = self.open(&key.kid, &key.algorithm, &key.private_key)?;
        sealer.seal(&aad(&key.kid), opened.pkcs8()).map(Some)
    }

    /// Generates a new key in its stored form. Generating an RSA key takes a while, so this runs off the runtime.
    pub(crate) async fn generate(&self, algorithm: Algorithm, now: DateTime<Utc>) -> Result<NewKey> {
        let key =
            tokio::task::spawn_blocking(move || SigningKey::generate(algorithm)).await.map_err(Error::internal)??;
        super::self_test(&key)?;
        let private_key = self.store(&aad(key.kid()), key.pkcs8())?;
        Ok(NewKey {
            kid: key.kid().to_owned(),
            algorithm: algorithm.as_str(),
            public_jwk: key.public_jwk().to_string(),
            private_key,
            created_at: now,
        })
    }
}
