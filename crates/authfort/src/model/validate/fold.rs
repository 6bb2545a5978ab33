//! The form of texts for comparison: character by character, ignoring case.

use unicode_normalization::UnicodeNormalization;

/// Folds a text for searching and sorting: NFC, then Unicode lower case, character by character.
///
/// (`str::to_lowercase` lowers a sigma by its position in the word, so a part of a key would no longer match it.)
pub(super) fn fold(text: &str) -> String {
    text.nfc().flat_map(lower).nfc().collect()
}

/// Lower case, with both lower sigmas as one: `ΟΔΟΣ` and `οδος` differ only in case.
fn lower(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().map(|c| if c == 'ς' { 'σ' } else { c })
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
