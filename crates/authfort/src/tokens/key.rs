//! Key pairs that sign access tokens, and the public halves that check them.
//!
//! Guaranteed: a key works with one algorithm only; its id is its RFC 7638 thumbprint, so the same key has the same id on
//! every node and an id cannot be claimed for another key; the private half leaves only as the PKCS#8 that the caller
//! seals and stores; a public JWK is put together from the public members and can hold no other; a JWK with a private
//! member is refused.
//!
//! Both halves are parsed once. AWS-LC clears private keys when it frees them.

use std::ops::RangeInclusive;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
    },
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Algorithm;
use crate::{
    Error, Result,
    crypto::{base64url_decode, base64url_encode, sha256},
};

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// A key pair.
pub(crate) struct SigningKey {
    pair: Pair,
    pkcs8: Zeroizing<Vec<u8>>,
    public: Public,
    kid: String,
    /// The first segment of every token of this key.
    pub(super) encoded_header: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Draws a new key: RSA with 2,048 bits, P-256 or Ed25519. An RSA key takes a good part of a second of one core, so
    /// call this on a blocking thread.
    ///
    /// # Errors
    /// - [`Error::Internal`] when AWS-LC cannot make one.
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self> {
        let failed = |_| Error::internal("a signing key could not be generated");
        let pkcs8 = match algorithm {
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                Zeroizing::new(der.as_ref().to_vec())
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
                Zeroizing::new(pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec())
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().map_err(failed)?;
                Zeroizing::new(pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec())
            }
        };
        Self::from_stored(algorithm, pkcs8)
    }

    /// Reads what [`pkcs8`](Self::pkcs8) gave, after it was stored and unsealed.
    ///
    /// # Errors
    /// - [`Error::Internal`] when it is no key of this algorithm.
    pub(crate) fn from_stored(algorithm: Algorithm, pkcs8: Zeroizing<Vec<u8>>) -> Result<Self> {
        let refused = |_| Error::internal(format!("the stored key is no {algorithm} key in PKCS#8"));
        let (pair, public) = match algorithm {
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(&pkcs8).map_err(refused)?;
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = pair.public_key().into();
                (Pair::Rsa(pair), Public::Rsa { n, e })
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).map_err(refused)?;
                let public = Public::from_point(pair.public_key().as_ref())?;
                (Pair::Ec(pair), public)
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(refused)?;
                let x = pair.public_key().as_ref().to_vec();
                (Pair::Ed(pair), Public::Ed { x })
            }
        };
        let kid = public.thumbprint();
        let header = super::jwt::header(algorithm, &kid);
        Ok(Self { pair, pkcs8, public, kid, encoded_header: base64url_encode(header) })
    }

    /// The private key in PKCS#8 DER, to be sealed and stored.
    pub(crate) fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// The RFC 7638 thumbprint of the public key: 43 characters of base64url.
    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as a JWKS lists it.
    pub(crate) fn public_jwk(&self) -> serde_json::Value {
        self.public.jwk(&self.kid)
    }

    /// Signs the bytes as this key's algorithm says, in the form a JWS carries.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::internal("the token could not be signed");
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Pair::Ec(pair) => Ok(pair.sign(&SystemRandom::new(), message).map_err(failed)?.as_ref().to_vec()),
            Pair::Ed(pair) => Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec()),
        }
    }
}

/// The public half of a signing key, ready to check signatures.
pub(crate) struct VerifyingKey {
    kid: String,
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl VerifyingKey {
    /// Reads a JWK that [`SigningKey::public_jwk`] made.
    ///
    /// # Errors
    /// - [`Error::Internal`] when it is anything else: another kind of key, a member too many (a private one above all), a
    ///   `kid` that is not the key's thumbprint, a point that is not on the curve, an RSA key under 2,048 bits.
    pub(crate) fn from_public_jwk(jwk: &serde_json::Value) -> Result<Self> {
        let refused = || Error::internal("a stored public key is not a JWK of ours");
        let jwk = Jwk::deserialize(jwk).map_err(|_| refused())?;
        let public = jwk.public().ok_or_else(refused)?;
        let kid = public.thumbprint();
        if kid != jwk.kid {
            return Err(refused());
        }
        let algorithm = public.algorithm();
        let key = public.parse().ok_or_else(refused)?;
        Ok(Self { kid, algorithm, key })
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether the signature over the message is by this key, under its one algorithm.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

/// The public members of a key, as bytes.
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ec { x: Vec<u8>, y: Vec<u8> },
    Ed { x: Vec<u8> },
}

const POINT_BYTES: usize = 32;
const UNCOMPRESSED: u8 = 4;
/// 2,048 to 4,096 bits.
const MODULUS_BYTES: RangeInclusive<usize> = 256..=512;
/// 65,537.
const EXPONENT: [u8; 3] = [1, 0, 1];

impl Public {
    fn from_point(point: &[u8]) -> Result<Self> {
        let coordinates = point.strip_prefix(&[UNCOMPRESSED]).unwrap_or_default();
        match coordinates.split_at_checked(POINT_BYTES) {
            Some((x, y)) if y.len() == POINT_BYTES => Ok(Self::Ec { x: x.to_vec(), y: y.to_vec() }),
            _ => Err(Error::internal("not an uncompressed point of P-256")),
        }
    }

    const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::Ec { .. } => Algorithm::Es256,
            Self::Ed { .. } => Algorithm::EdDsa,
        }
    }

