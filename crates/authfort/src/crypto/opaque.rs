//! Secrets that are issued once and recognized later: refresh, reset and verification tokens.
//!
//! A token is 256 random bits, written `<prefix>_<43 base64url characters>`; the prefix shows secret scanners and
//! people what kind of token leaked. The database stores only [`hash`](OpaqueToken::hash): plain SHA-256 of 256 random
//! bits cannot be reversed, so a stolen database holds no usable token, and an index lookup of the hash leaks no useful
//! timing.
//!
//! A refresh token's successor is not generated at random but derived from it, with a salt that the database stores:
//! two requests that present the same token within the grace period get the same successor, and no token is stored. The
//! database has only salt and hash; nothing can be derived from them without the parent's secret.

use secrecy::SecretString;
use zeroize::{Zeroize, Zeroizing};

use super::{base64url_decode, base64url_encode, hmac_sha256, random, sha256};
use crate::Result;

const SECRET_BYTES: usize = 32;
/// `SECRET_BYTES` in base64url without padding.
const TEXT_CHARS: usize = 43;
const CHILD_LABEL: &[u8] = b"authfort refresh child v1";

/// A secret token of one kind, as its holder has it.
pub(crate) struct OpaqueToken {
    prefix: &'static str,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl std::fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpaqueToken({}_[redacted])", self.prefix)
    }
}

impl OpaqueToken {
    /// Generates a new token.
    ///
    /// # Errors
    /// - [`Error::Internal`](crate::Error::Internal) if the random generator fails.
    pub(crate) fn generate(prefix: &'static str) -> Result<Self> {
        Ok(Self { prefix, secret: Zeroizing::new(random()?) })
    }

    /// Parses a token of this kind; `None` for every other text, before any work that grows with the text.
    pub(crate) fn parse(prefix: &'static str, text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(prefix)?.strip_prefix('_')?;
        if encoded.len() != TEXT_CHARS {
            return None;
        }
        let mut bytes = base64url_decode(encoded)?;
        let secret = <[u8; SECRET_BYTES]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new);
        bytes.zeroize();
        Some(Self { prefix, secret: secret? })
    }

    /// Returns the hash that the database stores and looks up.
    pub(crate) fn hash(&self) -> [u8; 32] {
        sha256(self.secret.as_ref())
    }

    /// Returns the text for the token's holder.
    pub(crate) fn expose(&self) -> SecretString {
        let encoded = Zeroizing::new(base64url_encode(self.secret.as_ref()));
        SecretString::from(format!("{}_{}", self.prefix, encoded.as_str()))
    }

    /// Derives the one successor of this token under this salt.
    pub(crate) fn derive_child(&self, salt: &[u8; 32]) -> Self {
        let message = [CHILD_LABEL, salt].concat();
        Self { prefix: self.prefix, secret: Zeroizing::new(hmac_sha256(self.secret.as_ref(), &message)) }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn text(token: &OpaqueToken) -> String {
        token.expose().expose_secret().to_owned()
    }

    #[test]
    fn a_token_reads_back_as_itself() {
        let token = OpaqueToken::generate("afr").unwrap();
        let written = text(&token);
        assert_eq!(written.len(), "afr_".len() + 43);
        let read = OpaqueToken::parse("afr", &written).unwrap();
        assert_eq!(read.hash(), token.hash());
        assert_eq!(text(&read), written);
    }

    #[test]
    fn tokens_are_256_random_bits() {
        let (a, b) = (OpaqueToken::generate("afr").unwrap(), OpaqueToken::generate("afr").unwrap());
        assert_eq!(a.secret.len() * 8, 256);
        assert_ne!(a.hash(), b.hash());
    }

    #[test]
    fn the_stored_hash_is_not_the_token() {
        let token = OpaqueToken::generate("afr").unwrap();
        assert_ne!(&token.hash(), &*token.secret);
        let stolen = format!("afr_{}", base64url_encode(token.hash()));
        assert_ne!(OpaqueToken::parse("afr", &stolen).unwrap().hash(), token.hash());
    }

    #[test]
    fn only_the_canonical_spelling_of_its_own_kind_is_read() {
        let written = text(&OpaqueToken::generate("afr").unwrap());
        let (_, body) = written.split_once('_').unwrap();
        for other in [
            String::new(),
            "afr_".to_owned(),
            body.to_owned(),
            format!("aft_{body}"),
            format!("AFR_{body}"),
            format!("afr{body}"),
            format!("afr-{body}"),
            format!("afr_{body}="),
            format!(" {written}"),
            format!("{written}\n"),
            format!("{written}A"),
            format!("afr_{}", &body[1..]),
            format!("afr_{}", "A".repeat(1 << 20)),
            // 43 characters carry 258 bits; the two extra bits must be zero.
            format!("afr_{}B", "A".repeat(42)),
            format!("afr_{}+", "A".repeat(42)),
            format!("afr_{}é", "A".repeat(41)),
        ] {
            assert!(OpaqueToken::parse("afr", &other).is_none(), "{other:.60}");
        }
    }

    #[test]
    fn a_parent_and_a_salt_have_one_child() {
        let parent = OpaqueToken::generate("afr").unwrap();
        let again = OpaqueToken::parse("afr", &text(&parent)).unwrap();
        let child = parent.derive_child(&[1; 32]);
        assert_eq!(text(&child), text(&again.derive_child(&[1; 32])));
        assert!(text(&child).starts_with("afr_"));
        assert_ne!(child.hash(), parent.hash());
        assert_ne!(child.hash(), parent.derive_child(&[2; 32]).hash());
        assert_ne!(child.hash(), OpaqueToken::generate("afr").unwrap().derive_child(&[1; 32]).hash());
        assert_ne!(child.derive_child(&[1; 32]).hash(), child.hash());
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = OpaqueToken::generate("afr").unwrap();
        assert_eq!(format!("{token:?}"), "OpaqueToken(afr_[redacted])");
    }
}
