//! Access tokens: signed claims (JWS, RFC 7515) that a node checks without asking anyone.
//!
//! | file | holds |
//! |---|---|
//! | `algorithm` | the three algorithms that exist here |
//! | `key` | key pairs, their public JWKs (RFC 7517) and ids (RFC 7638) |
//! | `jwt` | signing, and every rule a token must pass |
//! | `schedule` | which key signs, and when the next one may |
//! | `vault` | private keys as they lie in the database |
//! | `keyring` | the keys of the database, as this process knows them |
//!
//! The signatures are AWS-LC's. What surrounds them is written here rather than taken from a JWT library, because such
//! libraries read what this one must refuse (absent or array-valued `iss`, `nbf` in the future, unknown `crit`, any
//! `typ`, repeated members), because they parse the key again for every token, and because their choice of a
//! cryptographic backend is a feature flag that another crate of the application can turn into a panic. The tests check
//! that an independent implementation reads our tokens and that we read its.

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