    fn parse(&self) -> Option<ParsedPublicKey> {
        match self {
            Self::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()
            }
            Self::Ec { x, y } => {
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[UNCOMPRESSED], &**x, &**y].concat()).ok()
            }
            Self::Ed { x } => ParsedPublicKey::new(&ED25519, x).ok(),
        }
    }

    /// RFC 7638: SHA-256 over the required members, in the order of their names, without white space.
    fn thumbprint(&self) -> String {
        let required = match self {
            Self::Rsa { n, e } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, base64url_encode(e), base64url_encode(n))
            }
            Self::Ec { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, base64url_encode(x), base64url_encode(y))
            }
            Self::Ed { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url_encode(x)),
        };
        base64url_encode(sha256(required.as_bytes()))
    }

    fn jwk(&self, kid: &str) -> serde_json::Value {
        let alg = self.algorithm().as_str();
        match self {
            Self::Rsa { n, e } => serde_json::json!({
                "kty": "RSA", "n": base64url_encode(n), "e": base64url_encode(e), "kid": kid, "alg": alg, "use": "sig",
            }),
            Self::Ec { x, y } => serde_json::json!({
                "kty": "EC", "crv": "P-256", "x": base64url_encode(x), "y": base64url_encode(y),
                "kid": kid, "alg": alg, "use": "sig",
            }),
            Self::Ed { x } => serde_json::json!({
                "kty": "OKP", "crv": "Ed25519", "x": base64url_encode(x), "kid": kid, "alg": alg, "use": "sig",
            }),
        }
    }
}

