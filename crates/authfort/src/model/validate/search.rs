//! Search keys, sort keys and search terms.

use super::Checked;
use super::chars::is_control;
use super::email::{key_of, spellings};
use super::fold::fold;
use crate::FieldError;

/// A longer search term cannot match any key; the limit keeps the statement small.
const QUERY_CHARS: usize = 256;

/// Normalizes a search term as the keys are; `None` if it is empty.
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

/// The keys by which a user is compared, sorted and searched.
pub(crate) struct Keys {
    /// Equal for two addresses that count as one.
    pub email: String,
    pub name: Option<String>,
    /// The spellings of the address, and the name, separated by line breaks so that no term matches across two of them.
    pub search: String,
}

impl Keys {
    /// Computes the keys of an address, in its display form, and a name.
    pub(crate) fn of(email: &str, name: Option<&str>) -> Self {
        let name = name.map(fold);
        let mut search = spellings(email);
        search.extend(name.clone());
        Self { email: key_of(email), name, search: search.join("\n") }
    }
}
