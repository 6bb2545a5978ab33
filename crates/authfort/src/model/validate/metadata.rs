//! Metadata: JSON of a bounded size and depth.

use serde_json::{Map, Value};

use super::Checked;
use crate::FieldError;
use crate::model::json::is_reserved;

/// How deep metadata may nest, so that this library and others can read it back.
const METADATA_DEPTH: usize = 64;

pub(crate) fn metadata(value: &Map<String, Value>, max_bytes: usize) -> Checked<String> {
    if value.values().any(|value| is_deeper_than(value, METADATA_DEPTH - 1)) {
        return Err(FieldError::new("metadata", "too_deep", format!("must nest at most {METADATA_DEPTH} levels")));
    }
    let text =
        serde_json::to_string(value).map_err(|_| FieldError::new("metadata", "invalid", "must be a JSON object"))?;
    if text.len() > max_bytes {
        return Err(FieldError::new("metadata", "too_long", format!("must have at most {max_bytes} bytes as JSON")));
    }
    if any_text(value, &is_reserved, &|_| false) {
        let message = "must not contain a name that begins with $serde_json::private::";
        return Err(FieldError::new("metadata", "reserved", message));
    }
    // Checked in the values: in the text, a NUL is an escape, which a backslash before it would turn into six
    // characters.
    let has_nul = |text: &str| text.contains('\0');
    if any_text(value, &has_nul, &has_nul) {
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

/// Returns whether, on any level, a name meets the first condition or a text value the second one.
fn any_text(map: &Map<String, Value>, of_name: &impl Fn(&str) -> bool, of_value: &impl Fn(&str) -> bool) -> bool {
    fn within(value: &Value, of_name: &impl Fn(&str) -> bool, of_value: &impl Fn(&str) -> bool) -> bool {
        match value {
            Value::String(text) => of_value(text),
            Value::Array(items) => items.iter().any(|item| within(item, of_name, of_value)),
            Value::Object(map) => any_text(map, of_name, of_value),
            _ => false,
        }
    }
    map.iter().any(|(name, value)| of_name(name) || within(value, of_name, of_value))
}
