//! JSON from outside, read into a [`Value`] strictly.
//!
//! [`Value`] must not read it itself. If an application, or axum, switches on the features `raw_value` or
//! `arbitrary_precision` of `serde_json`, an object whose first name is a private one of `serde_json` is no object: the
//! string in it is parsed as JSON of its own. That JSON escapes every check, and nests anew from the depth of zero, until
//! the stack overflows. Here every name that begins as the private ones do is refused, and so is a name that occurs twice.

use std::fmt;
use std::sync::LazyLock;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Error, Map, Number, Value};

const PRIVATE: &str = "$serde_json::private::";
/// How `serde_json` passes a number on with `arbitrary_precision`.
const NUMBER: &str = "$serde_json::private::Number";
const TWICE: &str = "a name occurs twice";
const RESERVED: &str = "a name is reserved";

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonFault {
    /// It is not JSON, or nests deeper than 128 levels.
    Malformed,
    /// An object has a name twice.
    Twice,
    /// A name begins as the private ones of `serde_json` do.
    Reserved,
}

impl JsonFault {
    fn of(error: &Error) -> Self {
        let text = error.to_string();
        if text.starts_with(TWICE) {
            Self::Twice
        } else if text.starts_with(RESERVED) {
            Self::Reserved
        } else {
            Self::Malformed
        }
    }
}

/// Reads a text that holds one JSON value.
///
/// # Errors
/// The kind of fault, and its line and column.
pub fn read_json(text: &str) -> Result<Value, (JsonFault, usize, usize)> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = Tree.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    read.map_err(|error| (JsonFault::of(&error), error.line(), error.column()))
}

/// Returns whether a name is refused, on every level.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.starts_with(PRIVATE)
}

/// Whether a number comes as an object with one private name.
static NUMBERS_AS_OBJECTS: LazyLock<bool> =
    LazyLock::new(|| serde_json::from_str::<Number>("1.10").is_ok_and(|number| number.to_string() == "1.10"));

struct Tree;

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == NUMBER && object.is_empty() && *NUMBERS_AS_OBJECTS {
                let number = map.next_value::<String>()?.parse().map_err(|_| A::Error::custom(RESERVED))?;
                return match map.next_key::<IgnoredAny>()? {
                    None => Ok(Value::Number(number)),
                    Some(_) => Err(A::Error::custom(RESERVED)),
                };
            }
            if is_reserved(&name) {
                return Err(A::Error::custom(RESERVED));
            }
            if object.contains_key(&name) {
                return Err(A::Error::custom(TWICE));
            }
            object.insert(name, map.next_value_seed(Self)?);
        }
        Ok(Value::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_reads_what_serde_json_reads() {
        for text in ["null", "true", "-1", "18446744073709551615", "2.5", r#""a""#, "[]", r#"[1, {"a": [null]}]"#, "{}"]
        {
            assert_eq!(read_json(text).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
        assert_eq!(read_json(r#"{"a": {"b": [1, 2.5, "c"]}}"#).unwrap(), json!({"a": {"b": [1, 2.5, "c"]}}));
    }

    #[test]
    fn a_name_twice_and_a_reserved_name_are_refused_on_every_level() {
        let fault = |text: &str| read_json(text).unwrap_err().0;
        assert_eq!(fault(r#"{"a": 1, "a": 1}"#), JsonFault::Twice);
        assert_eq!(fault(r#"[{"b": {"a": 1, "\u0061": 1}}]"#), JsonFault::Twice);
        for name in ["RawValue", "Number", "Other"] {
            for value in [r#""{}""#, r#""x""#, "1"] {
                let object = format!(r#"{{"$serde_json::private::{name}": {value}}}"#);
                assert_eq!(fault(&object), JsonFault::Reserved, "{object}");
                assert_eq!(fault(&format!(r#"{{"a": [{object}]}}"#)), JsonFault::Reserved, "{object}");
                let later = format!(r#"{{"!": 1, "$serde_json::private::{name}": {value}}}"#);
                assert_eq!(fault(&later), JsonFault::Reserved, "{later}");
            }
        }
        assert_eq!(fault("{"), JsonFault::Malformed);
        assert_eq!(fault("1 2"), JsonFault::Malformed);
    }

    #[test]
    fn text_inside_of_text_does_not_nest() {
        let escaped = |text: &str| text.replace('\\', "\\u005c").replace('"', "\\u0022");
        let mut text = "0".to_owned();
        for _ in 0..60 {
            let inner = format!("{}{text}{}", "[".repeat(125), "]".repeat(125));
            text = format!(r#"{{"$serde_json::private::RawValue":"{}"}}"#, escaped(&inner));
        }
        assert_eq!(read_json(&text).unwrap_err().0, JsonFault::Reserved);
        assert_eq!(read_json(&"[".repeat(100_000)).unwrap_err().0, JsonFault::Malformed);
    }
}
