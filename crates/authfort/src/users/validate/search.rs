//! What is searched and sorted, and what is searched for.

use unicode_normalization::UnicodeNormalization;

use super::Checked;
use super::chars::is_control;
use crate::FieldError;

/// A search term longer than any key cannot match; the bound keeps the statement small.
const QUERY_CHARS: usize = 256;

/// The form in which names are searched and sorted: NFC, then Unicode lower case, character by character.
///
/// (`str::to_lowercase` lowers a sigma by its place in the word, so that a part of a key would no longer be found in it.)
pub(crate) fn fold(text: &str) -> String {
    text.nfc().flat_map(lower).nfc().collect()
}

/// Lower case, and the two lower sigmas as one: `ΟΔΟΣ` and `οδος` differ in case alone.
pub(super) fn lower(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().map(|c| if c == 'ς' { 'σ' } else { c })
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

/// What the search looks into: address and name, apart so that no term spans both (neither holds a line break).
pub(crate) fn search_key(email: &str, name_key: Option<&str>) -> String {
    match name_key {
        Some(name) => format!("{email}\n{name}"),
        None => email.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_by_character() {
        assert_eq!(fold("ΟΔΟΣ"), "οδοσ");
        assert_eq!(fold("E\u{301}"), "é");
        assert_eq!(fold("İ"), "i\u{307}");
    }
}
