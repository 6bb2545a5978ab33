//! Signing access tokens, and every rule for a valid one.
//!
//! A token is accepted only if all of this holds, checked in this order, cheap checks first:
//!
//! 1. It has at most 8 KiB, in exactly three segments of canonical base64url.
//! 2. Its header is one object of exactly `typ`, `alg` and `kid`, all strings, none twice. So `crit`, `b64`, `jku`,
//!    `jwk`, `x5u` and `x5c` are refused without being interpreted, and no URL is ever fetched.
//! 3. `typ` is `at+jwt` (RFC 9068): a token issued for another purpose under the same key is not an access token.
//! 4. `alg` is one of [`Algorithm`], `kid` names a key, and that key's own algorithm is `alg`. The header cannot choose
//!    another algorithm.
//! 5. The signature is the key's.
//! 6. The claims have the right types (see `claims`), `iss` is ours, `aud` is ours or, if none is configured, absent.
//! 7. `nbf`, if present, has passed; `exp` has not. Both within the leeway.
//!
//! [`VerifyError::Expired`] is returned only for tokens that pass all other rules. [`VerifyError::UnknownKey`] is
//! returned before the signature can be verified, so a caller that reloads keys then must limit how often.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{Algorithm, SigningKey, VerifyingKey};
use crate::model::claims::{Claims, Payload, read_object};
use crate::{
    Error, Result,
    crypto::{base64url_decode, base64url_encode},
};

/// The `typ` of an access token (RFC 9068 §2.1).
pub(super) const TYPE: &str = "at+jwt";
const MAX_BYTES: usize = 8 * 1024;
const MAX_LEEWAY: Duration = Duration::from_secs(30);
/// A SHA-256 thumbprint in base64url.
pub(crate) const KID_CHARS: usize = 43;

/// The header of every token that a key signs. Its `kid` is base64url, so nothing in it needs escaping.
pub(crate) fn header(algorithm: Algorithm, kid: &str) -> String {
    format!(r#"{{"typ":"{TYPE}","alg":"{algorithm}","kid":"{kid}"}}"#)
}

/// The rules for the claims of a token.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    issuer: String,
    audience: Option<String>,
    leeway: i64,
}

impl Rules {
    /// `leeway` allows for clock differences between nodes, in whole seconds.
    ///
    /// # Errors
    /// - [`Error::Config`] for an empty `issuer` or `audience`, and for a `leeway` above 30 seconds.
    pub(crate) fn new(issuer: impl Into<String>, audience: Option<String>, leeway: Duration) -> Result<Self> {
        let issuer = issuer.into();
        if issuer.is_empty() {
            return Err(Error::config("issuer", "must not be empty"));
        }
        if audience.as_deref() == Some("") {
            return Err(Error::config("audience", "must not be empty; leave it out instead"));
        }
        if leeway > MAX_LEEWAY {
            return Err(Error::config("leeway", format!("must be at most {} seconds", MAX_LEEWAY.as_secs())));
        }
        let leeway = i64::try_from(leeway.as_secs()).map_err(Error::internal)?;
        Ok(Self { issuer, audience, leeway })
    }

    /// Returns whether a token with this `exp` has expired, which is in seconds since 1970.
    pub(crate) fn has_expired(&self, exp: i64, now: DateTime<Utc>) -> bool {
        // RFC 7519 §4.1.4: in the second of `exp` the token has expired.
        now.timestamp() >= exp.saturating_add(self.leeway)
    }
}

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VerifyError {
    /// No key has this id: the token is forged, or this node has not read the key yet.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The token is not one of ours.
    #[error("the token is not valid")]
    Invalid,
    /// The token is ours, but expired.
    #[error("the token has expired")]
    Expired,
}

impl From<VerifyError> for Error {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::UnknownKey | VerifyError::Invalid => Self::TokenInvalid,
            VerifyError::Expired => Self::TokenExpired,
        }
    }
}

