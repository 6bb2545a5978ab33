//! What is searched and sorted, and what is searched for.

use super::Checked;
use super::chars::is_control;
use super::email::{key_of, spellings};
use super::fold::fold;
use crate::FieldError;

/// A search term longer than any key cannot match; the bound keeps the statement small.
const QUERY_CHARS: usize = 256;

/// A search term, folded as the keys are; `None` where nothing is left to search for.
pub(crate) fn query(value: &str) -> Checked<Option<String>> {
    let value = value.trim();
    if value.len() > 4 * QUERY_CHARS || value.chars().count() > QUERY_CHARS {
        return Err(FieldError::new("query", "too_long", format!("must have at most {QUERY_CHARS} characters")));
    }
    if value.chars().any(is_control) {
        return Err(FieldError::new("query", "control_character", "must not contain control characters"));
    }
    let folded = fold(value);
    Ok((!folded.is_empty()).then_some(folded))
}

/// What a user is compared, sorted and searched by.
pub(crate) struct Keys {
    /// What makes two addresses one.
    pub email: String,
    pub name: Option<String>,
    /// The spellings of the address, and the name; apart so that no term spans two (none holds a line break).
    pub search: String,
}

impl Keys {
    /// Of an address in the form that is shown, and a name.
    pub(crate) fn of(email: &str, name: Option<&str>) -> Self {
        let name = name.map(fold);
        let mut search = spellings(email);
        search.extend(name.clone());
        Self { email: key_of(email), name, search: search.join("\n") }
    }
}
