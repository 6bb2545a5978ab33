//! Access tokens: signed claims (JWS, RFC 7515) that a node verifies by itself.
//!
//! | file | holds |
//! |---|---|
//! | `algorithm` | the three supported algorithms |
//! | `key` | key pairs, their public JWKs (RFC 7517) and ids (RFC 7638) |
//! | `jwt` | signing, and every rule for a valid token |
//! | `schedule` | which key signs, and when the next one may |
//! | `vault` | private keys in their stored form |
//! | `keyring` | this process's cache of the keys in the database |
//!
//! AWS-LC computes the signatures. The rest is written here instead of taken from a JWT library, because such libraries
//! accept what this one must refuse (absent or array-valued `iss`, `nbf` in the future, unknown `crit`, any `typ`,
//! repeated members), because they parse the key again for every token, and because their choice of a cryptographic
//! backend is a feature flag that another crate of the application can turn into a panic. The tests check that an
//! independent implementation accepts our tokens and that we accept its tokens.

mod algorithm;
mod jwt;
mod key;
mod keyring;
pub(crate) mod schedule;
mod vault;

pub use algorithm::Algorithm;
pub(crate) use keyring::Keyring;
pub use schedule::JWKS_MAX_AGE;
pub(crate) use vault::Vault;

pub(crate) use jwt::{KID_CHARS, Rules, VerifyError, header, self_test, sign, verify};
pub(crate) use key::{SigningKey, VerifyingKey};
