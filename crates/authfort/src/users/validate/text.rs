//! Names, reasons, phone numbers and other short texts.

use unicode_normalization::UnicodeNormalization;

use super::Checked;
use super::chars::is_control;
use crate::FieldError;

const NAME_CHARS: usize = 255;
const PHONE_CHARS: usize = 32;
const URL_BYTES: usize = 2048;
const REASON_CHARS: usize = 1000;
const PROVIDER_CHARS: usize = 50;
const PROVIDER_ACCOUNT_CHARS: usize = 255;

fn text(field: &str, value: &str, chars: usize) -> Checked<String> {
    if value.len() > 4 * chars + 256 {
        return Err(FieldError::new(field, "too_long", format!("must have at most {chars} characters")));
    }
    let value: String = value.trim().nfc().collect();
    if value.is_empty() {
        return Err(FieldError::new(field, "empty", "must not be empty; leave it out or give null"));
    }
    if value.chars().count() > chars {
        return Err(FieldError::new(field, "too_long", format!("must have at most {chars} characters")));
    }
    if value.chars().any(is_control) {
        return Err(FieldError::new(field, "control_character", "must not contain control characters"));
    }
    Ok(value)
}

pub(crate) fn name(value: &str) -> Checked<String> {
    text("name", value, NAME_CHARS)
}

pub(crate) fn reason(value: &str) -> Checked<String> {
    text("reason", value, REASON_CHARS)
}

pub(crate) fn phone(value: &str) -> Checked<String> {
    let phone = text("phone", value, PHONE_CHARS)?;
    let shaped = phone.chars().all(|c| c.is_ascii_digit() || "+ ()-./".contains(c));
    if shaped && phone.chars().filter(char::is_ascii_digit).count() >= 3 {
        Ok(phone)
    } else {
        Err(FieldError::new("phone", "invalid_phone", "must be a phone number such as +41 44 668 18 00"))
    }
}

pub(crate) fn avatar_url(value: &str) -> Checked<String> {
    let url = value.trim();
    if url.len() > URL_BYTES {
        return Err(FieldError::new("avatar_url", "too_long", format!("must have at most {URL_BYTES} bytes")));
    }
    let scheme = url.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    let shaped = matches!(&scheme, Some((s, rest)) if (s == "https" || s == "http") && !rest.is_empty());
    if shaped && !url.chars().any(|c| is_control(c) || c.is_whitespace() || "\"<>\\^`{|}".contains(c)) {
        Ok(url.to_owned())
    } else {
        Err(FieldError::new("avatar_url", "invalid_url", "must be an http or https URL"))
    }
}

pub(crate) fn provider(value: &str) -> Checked<String> {
    let shaped = !value.is_empty()
        && value.len() <= PROVIDER_CHARS
        && value.starts_with(|c: char| c.is_ascii_lowercase())
        && value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c));
    if shaped {
        Ok(value.to_owned())
    } else {
        Err(FieldError::new("provider", "invalid", "must match ^[a-z][a-z0-9_.-]{0,49}$"))
    }
}

pub(crate) fn provider_account_id(value: &str) -> Checked<String> {
    text("provider_account_id", value, PROVIDER_ACCOUNT_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_avatar_is_a_web_address() {
        assert!(avatar_url("https://example.com/a.png").is_ok());
        for text in ["javascript:alert(1)", "data:text/html,x", "//example.com", "https://", "https://a b"] {
            assert!(avatar_url(text).is_err(), "{text}");
        }
    }
}
