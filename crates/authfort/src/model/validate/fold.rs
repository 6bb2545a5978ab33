//! Texts as they are compared: by character, without regard to case.

use unicode_normalization::UnicodeNormalization;

/// The form in which names are searched and sorted: NFC, then Unicode lower case, character by character.
///
/// (`str::to_lowercase` lowers a sigma by its place in the word, so that a part of a key would no longer be found in it.)
pub(super) fn fold(text: &str) -> String {
    text.nfc().flat_map(lower).nfc().collect()
}

/// Lower case, and the two lower sigmas as one: `ΟΔΟΣ` and `οδος` differ in case alone.
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
