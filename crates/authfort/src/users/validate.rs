//! What a user's fields must be. Normalised first, then validated, so that two spellings of one value are one value.

use chrono::{DateTime, Datelike, Timelike, Utc};
use email_address::{EmailAddress, Options};
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

use crate::FieldError;

pub(crate) type Checked<T> = Result<T, FieldError>;

const EMAIL_BYTES: usize = 254;
const NAME_CHARS: usize = 255;
const PHONE_CHARS: usize = 32;
const URL_BYTES: usize = 2048;
const REASON_CHARS: usize = 1000;
/// A search term longer than any key cannot match; the bound keeps the statement small.
const QUERY_CHARS: usize = 256;
const PROVIDER_CHARS: usize = 50;
const PROVIDER_ACCOUNT_CHARS: usize = 255;
/// How deep metadata may nest: what is written must be read again, by this library and by others.
const METADATA_DEPTH: usize = 64;
/// Anonymised users have addresses of this domain; nobody else may.
const ERASED_DOMAIN: &str = "@deleted.invalid";

/// The address of an anonymised user.
pub(crate) fn erased_email(id: crate::UserId) -> String {
    format!("deleted+{id}{ERASED_DOMAIN}")
}

/// The form in which names are searched and sorted: NFC, then Unicode lower case, character by character.
///
/// (`str::to_lowercase` lowers a sigma by its place in the word, so that a part of a key would no longer be found in it.)
pub(crate) fn fold(text: &str) -> String {
    text.nfc().flat_map(lower).nfc().collect()
}

/// Lower case, and the two lower sigmas as one: `ΟΔΟΣ` and `οδος` differ in case alone.
fn lower(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().map(|c| if c == 'ς' { 'σ' } else { c })
}

/// The form in which addresses are stored and compared: trimmed, NFKC, lower case.
///
/// ```
/// assert_eq!(authfort::normalise_email(" JANE＠Example.com "), "jane@example.com");
/// ```
pub fn normalise_email(text: &str) -> String {
    text.trim().nfkc().flat_map(lower).nfkc().collect::<String>().trim().to_owned()
}

/// Characters without a shape of their own, by which two addresses can look like one.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{ffa0}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Control characters, line breaks, and code points that are no characters (U+FFFE, U+FFFF of each plane).
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || u32::from(c) & 0xfffe == 0xfffe
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

pub(crate) fn metadata(value: &Map<String, Value>, max_bytes: usize) -> Checked<String> {
    if value.values().any(|value| is_deeper_than(value, METADATA_DEPTH - 1)) {
        return Err(FieldError::new("metadata", "too_deep", format!("must nest at most {METADATA_DEPTH} levels")));
    }
    let text =
        serde_json::to_string(value).map_err(|_| FieldError::new("metadata", "invalid", "must be a JSON object"))?;
    if text.len() > max_bytes {
        return Err(FieldError::new("metadata", "too_long", format!("must have at most {max_bytes} bytes as JSON")));
    }
    // A NUL is always written as an escape; a backslash before it would make it text of six characters.
    if object_has_nul(value) {
        return Err(FieldError::new("metadata", "nul", "must not contain the character NUL"));
    }
    Ok(text)
}

fn is_deeper_than(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper_than(item, levels - 1)),
        Value::Object(map) => levels == 0 || map.values().any(|item| is_deeper_than(item, levels - 1)),
        _ => false,
    }
}

fn object_has_nul(map: &Map<String, Value>) -> bool {
    map.iter().any(|(key, value)| key.contains('\0') || has_nul(value))
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(map) => object_has_nul(map),
        _ => false,
    }
}

/// A search term, folded as the keys are; `None` where nothing is left to search for.
pub(crate) fn query(value: &str) -> Checked<Option<String>> {
    if value.len() > 4 * QUERY_CHARS || value.chars().count() > QUERY_CHARS {
        return Err(FieldError::new("query", "too_long", format!("must have at most {QUERY_CHARS} characters")));
    }
    if value.chars().any(is_control) {
        return Err(FieldError::new("query", "control_character", "must not contain control characters"));
    }
    let folded = fold(value.trim());
    Ok((!folded.is_empty()).then_some(folded))
}

/// A time that is still to come, within the years that RFC 3339 can write.
pub(crate) fn future(field: &str, at: DateTime<Utc>, now: DateTime<Utc>) -> Checked<()> {
    if at > now && at.year() <= 9999 {
        Ok(())
    } else {
        Err(FieldError::new(field, "out_of_range", "must lie in the future, before the year 10000"))
    }
}

/// 23:59:60 as the next midnight: PostgreSQL reads it so, and SQLite would keep the text.
pub(crate) fn without_leap_second(at: DateTime<Utc>) -> DateTime<Utc> {
    // The seconds since 1970 do not count leap seconds; chrono keeps one as nanoseconds beyond a second.
    DateTime::from_timestamp(at.timestamp(), 0)
        .and_then(|second| second.checked_add_signed(chrono::TimeDelta::nanoseconds(i64::from(at.nanosecond()))))
        .unwrap_or(at)
}

/// A time that both engines can hold and RFC 3339 can write.
pub(crate) fn time(field: &str, at: DateTime<Utc>) -> Checked<()> {
    if (0..=9999).contains(&at.year()) {
        Ok(())
    } else {
        Err(FieldError::new(field, "out_of_range", "must lie between the years 0000 and 9999"))
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

/// What the search looks into: address and name, apart so that no term spans both (neither holds a line break).
pub(crate) fn search_key(email: &str, name_key: Option<&str>) -> String {
    match name_key {
        Some(name) => format!("{email}\n{name}"),
        None => email.to_owned(),
    }
}

/// Gathers faults, so that one answer names them all.
#[derive(Default)]
pub(crate) struct Faults(Vec<FieldError>);

impl Faults {
    pub(crate) fn take<T>(&mut self, checked: Checked<T>) -> Option<T> {
        checked.map_err(|fault| self.0.push(fault)).ok()
    }

    pub(crate) fn finish(self) -> crate::Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(crate::Error::Validation(self.0)) }
    }
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

    #[test]
    fn folding_is_by_character() {
        assert_eq!(fold("ΟΔΟΣ"), "οδοσ");
        assert_eq!(fold("E\u{301}"), "é");
        assert_eq!(fold("İ"), "i\u{307}");
    }

    #[test]
    fn an_avatar_is_a_web_address() {
        assert!(avatar_url("https://example.com/a.png").is_ok());
        for text in ["javascript:alert(1)", "data:text/html,x", "//example.com", "https://", "https://a b"] {
            assert!(avatar_url(text).is_err(), "{text}");
        }
    }
}
