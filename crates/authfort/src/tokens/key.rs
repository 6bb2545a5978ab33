//! Key pairs that sign access tokens, and the public keys that verify them.
//!
//! Guarantees: a key works with one algorithm only; its id is its RFC 7638 thumbprint, so the same key has the same id
//! on every node and an id cannot be claimed for another key; the private key leaves only as the PKCS#8 that the caller
//! encrypts and stores; a public JWK holds the public members and no others; a JWK with a private member is refused.
//!
//! Both keys are parsed once. AWS-LC clears private keys when it frees them.

use std::collections::BTreeMap;
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
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
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
    public: PublicJwk,
    kid: String,
    /// The first segment of every token that this key signs.
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
    /// Generates a key: RSA with 2,048 bits, P-256 or Ed25519. An RSA key takes a large part of a second of one core,
    /// so call this on a blocking thread.
    ///
    /// # Errors
    /// - [`Error::Internal`] if AWS-LC cannot generate one.
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

    /// Parses the bytes of [`pkcs8`](Self::pkcs8), after they were stored and decrypted.
    ///
    /// # Errors
    /// - [`Error::Internal`] if they are not a key of this algorithm.
    pub(crate) fn from_stored(algorithm: Algorithm, pkcs8: Zeroizing<Vec<u8>>) -> Result<Self> {
        let refused = |_| Error::internal(format!("the stored key is no {algorithm} key in PKCS#8"));
        let (pair, public) = match algorithm {
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(&pkcs8).map_err(refused)?;
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = pair.public_key().into();
                (Pair::Rsa(pair), PublicJwk::Rsa { n: Octets(n), e: Octets(e) })
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).map_err(refused)?;
                let public = PublicJwk::of_point(pair.public_key().as_ref())?;
                (Pair::Ec(pair), public)
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(refused)?;
                let x = Octets(pair.public_key().as_ref().to_vec());
                (Pair::Ed(pair), PublicJwk::Ed { crv: Ed25519::Name, x })
            }
        };
        let kid = public.thumbprint();
        let header = super::jwt::header(algorithm, &kid);
        Ok(Self { pair, pkcs8, public, kid, encoded_header: base64url_encode(header) })
    }

    /// Returns the private key in PKCS#8 DER, to be encrypted and stored.
    pub(crate) fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// Returns the RFC 7638 thumbprint of the public key: 43 characters of base64url.
    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// Returns the public key as the JWKS lists it.
    pub(crate) fn public_jwk(&self) -> Value {
        self.public.jwk()
    }

    /// Signs the bytes with this key's algorithm, and returns the signature in JWS form.
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

/// The public key of a signing key, ready to verify signatures.
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
    /// Parses a JWK that [`SigningKey::public_jwk`] created.
    ///
    /// # Errors
    /// - [`Error::Internal`] for anything else: another kind of key, an extra member (above all a private one), a `kid`
    ///   that is not the key's thumbprint, a point that is not on the curve, an RSA key under 2,048 bits.
    pub(crate) fn from_public_jwk(jwk: &Value) -> Result<Self> {
        let refused = || Error::internal("a stored public key is not a JWK of ours");
        let public = PublicJwk::deserialize(jwk).map_err(|_| refused())?;
        // The JWK must have exactly the members and the `kid` of one of our own.
        if public.jwk() != *jwk {
            return Err(refused());
        }
        let key = public.parse().ok_or_else(refused)?;
        Ok(Self { kid: public.thumbprint(), algorithm: public.algorithm(), key })
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns whether this key signed the message, with its one algorithm.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

/// The public members of a key in a JWK (RFC 7517; RFC 7518, section 6; RFC 8037).
#[derive(Serialize, Deserialize)]
#[serde(tag = "kty")]
enum PublicJwk {
    #[serde(rename = "RSA")]
    Rsa { n: Octets, e: Octets },
    #[serde(rename = "EC")]
    Ec { crv: P256, x: Octets, y: Octets },
    #[serde(rename = "OKP")]
    Ed { crv: Ed25519, x: Octets },
}

#[derive(Serialize, Deserialize)]
enum P256 {
    #[serde(rename = "P-256")]
    Name,
}

#[derive(Serialize, Deserialize)]
enum Ed25519 {
    #[serde(rename = "Ed25519")]
    Name,
}

/// Bytes that are written as base64url in JSON.
struct Octets(Vec<u8>);

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64url_encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        base64url_decode(&text).map(Self).ok_or_else(|| de::Error::custom("not base64url"))
    }
}

