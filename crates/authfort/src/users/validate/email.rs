//! Addresses.

use email_address::{EmailAddress, Options};
use unicode_normalization::UnicodeNormalization;

use super::Checked;
use super::chars::{is_control, is_invisible};
use super::search::lower;
use crate::FieldError;

const EMAIL_BYTES: usize = 254;
/// Anonymised users have addresses of this domain; nobody else may.
const ERASED_DOMAIN: &str = "@deleted.invalid";

/// The address of an anonymised user.
pub(crate) fn erased_email(id: crate::UserId) -> String {
    format!("deleted+{id}{ERASED_DOMAIN}")
}

/// The form in which addresses are stored and compared: trimmed, NFKC, lower case.
///
/// ```
/// assert_eq!(authfort::normalise_email(" JANE＠Example.com "), "jane@example.com");
/// ```
pub fn normalise_email(text: &str) -> String {
    text.trim().nfkc().flat_map(lower).nfkc().collect::<String>().trim().to_owned()
}

pub(crate) fn email(field: &str, text: &str) -> Checked<String> {
    // Before the normalisation: its work must not grow with the input.
    if text.len() > 4 * EMAIL_BYTES {
        return Err(FieldError::new(field, "too_long", format!("must have at most {EMAIL_BYTES} bytes")));
    }
    let email = normalise_email(text);
    if email.len() > EMAIL_BYTES {
        return Err(FieldError::new(field, "too_long", format!("must have at most {EMAIL_BYTES} bytes")));
    }
    let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
    let plain =
        !email.chars().any(|c| is_control(c) || is_invisible(c) || c.is_whitespace() || "\"\\(),:;<>[]".contains(c));
    let local_dots = email.split_once('@').is_some_and(|(local, domain)| {
        [local, domain].iter().all(|part| part.split('.').all(|piece| !piece.is_empty()))
            && domain.split('.').all(|label| !label.starts_with('-') && !label.ends_with('-'))
    });
    let reserved = email.ends_with(ERASED_DOMAIN);
    if plain && local_dots && !reserved && EmailAddress::parse_with_options(&email, options).is_ok() {
        Ok(email)
    } else {
        Err(FieldError::new(field, "invalid_email", "must be an email address such as jane@example.com"))
    }
}

/// What was typed as an address, as an address is shown, if it has the shape of one. What people type into the wrong field
/// is a password, or a page of something: neither belongs in a log.
pub(crate) fn address_shaped(text: &str) -> Option<String> {
    email("email", text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_one_address() {
        for spelling in ["jane@example.com", " JANE@Example.COM ", "ｊａｎｅ＠example.com", "Jane@EXAMPLE.com\n"] {
            assert_eq!(email("email", spelling).unwrap(), "jane@example.com", "{spelling:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "@",
            "jane",
            "jane@",
            "@example.com",
            "jane@example",
            "jane@example.com.",
            "ja ne@example.com",
            "jane@exa\u{200b}mple.com",
            "\"jane\"@example.com",
            "jane@[192.0.2.1]",
            "jane..d@example.com",
            "Jane <jane@example.com>",
            "jane@example.com\0",
            "jane@-example.com",
            "a@b@c.com",
            ".jane@example.com",
        ] {
            assert!(email("email", text).is_err(), "{text:?}");
        }
        assert!(email("email", &format!("{}@example.com", "a".repeat(300))).is_err());
        assert!(email("email", &"a".repeat(1_000_000)).is_err());
    }

    #[test]
    fn only_an_address_has_the_shape_of_one() {
        assert_eq!(address_shaped(" Jane@Example.com ").as_deref(), Some("jane@example.com"));
        let long = format!("{}@example.com", "a".repeat(254));
        for text in
            ["", "correct horse battery staple", "p@ssword", "jane@example.com hunter2", "a\0@example.com", &long]
        {
            assert_eq!(address_shaped(text), None, "{text:?}");
        }
    }
}