/// A public JWK as text. A member that is not here is refused, and with it every private one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    kty: String,
    kid: String,
    alg: String,
    #[serde(rename = "use")]
    usage: String,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    fn public(&self) -> Option<Public> {
        let bytes = |member: &Option<String>| member.as_deref().and_then(base64url_decode);
        let coordinate = |member| bytes(member).filter(|bytes| bytes.len() == POINT_BYTES);
        if self.usage != "sig" {
            return None;
        }
        match (&*self.alg, &*self.kty, self.crv.as_deref()) {
            ("RS256", "RSA", None) if self.x.is_none() && self.y.is_none() => {
                let (n, e) = (bytes(&self.n)?, bytes(&self.e)?);
                // AWS-LC looks at the size only when it checks a signature.
                let accepted = MODULUS_BYTES.contains(&n.len()) && n.first() != Some(&0) && e == EXPONENT;
                accepted.then_some(Public::Rsa { n, e })
            }
            ("ES256", "EC", Some("P-256")) if self.n.is_none() && self.e.is_none() => {
                Some(Public::Ec { x: coordinate(&self.x)?, y: coordinate(&self.y)? })
            }
            ("EdDSA", "OKP", Some("Ed25519")) if self.n.is_none() && self.e.is_none() && self.y.is_none() => {
                Some(Public::Ed { x: coordinate(&self.x)? })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ALL: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

    #[test]
    fn a_key_survives_its_storage() {
        for algorithm in ALL {
            let key = SigningKey::generate(algorithm).unwrap();
            let read = SigningKey::from_stored(algorithm, key.pkcs8().clone()).unwrap();
            assert_eq!((read.kid(), read.algorithm()), (key.kid(), algorithm));
            assert_eq!(read.public_jwk(), key.public_jwk());
            let public = VerifyingKey::from_public_jwk(&key.public_jwk()).unwrap();
            assert_eq!((public.kid(), public.algorithm()), (key.kid(), algorithm));
            assert!(public.verifies(b"message", &read.sign(b"message").unwrap()));
            assert!(!public.verifies(b"massage", &read.sign(b"message").unwrap()));
        }
    }

    #[test]
    fn two_keys_have_two_ids() {
        let (a, b) = (SigningKey::generate(Algorithm::EdDsa).unwrap(), SigningKey::generate(Algorithm::EdDsa).unwrap());
        assert_ne!(a.kid(), b.kid());
    }

    #[test]
    fn a_key_is_of_one_algorithm_only() {
        for (stored, asked) in ALL.into_iter().flat_map(|a| ALL.map(|b| (a, b))).filter(|(a, b)| a != b) {
            let key = SigningKey::generate(stored).unwrap();
            assert!(SigningKey::from_stored(asked, key.pkcs8().clone()).is_err(), "{stored} as {asked}");
            let mut jwk = key.public_jwk();
            jwk["alg"] = json!(asked.as_str());
            assert!(VerifyingKey::from_public_jwk(&jwk).is_err());
        }
    }

    #[test]
    fn the_id_is_the_thumbprint_of_rfc_7638_and_rfc_8037() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let rsa = Public::Rsa { n: base64url_decode(n).unwrap(), e: base64url_decode("AQAB").unwrap() };
        assert_eq!(rsa.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        let ed = Public::Ed { x: base64url_decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap() };
        assert_eq!(ed.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_public_jwk_has_the_public_members_and_no_others() {
        for (algorithm, expected) in [
            (Algorithm::Rs256, vec!["alg", "e", "kid", "kty", "n", "use"]),
            (Algorithm::Es256, vec!["alg", "crv", "kid", "kty", "use", "x", "y"]),
            (Algorithm::EdDsa, vec!["alg", "crv", "kid", "kty", "use", "x"]),
        ] {
            let jwk = SigningKey::generate(algorithm).unwrap().public_jwk();
            let mut members: Vec<_> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
            members.sort_unstable();
            assert_eq!(members, expected);
        }
    }

    #[test]
    fn a_jwk_that_is_not_ours_is_refused() {
        let altered = |algorithm, member: &str, value: serde_json::Value| {
            let mut jwk = SigningKey::generate(algorithm).unwrap().public_jwk();
            jwk[member] = value;
            VerifyingKey::from_public_jwk(&jwk)
        };
        for algorithm in ALL {
            for (member, value) in [
                ("d", json!("AAAA")),
                ("p", json!("AAAA")),
                ("k", json!("AAAA")),
                ("kid", json!("another")),
                ("kid", json!(null)),
                ("use", json!("enc")),
                ("alg", json!("HS256")),
                ("kty", json!("oct")),
                ("crv", json!("P-384")),
                ("x5u", json!("https://attacker.example")),
            ] {
                assert!(altered(algorithm, member, value).is_err(), "{algorithm} {member}");
            }
        }
        for not_a_jwk in [json!(null), json!([]), json!("text"), json!({})] {
            assert!(VerifyingKey::from_public_jwk(&not_a_jwk).is_err());
        }
        let small = Public::Rsa { n: vec![0xc1; 128], e: vec![1, 0, 1] };
        assert!(VerifyingKey::from_public_jwk(&small.jwk(&small.thumbprint())).is_err());
        let off_the_curve = Public::Ec { x: vec![1; 32], y: vec![2; 32] };
        assert!(VerifyingKey::from_public_jwk(&off_the_curve.jwk(&off_the_curve.thumbprint())).is_err());
    }

    #[test]
    fn garbage_is_no_stored_key() {
        for algorithm in ALL {
            for bytes in [vec![], vec![0; 64], b"-----BEGIN PRIVATE KEY-----".to_vec()] {
                assert!(matches!(SigningKey::from_stored(algorithm, Zeroizing::new(bytes)), Err(Error::Internal(_))));
            }
        }
    }

    #[test]
    fn debug_shows_no_key() {
        for algorithm in ALL {
            let key = SigningKey::generate(algorithm).unwrap();
            let kid = key.kid();
            let expected = match algorithm {
                Algorithm::Rs256 => "Rs256",
                Algorithm::Es256 => "Es256",
                Algorithm::EdDsa => "EdDsa",
            };
            assert_eq!(format!("{key:?}"), format!(r#"SigningKey {{ kid: "{kid}", algorithm: {expected}, .. }}"#));
        }
    }
}
