//! Names, reasons, phone numbers and other short texts.

use unicode_normalization::UnicodeNormalization;

use super::Checked;
use super::chars::{is_blank, is_control, is_dash, is_invisible};
use crate::FieldError;

const NAME_CHARS: usize = 255;
const PHONE_CHARS: usize = 32;
const URL_BYTES: usize = 2048;
const REASON_CHARS: usize = 1000;
const IDENTIFIER_BYTES: usize = 50;
const PROVIDER_ACCOUNT_CHARS: usize = 255;

/// Limits the bytes for a number of characters. Checked before the normalization, to bound its work.
fn bounded(field: &str, value: &str, chars: usize) -> Checked<()> {
    if value.len() > 4 * chars + 256 { Err(too_long(field, chars)) } else { Ok(()) }
}

fn too_long(field: &str, chars: usize) -> FieldError {
    FieldError::new(field, "too_long", format!("must have at most {chars} characters"))
}

fn text(field: &str, value: &str, chars: usize, allowed: impl Fn(char) -> bool) -> Checked<String> {
    bounded(field, value, chars)?;
    let value: String = value.trim().nfc().collect();
    if value.is_empty() {
        return Err(FieldError::new(field, "empty", "must not be empty; leave it out or give null"));
    }
    if value.chars().count() > chars {
        return Err(too_long(field, chars));
    }
    if value.chars().any(|c| is_control(c) && !allowed(c)) {
        return Err(FieldError::new(field, "control_character", "must not contain control characters"));
    }
    if value.chars().all(is_blank) {
        return Err(FieldError::new(field, "invisible", "must have a character that can be seen"));
    }
    Ok(value)
}

fn line(field: &str, value: &str, chars: usize) -> Checked<String> {
    text(field, value, chars, |_| false)
}

pub(crate) fn name(value: &str) -> Checked<String> {
    line("name", value, NAME_CHARS)
}

#[cfg(feature = "webhooks")]
pub(crate) fn description(value: &str) -> Checked<String> {
    line("description", value, NAME_CHARS)
}

/// Several lines, which end in LF.
pub(crate) fn reason(value: &str) -> Checked<String> {
    bounded("reason", value, REASON_CHARS)?;
    text("reason", &value.replace("\r\n", "\n"), REASON_CHARS, |c| matches!(c, '\n' | '\t'))
}

/// A pasted number may contain direction marks, and all kinds of spaces and dashes.
pub(crate) fn phone(value: &str) -> Checked<String> {
    bounded("phone", value, PHONE_CHARS)?;
    let plain = value.nfkc().filter(|c| !is_invisible(*c)).map(|c| match c {
        c if is_dash(c) => '-',
        c if c.is_whitespace() && !is_control(c) => ' ',
        c => c,
    });
    let phone = line("phone", &plain.collect::<String>(), PHONE_CHARS)?;
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
    identifier("provider", value)
}

pub(crate) fn subscription(value: &str) -> Checked<String> {
    identifier("name", value)
}

fn identifier(field: &'static str, value: &str) -> Checked<String> {
    let shaped = !value.is_empty()
        && value.len() <= IDENTIFIER_BYTES
        && value.starts_with(|c: char| c.is_ascii_lowercase())
        && value.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c));
    if shaped {
        Ok(value.to_owned())
    } else {
        Err(FieldError::new(field, "invalid", "must match ^[a-z][a-z0-9_.-]{0,49}$"))
    }
}

