//! The length of a user's access token, which limits their roles, name and address.

use uuid::Uuid;

use crate::config::Config;
use crate::model::claims::Claims;
use crate::tokens::{Algorithm, KID_CHARS, header};
use crate::{Error, Result};

/// Browsers drop a cookie of more than 4,096 bytes (RFC 6265, section 6.1); 160 of them are reserved for its name and
/// attributes.
const TOKEN_BYTES: usize = 4096 - 160;

/// Refuses roles, a name and an address that do not fit into one access token, unless the change makes the token
/// shorter.
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

/// Returns the length of the token that would be signed now, with numbers as long as they can get in three centuries.
fn token_bytes(config: &Config, email: &str, name: Option<&str>, roles: &[String]) -> usize {
    const SECONDS: i64 = 9_999_999_999;
    let claims = Claims {
        sub: Uuid::nil(),
        email: email.to_owned(),
        name: name.map(ToOwned::to_owned),
        roles: roles.to_vec(),
        ver: 9_999_999,
        sid: Uuid::nil(),
        iat: SECONDS,
        exp: SECONDS,
        iss: config.issuer.clone(),
        jti: Uuid::nil(),
        aud: config.audience.clone(),
    };
    let signature = match config.algorithm {
        Algorithm::Rs256 => 256,
        Algorithm::Es256 | Algorithm::EdDsa => 64,
    };
    let header = header(config.algorithm, &"k".repeat(KID_CHARS)).len();
    // If the claims cannot be serialized, the token counts as too long.
    let payload = serde_json::to_vec(&claims).map_or(TOKEN_BYTES, |json| json.len());
    let base64 = |bytes: usize| (bytes * 4).div_ceil(3);
    base64(header) + 1 + base64(payload) + 1 + base64(signature)
}