const POINT_BYTES: usize = 32;
const UNCOMPRESSED: u8 = 4;
/// 2,048 to 4,096 bits.
const MODULUS_BYTES: RangeInclusive<usize> = 256..=512;
/// 65,537.
const EXPONENT: [u8; 3] = [1, 0, 1];

impl PublicJwk {
    fn of_point(point: &[u8]) -> Result<Self> {
        let coordinates = point.strip_prefix(&[UNCOMPRESSED]).unwrap_or_default();
        match coordinates.split_at_checked(POINT_BYTES) {
            Some((x, y)) if y.len() == POINT_BYTES => {
                Ok(Self::Ec { crv: P256::Name, x: Octets(x.to_vec()), y: Octets(y.to_vec()) })
            }
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

    /// Returns the key, ready to verify; none if its sizes are not those of our keys.
    fn parse(&self) -> Option<ParsedPublicKey> {
        let is_coordinate = |octets: &Octets| octets.0.len() == POINT_BYTES;
        match self {
            // AWS-LC checks the size only when it verifies a signature.
            Self::Rsa { n: Octets(n), e: Octets(e) }
                if MODULUS_BYTES.contains(&n.len()) && n.first() != Some(&0) && *e == EXPONENT =>
            {
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()
            }
            Self::Ec { x, y, .. } if is_coordinate(x) && is_coordinate(y) => {
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[UNCOMPRESSED], &*x.0, &*y.0].concat()).ok()
            }
            Self::Ed { x, .. } if is_coordinate(x) => ParsedPublicKey::new(&ED25519, &x.0).ok(),
            _ => None,
        }
    }

    /// Returns the members that every JWK of this kind requires, in the order of their names.
    fn members(&self) -> BTreeMap<String, Value> {
        // The map holds only strings, so serializing it cannot fail.
        serde_json::to_value(self).and_then(serde_json::from_value).unwrap_or_default()
    }

    /// Computes the RFC 7638 thumbprint: SHA-256 over the required members, in the order of their names, without white
    /// space.
    fn thumbprint(&self) -> String {
        base64url_encode(sha256(serde_json::to_string(&self.members()).unwrap_or_default().as_bytes()))
    }

    /// Returns the whole JWK, for signatures, with its thumbprint as `kid`.
    fn jwk(&self) -> Value {
        let mut members = self.members();
        let alg = self.algorithm().as_str();
        for (name, value) in [("kid", self.thumbprint()), ("alg", alg.to_owned()), ("use", "sig".to_owned())] {
            members.insert(name.to_owned(), Value::String(value));
        }
        members.into_iter().collect()
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
        let octets = |text| Octets(base64url_decode(text).unwrap());
        let rsa = PublicJwk::Rsa { n: octets(n), e: octets("AQAB") };
        assert_eq!(rsa.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        let ed = PublicJwk::Ed { crv: Ed25519::Name, x: octets("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo") };
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
        let altered = |algorithm, member: &str, value: Value| {
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
        let octets = |byte, length| Octets(vec![byte; length]);
        for unsound in [
            PublicJwk::Rsa { n: octets(0xc1, 128), e: Octets(EXPONENT.to_vec()) },
            PublicJwk::Rsa { n: octets(0xc1, 256), e: octets(3, 1) },
            PublicJwk::Ec { crv: P256::Name, x: octets(1, 32), y: octets(2, 32) },
            PublicJwk::Ec { crv: P256::Name, x: octets(1, 31), y: octets(2, 32) },
            PublicJwk::Ed { crv: Ed25519::Name, x: octets(1, 31) },
        ] {
            assert!(VerifyingKey::from_public_jwk(&unsound.jwk()).is_err(), "{}", unsound.jwk());
        }
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
