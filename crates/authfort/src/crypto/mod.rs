//! The cryptographic primitives behind all secrets, all of them from AWS-LC.
//!
//! Guarantees: randomness comes only from the operating system's generator; secrets are compared in constant time; text
//! encodings are canonical, so one value has one encoding; types that hold a key clear it when dropped and never show
//! it, not even in `{:?}`.
//!
//! | to | use |
//! |---|---|
//! | generate salts and ids | [`random`] |
//! | hash data that is public or has 256 random bits | [`sha256`] |
//! | derive a secret from a secret | [`hmac_sha256`] |
//! | compare secrets | [`constant_time_eq`] |
//! | store a secret that must be read back | [`Sealer`] |
//! | issue a secret that need not be read back | [`OpaqueToken`] |
//!
//! Passwords have little entropy: use [`passwords`](crate::passwords) for them, not [`sha256`].

mod opaque;
mod seal;

pub(crate) use opaque::OpaqueToken;
pub(crate) use seal::Sealer;

use std::time::Duration;

use aws_lc_rs::{constant_time, digest, hmac, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{Error, Result};

/// Returns `N` bytes from the operating system's generator.
///
/// # Errors
/// - [`Error::Internal`] if the generator fails; there is no weaker fallback.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Error::internal("the system's random generator failed"))?;
    Ok(bytes)
}

/// Returns a part of a pause, at random, so that what failed together is not tried again together.
pub(crate) fn jitter(pause: Duration) -> Duration {
    let random = random::<2>().map_or(0, u16::from_le_bytes);
    pause * u32::from(random) / u32::from(u16::MAX)
}

/// Computes SHA-256 (FIPS 180-4).
pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    array(digest::digest(&digest::SHA256, data).as_ref())
}

/// Computes HMAC-SHA-256 (RFC 2104).
pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    array(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref())
}

/// Returns whether both are equal, in a time that reveals at most their lengths.
pub(crate) fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Encodes base64url without padding (RFC 4648 §5).
pub(crate) fn base64url_encode(data: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(data)
}

/// Decodes canonical base64url: no padding, no white space, no other alphabet, and no stray bits in the last character.
/// Returns `None` for every other text.
pub(crate) fn base64url_decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn array(digest: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    #[test]
    fn sha256_agrees_with_fips_180() {
        assert_eq!(hex(&sha256(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        assert_eq!(
            hex(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn two_draws_differ() {
        assert_ne!(random::<32>().unwrap(), random::<32>().unwrap());
    }

    #[test]
    fn comparison_knows_equal_unequal_and_other_lengths() {
        assert!(constant_time_eq(b"same", b"same"));
        assert!(!constant_time_eq(b"same", b"sama"));
        assert!(!constant_time_eq(b"same", b"same "));
        assert!(constant_time_eq(b"", b""));
    }

    #[test]
    fn only_canonical_base64url_is_read() {
        assert_eq!(base64url_encode([0xfb, 0xff]), "-_8");
        assert_eq!(base64url_decode("-_8"), Some(vec![0xfb, 0xff]));
        for other in ["-_8=", "+/8", "-_9", "-_8 ", " -_8", "-_\n8", "-", "-_8\0", "é"] {
            assert_eq!(base64url_decode(other), None, "{other:?}");
        }
    }
}