/// Signs a token (JWS compact serialization). RS256 takes about a millisecond of one core, the others far less.
///
/// # Errors
/// - [`Error::Internal`] if the key cannot sign, or if the token would be longer than [`verify`] accepts.
pub(crate) fn sign(key: &SigningKey, claims: &Claims) -> Result<String> {
    let payload = serde_json::to_vec(claims).map_err(Error::internal)?;
    let mut token = format!("{}.{}", key.encoded_header, base64url_encode(payload));
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    token.push_str(&base64url_encode(signature));
    if token.len() > MAX_BYTES {
        return Err(Error::internal("the access token would have more than 8 KiB; the user has too many roles"));
    }
    Ok(token)
}

/// Returns the claims of a token that passes every rule at the top of this file.
///
/// # Errors
/// - [`VerifyError`] tells which kind of rule it broke.
pub(crate) fn verify(
    token: &str,
    lookup: impl FnOnce(&str) -> Option<Arc<VerifyingKey>>,
    rules: &Rules,
    now: DateTime<Utc>,
) -> Result<Claims, VerifyError> {
    let segments = Segments::of(token).ok_or(VerifyError::Invalid)?;
    let (algorithm, kid) = read_header(segments.header).ok_or(VerifyError::Invalid)?;
    let signature = base64url_decode(segments.signature).ok_or(VerifyError::Invalid)?;

    let key = lookup(&kid).ok_or(VerifyError::UnknownKey)?;
    if key.kid() != kid || key.algorithm() != algorithm || !key.verifies(segments.signed.as_bytes(), &signature) {
        return Err(VerifyError::Invalid);
    }

    let payload = base64url_decode(segments.payload).and_then(|json| Payload::read(&json));
    let Payload { claims, nbf } = payload.ok_or(VerifyError::Invalid)?;
    if claims.iss != rules.issuer
        || claims.aud != rules.audience
        || nbf.is_some_and(|nbf| nbf > now.timestamp().saturating_add(rules.leeway))
    {
        return Err(VerifyError::Invalid);
    }
    if rules.has_expired(claims.exp, now) {
        return Err(VerifyError::Expired);
    }
    Ok(claims)
}

/// Signs a token and verifies it, and checks that a forged one is refused: this shows that cryptography works here, and
/// that this key does. It is called with each new key before the key is stored.
///
/// # Errors
/// - [`Error::Internal`] if a check fails.
pub(crate) fn self_test(key: &SigningKey) -> Result<()> {
    let claims = Claims {
        sub: Uuid::nil(),
        email: String::new(),
        name: None,
        roles: Vec::new(),
        ver: 0,
        sid: Uuid::nil(),
        iat: 0,
        exp: 1,
        iss: "self-test".to_owned(),
        jti: Uuid::nil(),
        aud: None,
    };
    let rules = Rules::new("self-test", None, Duration::ZERO)?;
    let public = Arc::new(VerifyingKey::from_public_jwk(&key.public_jwk())?);
    let check = |token: &str| verify(token, |_| Some(Arc::clone(&public)), &rules, DateTime::UNIX_EPOCH);

    let token = sign(key, &claims)?;
    let other = sign(key, &Claims { ver: 1, ..claims.clone() })?;
    let forged = match (token.rsplit_once('.'), other.rsplit_once('.')) {
        (Some((signed, _)), Some((_, signature))) => format!("{signed}.{signature}"),
        _ => String::new(),
    };
    if check(&token) == Ok(claims) && check(&forged) == Err(VerifyError::Invalid) {
        Ok(())
    } else {
        Err(Error::internal("the signing key failed its self-test"))
    }
}

struct Segments<'a> {
    /// Header and payload, including the dot between them.
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Segments<'a> {
    fn of(token: &'a str) -> Option<Self> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        (!payload.contains('.')).then_some(Self { signed, header, payload, signature })
    }
}

/// Parses `alg` and `kid` of a header that has the right `typ` and no other member.
fn read_header(encoded: &str) -> Option<(Algorithm, String)> {
    let mut header = read_object(&base64url_decode(encoded)?)?;
    let mut member = |name| match header.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (typ, alg, kid) = (member("typ")?, member("alg")?, member("kid")?);
    let is_thumbprint =
        kid.len() == KID_CHARS && kid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if typ != TYPE || !is_thumbprint || !header.is_empty() {
        return None;
    }
    Some((Algorithm::from_name(&alg)?, kid))
}

#[cfg(test)]
mod tests;
