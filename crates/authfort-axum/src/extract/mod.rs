//! Strict extractors for body, query and path, with the error responses of this crate.
//!
//! | extractor | reads | refuses |
//! |---|---|---|
//! | [`Json`], [`OptionalJson`] | a JSON object | other types, repeated or unknown members, NUL, excessive depth or size |
//! | [`Query`] | the query, into a struct | repeated or unknown parameters, NUL, invalid encodings |
//! | [`Path`] | the path, into a struct | ids that are not canonical UUIDs, NUL, invalid encodings |
//!
//! Two rules hold for all of them. What cannot be parsed is 400, what can be parsed and is invalid is 422. No error
//! repeats a value, since any value may be a password; names are repeated, truncated to a fixed length.

mod fault;
mod field;
mod form;
mod json;
mod node;
mod parameters;
mod path;
mod query;

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
pub(crate) use fault::wanted;
pub(crate) use field::{Field, day_unless_empty, rfc3339, rfc3339_unless_empty, unless_empty};
pub(crate) use form::{form, is_form};
pub(crate) use json::{Json, OptionalJson};
use json::{buffer, is_plain};
pub(crate) use parameters::Parameters;
pub(crate) use path::Path;
pub(crate) use query::Query;

/// Returns the media type that a message declares (RFC 9110, section 8.3), in lower case and without its parameters;
/// `None` if it declares two, even if they are the same.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let mut declared = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(declared), None) = (declared.next(), declared.next()) else { return None };
    let essence = declared.to_str().ok()?.split(';').next()?.trim();
    Some(essence.to_ascii_lowercase())
}

/// The maximum length of a member or parameter name that an error repeats, in characters.
const NAME_LIMIT: usize = 64;

/// Makes a name from the request safe to repeat: truncated, and without control characters.
pub(crate) fn presentable(name: &str) -> Cow<'_, str> {
    if name.chars().nth(NAME_LIMIT).is_none() && !name.contains(char::is_control) {
        return Cow::Borrowed(name);
    }
    let mut out: String =
        name.chars().take(NAME_LIMIT).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if name.chars().nth(NAME_LIMIT).is_some() {
        out.push('…');
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_repeated_whole_only_if_it_is_short_and_printable() {
        assert_eq!(presentable("email"), "email");
        assert_eq!(presentable("a\0b"), "a\u{fffd}b");
        assert_eq!(presentable(&"é".repeat(64)), "é".repeat(64));
        assert_eq!(presentable(&"é".repeat(65)), format!("{}…", "é".repeat(64)));
    }
}
