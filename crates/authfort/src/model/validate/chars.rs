//! Classes of characters, from the Unicode tables.

use icu_properties::props::{BidiClass, Dash, DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};

/// ZERO WIDTH NON-JOINER and ZERO WIDTH JOINER: invisible, but Persian and Indic scripts need them.
pub(super) const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// Control characters, line breaks, and noncharacters (U+FFFE, U+FFFF of each plane).
pub(super) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || u32::from(c) & 0xfffe == 0xfffe
}

/// Characters without a visible shape, by which two texts can look the same: joiners, fillers, variation selectors,
/// direction marks.
pub(super) fn is_invisible(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// Characters that show nothing: invisible ones, white space, format characters, and the blank symbols (of Braille, of
/// musical notation, and the Khitan filler).
pub(super) fn is_blank(c: char) -> bool {
    let format = category(c) == GeneralCategory::Format;
    is_invisible(c) || c.is_whitespace() || format || matches!(c, '\u{2800}' | '\u{1d159}' | '\u{16fe4}')
}

/// A hyphen, a dash or a minus sign.
pub(super) fn is_dash(c: char) -> bool {
    CodePointSetData::new::<Dash>().contains(c)
}

/// A letter or digit of any script, or punctuation that occurs inside words of some (RFC 5892, appendices A.3 to A.7).
pub(super) fn is_word(c: char) -> bool {
    let words = GeneralCategoryGroup::Letter.union(GeneralCategoryGroup::Number);
    words.contains(category(c)) || matches!(c, '\u{b7}' | '\u{375}' | '\u{5f3}' | '\u{5f4}' | '\u{30fb}')
}

/// A mark that combines with the letter before it: a vowel sign, a tone.
pub(super) fn is_mark(c: char) -> bool {
    matches!(category(c), GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark)
}

/// Returns whether letters of both directions occur: such a text is displayed in another order than it is stored.
pub(super) fn mixes_directions(text: &str) -> bool {
    let direction = CodePointMapData::<BidiClass>::new();
    let any = |classes: &[BidiClass]| text.chars().any(|c| classes.contains(&direction.get(c)));
    any(&[BidiClass::LeftToRight]) && any(&[BidiClass::RightToLeft, BidiClass::ArabicLetter])
}