/// The provider's id, compared byte for byte: it is stored and looked up unchanged.
pub(crate) fn provider_account_id(value: &str) -> Checked<()> {
    let refuse = |code, message: &str| Err(FieldError::new("provider_account_id", code, message));
    if value.len() > 4 * PROVIDER_ACCOUNT_CHARS || value.chars().count() > PROVIDER_ACCOUNT_CHARS {
        Err(too_long("provider_account_id", PROVIDER_ACCOUNT_CHARS))
    } else if value.is_empty() {
        refuse("empty", "must not be empty")
    } else if value.trim() != value {
        refuse("white_space", "must not begin or end with white space")
    } else if value.contains(is_control) {
        refuse("control_character", "must not contain control characters")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_something_to_see() {
        for blank in [
            "\u{200b}",
            "\u{3164}",
            "\u{2800}",
            "\u{ad}",
            "\u{feff}\u{2060}",
            "\u{115f} \u{ffa0}",
            "\u{3000}\u{200e}\u{a0}",
            "\u{fe0f}",
            "\u{e0041}",
            "\u{fff9}",
            "\u{1d159}",
        ] {
            assert_eq!(name(blank).unwrap_err().code, "invisible", "{blank:?}");
            assert_eq!(reason(&format!("{blank}\n{blank}")).unwrap_err().code, "invisible", "{blank:?}");
        }
        for blank in ["", " ", "\u{3000}\u{2003}\u{85}"] {
            assert_eq!(name(blank).unwrap_err().code, "empty", "{blank:?}");
        }
        // Characters that scripts and emoji need between visible ones.
        for seen in ["می\u{200c}خواهم", "👩\u{200d}💻", "❤\u{fe0f}", "O\u{ad}Neill", "\u{2800}x"] {
            assert_eq!(name(seen).unwrap(), seen);
        }
    }

    #[test]
    fn a_reason_may_have_several_lines() {
        assert_eq!(reason(" Spam:\r\n\t- one\r\n\t- two\n\n").unwrap(), "Spam:\n\t- one\n\t- two");
        for control in ["a\rb", "a\0b", "a\u{1b}[31mb", "a\u{85}b", "a\u{2028}b", "a\u{b}b"] {
            assert_eq!(reason(control).unwrap_err().code, "control_character", "{control:?}");
        }
        assert!(reason(&"a\r\n".repeat(499)).is_ok());
        assert_eq!(reason(&"é".repeat(1_001)).unwrap_err().code, "too_long");
        assert_eq!(reason(&"a".repeat(1_000_000)).unwrap_err().code, "too_long");
        assert_eq!(name("two\nlines").unwrap_err().code, "control_character");
    }

    #[test]
    fn a_pasted_phone_number_is_a_phone_number() {
        for (pasted, kept) in [
            ("\u{202a}+41 44 668 18 00\u{202c}", "+41 44 668 18 00"),
            ("\u{2066}+41 44 668 18 00\u{2069}", "+41 44 668 18 00"),
            ("\u{200e}044\u{200f} 668\u{61c}", "044 668"),
            ("\u{feff}+41\u{a0}44\u{202f}668\u{2009}18\u{3000}00\u{200b}", "+41 44 668 18 00"),
            ("1\u{2010}2\u{2011}3\u{2012}4\u{2013}5\u{2014}6\u{2212}7\u{ff0d}8\u{fe63}9", "1-2-3-4-5-6-7-8-9"),
            ("＋４１（４４）６６８．１８／００", "+41(44)668.18/00"),
        ] {
            assert_eq!(phone(pasted).unwrap(), kept, "{pasted:?}");
        }
        for (text, code) in [
            ("044\n668", "control_character"),
            ("call me", "invalid_phone"),
            ("+1", "invalid_phone"),
            ("\u{202a}\u{202c}", "empty"),
            (&"0".repeat(33), "too_long"),
            (&"\u{fdfa}".repeat(100_000), "too_long"),
        ] {
            assert_eq!(phone(text).unwrap_err().code, code, "{text:.40}");
        }
    }

    #[test]
    fn an_avatar_is_a_web_address() {
        assert!(avatar_url("https://example.com/a.png").is_ok());
        for text in ["javascript:alert(1)", "data:text/html,x", "//example.com", "https://", "https://a b"] {
            assert!(avatar_url(text).is_err(), "{text}");
        }
    }
}
