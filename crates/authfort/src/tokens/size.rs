//! How long an access token would be: what a user may be called and hold is bounded by it.

use serde_json::json;

use super::Algorithm;
use crate::config::Config;
use crate::{Error, Result};

/// Browsers drop a cookie of more than 4,096 bytes (RFC 6265, section 6.1); this many are left for its name and its
/// attributes.
const TOKEN_BYTES: usize = 4096 - 160;

/// Refuses roles, a name and an address that an access token cannot carry together, unless it would get shorter by them.
///
/// # Errors
/// - [`Error::Validation`] with the code `too_many_roles`.
pub(crate) fn check(
    config: &Config,
    before: Option<(&str, Option<&str>, &[String])>,
    after: (&str, Option<&str>, &[String]),
) -> Result<()> {
    let length = |(email, name, roles)| token_bytes(config, email, name, roles);
    let wanted = length(after);
    if wanted <= TOKEN_BYTES || before.is_some_and(|before| wanted <= length(before)) {
        return Ok(());
    }
    Err(Error::invalid(
        "roles",
        "too_many_roles",
        format!(
            "would make an access token of {wanted} bytes, and a cookie carries {TOKEN_BYTES}; take fewer or shorter roles, \
             or a shorter name or address"
        ),
    ))
}

/// At most one byte for each part more than the token has: numbers are taken at the length of today's.
fn token_bytes(config: &Config, email: &str, name: Option<&str>, roles: &[String]) -> usize {
    const ID: &str = "00000000-0000-0000-0000-000000000000";
    let payload = json!({
        "sub": ID, "email": email, "name": name, "roles": roles, "ver": 10_000_000, "sid": ID,
        "iat": 10_000_000_000_u64, "exp": 10_000_000_000_u64, "iss": config.issuer, "jti": ID, "aud": config.audience,
    });
    // `{"typ":"at+jwt","alg":"RS256","kid":"…"}`, where a kid is a SHA-256 in base64url.
    let header = 86;
    let signature = match config.algorithm {
        Algorithm::Rs256 => 256,
        Algorithm::Es256 | Algorithm::EdDsa => 64,
    };
    let base64 = |bytes: usize| (bytes * 4).div_ceil(3);
    base64(header) + 1 + base64(payload.to_string().len()) + 1 + base64(signature)
}
