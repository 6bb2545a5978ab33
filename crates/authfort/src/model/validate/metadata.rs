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
    if any_name(value, &is_reserved) {
        let message = "must not contain a name that begins with $serde_json::private::";
        return Err(FieldError::new("metadata", "reserved", message));
    }
    // Checked in the values: in the text, a NUL is an escape, which a backslash before it would turn into six
    // characters.
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

/// Returns whether a name on any level meets the condition.
fn any_name(map: &Map<String, Value>, condition: &impl Fn(&str) -> bool) -> bool {
    fn within(value: &Value, condition: &impl Fn(&str) -> bool) -> bool {
        match value {
            Value::Array(items) => items.iter().any(|item| within(item, condition)),
            Value::Object(map) => any_name(map, condition),
            _ => false,
        }
    }
    map.iter().any(|(name, value)| condition(name) || within(value, condition))
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
