//! The supported algorithms: three, all asymmetric. There is no `none`, and no HMAC to confuse them with.

use std::{fmt, str::FromStr};

use crate::Error;

/// The signature algorithm of access tokens (RFC 7518 §3.1, RFC 8037).
///
/// ```
/// use authfort::Algorithm;
/// assert_eq!("ES256".parse::<Algorithm>()?, Algorithm::Es256);
/// assert!("HS256".parse::<Algorithm>().is_err());
/// # Ok::<(), authfort::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 and 2,048-bit keys: every client supports it.
    #[default]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519: the smallest and fastest, for clients that support it.
    EdDsa,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// Returns the name in a token's header and in a JWK.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Returns the algorithm of exactly this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

#[cfg(feature = "openapi")]
impl Algorithm {
    pub(crate) fn schema() -> utoipa::openapi::schema::Object {
        crate::openapi::one_of(&Self::ALL.map(Self::as_str))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    /// # Errors
    /// - [`Error::Config`] for `algorithm`, for every name but `RS256`, `ES256` and `EdDSA`, in this case.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::from_name(name).ok_or_else(|| Error::config("algorithm", "must be RS256, ES256 or EdDSA"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        assert_eq!(Algorithm::default(), Algorithm::Rs256);
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            assert_eq!(algorithm.to_string().parse::<Algorithm>().unwrap(), algorithm);
        }
    }

    #[test]
    fn there_are_no_other_algorithms() {
        for name in
            ["", "none", "None", "NONE", "HS256", "HS384", "HS512", "RS384", "PS256", "ES384", "rs256", "RS256 "]
        {
            assert!(matches!(name.parse::<Algorithm>(), Err(Error::Config { field: "algorithm", .. })), "{name}");
        }
    }
}
