//! Encryption of stored secrets, under a key that the database does not hold.
//!
//! AES-256-GCM with a new random 96-bit nonce for each text. The key is derived from the configured secret by
//! HKDF-SHA256 (RFC 5869), so the secret may be text of any length from 32 bytes. `aad` binds each text to its place
//! (such as `signing key <kid>`): a text that is moved to another row cannot be decrypted.
//!
//! A secret shorter than 32 bytes is refused: HKDF adds no entropy, so a short secret could be guessed from a stolen
//! database. The minimum that passes is 32 hexadecimal digits of 128 random bits; `openssl rand -base64 32` is better.
//!
//! The text is `v1.` followed by base64url of nonce, ciphertext and tag. A later scheme gets another prefix, so that
//! old texts stay readable. Random nonces allow 2³² texts under one secret, which one key rotation per minute reaches
//! in 8,000 years.

use aws_lc_rs::{aead, hkdf};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{base64url_decode, base64url_encode};
use crate::{Error, Result};

const PREFIX: &str = "v1.";
const MIN_SECRET_BYTES: usize = 32;

/// Encrypts and decrypts secrets that must be read back from the database.
pub(crate) struct Sealer(aead::RandomizedNonceKey);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer([redacted])")
    }
}

impl Sealer {
    /// Derives the key from the configured secret.
    ///
    /// # Errors
    /// - [`Error::Config`] for `secret` if it is shorter than 32 bytes.
    pub(crate) fn new(secret: &SecretString) -> Result<Self> {
        let secret = secret.expose_secret().as_bytes();
        if secret.len() < MIN_SECRET_BYTES {
            return Err(Error::config(
                "secret",
                "must have at least 32 bytes; `openssl rand -base64 32` makes a good one",
            ));
        }
        let mut key = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"authfort")
            .extract(secret)
            .expand(&[b"seal v1 aes-256-gcm"], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(key.as_mut()))
            .and_then(|()| aead::RandomizedNonceKey::new(&aead::AES_256_GCM, key.as_ref()))
            .map(Self)
            .map_err(|_| Error::internal("the sealing key could not be derived"))
    }

    /// Encrypts `plain` for the place that `aad` names.
    ///
    /// # Errors
    /// - [`Error::Internal`] if the cipher or its random generator fails.
    pub(crate) fn seal(&self, aad: &str, plain: &[u8]) -> Result<String> {
        let mut sealed = Zeroizing::new(Vec::with_capacity(plain.len().saturating_add(aead::AES_256_GCM.tag_len())));
        sealed.extend_from_slice(plain);
        let nonce = self
            .0
            .seal_in_place_append_tag(aead::Aad::from(aad), &mut *sealed)
            .map_err(|_| Error::internal("a secret could not be sealed"))?;
        let mut bytes = nonce.as_ref().to_vec();
        bytes.extend_from_slice(&sealed);
        Ok(format!("{PREFIX}{}", base64url_encode(bytes)))
    }

    /// Decrypts what [`seal`](Self::seal) encrypted for the same place under the same secret.
    ///
    /// # Errors
    /// - [`Error::Config`] for `secret` if the text belongs to another secret or place, or was altered: the cipher
    ///   cannot tell which, and another secret is the usual cause.
    /// - [`Error::Internal`] if the text is not sealed text at all.
    pub(crate) fn open(&self, aad: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>> {
        let malformed = || Error::internal(format!("what is stored as {aad} is not a sealed text"));
        let bytes = sealed.strip_prefix(PREFIX).and_then(base64url_decode).ok_or_else(malformed)?;
        let (nonce, body) = bytes.split_at_checked(aead::NONCE_LEN).ok_or_else(malformed)?;
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).map_err(|_| malformed())?;
        let mut plain = Zeroizing::new(body.to_vec());
        let length = self
            .0
            .open_in_place(nonce, aead::Aad::from(aad), plain.as_mut_slice())
            .map_err(|_| {
                Error::config("secret", format!("does not open {aad}; was it changed since that was stored?"))
            })?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(secret: &str) -> Sealer {
        Sealer::new(&SecretString::from(secret)).unwrap()
    }

    const SECRET: &str = "an application secret of 40 bytes length";

    #[test]
    fn what_was_sealed_opens_and_no_two_texts_are_alike() {
        let sealer = sealer(SECRET);
        for plain in [&b""[..], b"x", &[7; 5000]] {
            let (one, two) = (sealer.seal("key a", plain).unwrap(), sealer.seal("key a", plain).unwrap());
            assert_ne!(one, two);
            assert!(one.starts_with("v1."));
            assert_eq!(*sealer.open("key a", &one).unwrap(), plain);
            assert_eq!(*sealer.open("key a", &two).unwrap(), plain);
        }
    }

    #[test]
    fn another_secret_is_named_as_the_reason() {
        let sealed = sealer(SECRET).seal("signing key abc", b"secret").unwrap();
        let error = sealer("another application secret of 32 bytes").open("signing key abc", &sealed).unwrap_err();
        assert!(matches!(error, Error::Config { field: "secret", .. }), "{error:?}");
        assert!(error.to_string().contains("signing key abc"), "{error}");
    }

    #[test]
    fn a_text_moved_to_another_place_does_not_open() {
        let cipher = sealer(SECRET);
        let sealed = cipher.seal("key a", b"secret").unwrap();
        assert!(matches!(cipher.open("key b", &sealed), Err(Error::Config { .. })));
    }

    #[test]
    fn an_altered_text_does_not_open() {
        let cipher = sealer(SECRET);
        let sealed = cipher.seal("a", b"secret").unwrap();
        let bytes = base64url_decode(sealed.strip_prefix("v1.").unwrap()).unwrap();
        for place in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            assert!(cipher.open("a", &format!("v1.{}", base64url_encode(altered))).is_err(), "byte {place}");
        }
        for length in 0..bytes.len() {
            assert!(cipher.open("a", &format!("v1.{}", base64url_encode(&bytes[..length]))).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn what_is_no_sealed_text_is_refused() {
        let sealer = sealer(SECRET);
        for text in ["", "v1", "v1.", "v2.AAAA", "v1.AAAA", "v1.====", "{}"] {
            assert!(matches!(sealer.open("a", text), Err(Error::Internal(_))), "{text:?}");
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        for secret in ["", "secret", &"x".repeat(31)] {
            let error = Sealer::new(&SecretString::from(secret)).unwrap_err();
            assert!(matches!(error, Error::Config { field: "secret", .. }));
        }
        assert!(Sealer::new(&SecretString::from("x".repeat(32))).is_ok());
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", sealer(SECRET)), "Sealer([redacted])");
    }
}
