//! Secrets and signatures of the Standard Webhooks specification: HMAC-SHA-256 over id, time and body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::Result;
use crate::crypto;

/// How a secret begins as text.
const PREFIX: &str = "whsec_";

/// What the requests of a webhook are signed with.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Generates a secret of 256 bits.
    pub(crate) fn generate() -> Result<Self> {
        Ok(Self(Zeroizing::new(crypto::random::<32>()?.to_vec())))
    }

    pub(crate) fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the text that the receiver has to know: `whsec_` and base64.
    pub(crate) fn text(&self) -> SecretString {
        format!("{PREFIX}{}", STANDARD.encode(self.as_bytes())).into()
    }

    /// Signs a message: `v1,` and base64.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signed = crypto::hmac_sha256(self.as_bytes(), format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(signed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_published_examples() {
        // From the specification's libraries.
        for (secret, id, timestamp, body, signature) in [
            (
                "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1_649_367_553,
                r#"{"email":"test@example.com","username":"test_user"}"#,
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
            (
                "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
        ] {
            let secret = Secret::from_bytes(Zeroizing::new(STANDARD.decode(secret).unwrap()));
            assert_eq!(secret.sign(id, timestamp, body), signature);
        }
    }
}
