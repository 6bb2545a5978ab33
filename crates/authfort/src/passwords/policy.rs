//! Which passwords are accepted, and the normalized form that is hashed.
//!
//! The length of the raw text is checked first, so a megabyte costs nothing. Then the text is normalized to NFKC, and
//! its code points are counted. There is no rule about classes of characters and nothing is truncated. U+0000 is
//! refused, because many systems treat it as the end of a string.

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;

use crate::{Error, Result};

/// Room for more than 250 code points of any script; the limit bounds the work.
const MAX_BYTES: usize = 1024;
/// NFKC turns one code point into at most 18, in 33 bytes instead of 3 (U+FDFA).
const MAX_EXPANSION: usize = 11;

/// The required length of a password.
///
/// The upper limit is fixed: 1,024 bytes of UTF-8, so that 256 emoji fit and the hashing work stays bounded. Existing
/// passwords keep working when the policy changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordPolicy {
    min_chars: usize,
}

impl Default for PasswordPolicy {
    /// At least 8 code points.
    fn default() -> Self {
        Self { min_chars: 8 }
    }
}

impl PasswordPolicy {
    /// Sets the minimum number of Unicode code points, counted after NFKC. NIST SP 800-63B-4 requires 15 if the
    /// password is the only factor, and 8 if it is one of two.
    #[must_use]
    pub fn min_chars(mut self, min_chars: usize) -> Self {
        self.min_chars = min_chars;
        self
    }

    /// Checks a new password, without hashing it and without the breach check.
    ///
    /// ```
    /// use authfort::PasswordPolicy;
    /// assert!(PasswordPolicy::default().accepts(&"correct horse".into()).is_ok());
    /// assert!(PasswordPolicy::default().accepts(&"horse".into()).is_err());
    /// ```
    ///
    /// # Errors
    /// - [`Error::Validation`] for the field `password`: `too_long`, `invalid` (U+0000), `too_short`.
    pub fn accepts(&self, password: &SecretString) -> Result<()> {
        self.check("password", password).map(|_| ())
    }

    /// Checks that a password can satisfy the policy.
    ///
    /// # Errors
    /// - [`Error::Config`] for `password_policy.min_chars` outside 1..=128.
    pub(crate) fn validate(&self) -> Result<()> {
        if (1..=128).contains(&self.min_chars) {
            Ok(())
        } else {
            Err(Error::config("password_policy.min_chars", "must be between 1 and 128"))
        }
    }

    /// Returns the form of a new password that is hashed, if the policy accepts it.
    ///
    /// # Errors
    /// - [`Error::Validation`] for `field`: `too_long`, `invalid` (U+0000), `too_short`.
    pub(crate) fn check(&self, field: &str, password: &SecretString) -> Result<NormalizedPassword> {
        let Some(normalized) = NormalizedPassword::of(password) else {
            return Err(Error::invalid(field, "too_long", format!("must have at most {MAX_BYTES} bytes")));
        };
        let text = normalized.expose();
        if text.contains('\0') {
            return Err(Error::invalid(field, "invalid", "must not contain U+0000"));
        }
        if text.chars().count() < self.min_chars {
            let message = format!("must have at least {} characters", self.min_chars);
            return Err(Error::invalid(field, "too_short", message));
        }
        Ok(normalized)
    }
}

/// A password in NFKC and of bounded length; it need not satisfy a policy.
#[derive(Debug, Clone)]
pub(crate) struct NormalizedPassword(SecretString);

impl NormalizedPassword {
    /// Normalizes a password; `None` if it is too long to be valid, without work that grows with its length.
    pub(crate) fn of(password: &SecretString) -> Option<Self> {
        let raw = password.expose_secret();
        if raw.len() > MAX_BYTES {
            return None;
        }
        // Allocates the maximum at once: a string that grows leaves copies of itself in freed memory.
        let mut text = String::with_capacity(raw.len().saturating_mul(MAX_EXPANSION));
        text.extend(raw.nfkc());
        let exact = SecretString::from(text.as_str());
        zeroize::Zeroize::zeroize(&mut text);
        Some(Self(exact))
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub(crate) fn as_secret(&self) -> &SecretString {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<String, &'static str> {
        match PasswordPolicy::default().check("password", &SecretString::from(password)) {
            Ok(normalized) => Ok(normalized.expose().to_owned()),
            Err(Error::Validation(fields)) => {
                assert_eq!(fields.len(), 1);
                assert_eq!(fields[0].field, "password");
                assert!(password.is_empty() || !fields[0].message.contains(password));
                Err(fields[0].code)
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn long_spaced_and_emoji_passwords_are_accepted_whole() {
        for password in [
            "a".repeat(64),
            "a".repeat(256),
            "a".repeat(1024),
            "  two  spaces at both ends  ".to_owned(),
            "        ".to_owned(),
            "🦀".repeat(8),
            "🦀".repeat(256),
            "пароль-длинный".to_owned(),
        ] {
            assert_eq!(check(&password).as_deref(), Ok(&*password));
        }
    }

    #[test]
    fn code_points_are_counted_not_bytes() {
        assert_eq!(check(&"🦀".repeat(7)), Err("too_short"));
        assert_eq!(check("1234567"), Err("too_short"));
        assert_eq!(check(""), Err("too_short"));
        assert!(check("12345678").is_ok());
    }

    #[test]
    fn a_megabyte_is_refused_before_any_work() {
        assert_eq!(check(&"a".repeat(1025)), Err("too_long"));
        let megabyte = SecretString::from("\u{FDFA}".repeat(350_000));
        let start = std::time::Instant::now();
        assert!(PasswordPolicy::default().check("password", &megabyte).is_err());
        assert!(start.elapsed().as_millis() < 50);
    }

    #[test]
    fn both_spellings_are_one_password() {
        assert_eq!(check("cafe\u{301} au lait"), check("caf\u{e9} au lait"));
        assert_eq!(check("１２３４５６７８").as_deref(), Ok("12345678"));
        // Counted after normalization: eight code points typed, four left.
        assert_eq!(check(&"e\u{301}".repeat(4)), Err("too_short"));
    }

    #[test]
    fn the_longest_expansion_fits_the_room() {
        let longest = "\u{FDFA}".repeat(MAX_BYTES / 3);
        assert!(check(&longest).unwrap().len() <= MAX_BYTES * MAX_EXPANSION);
    }

    #[test]
    fn nul_is_refused() {
        assert_eq!(check("12345678\0"), Err("invalid"));
    }

    #[test]
    fn an_impossible_policy_is_named() {
        for min in [0, 129] {
            let error = PasswordPolicy::default().min_chars(min).validate().unwrap_err();
            assert!(matches!(error, Error::Config { field: "password_policy.min_chars", .. }));
        }
        assert!(PasswordPolicy::default().validate().is_ok());
    }

    #[test]
    fn debug_shows_no_password() {
        let normalized = NormalizedPassword::of(&SecretString::from("planted-password")).unwrap();
        assert!(!format!("{normalized:?}").contains("planted"));
    }
}
