//! Deserializes a JSON value with [`Fault`] as the error. Arrays, objects and enums use serde's own implementations.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::fault::Fault;

pub(super) struct Node(pub Value);

impl IntoDeserializer<'_, Fault> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// `invalid_type` does not use the value; serde's signature requires it.
fn refused<T>(expected: &'static str) -> Result<T, Fault> {
    Err(Fault::invalid_type(Unexpected::Other("another type"), &expected))
}

impl<'de> Deserializer<'de> for Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => {
                if let Some(value) = number.as_u64() {
                    visitor.visit_u64(value)
                } else if let Some(value) = number.as_i64() {
                    visitor.visit_i64(value)
                } else if let Some(value) = number.as_f64() {
                    visitor.visit_f64(value)
                } else {
                    Err(Fault::new("invalid", "is a number out of range"))
                }
            }
            Value::String(text) if text.contains('\0') => Err(Fault::new("nul", "must not contain the character NUL")),
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => SeqDeserializer::new(items.into_iter().map(Self)).deserialize_any(visitor),
            Value::Object(members) => {
                let members = members.into_iter().map(|(name, value)| (name, Self(value)));
                MapDeserializer::new(members).deserialize_any(visitor)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            value => visitor.visit_some(Self(value)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    // serde's derive also reads an array as a struct, member by position. This refuses an array such as `["a@b.c",
    // "secret"]` in place of an object, on every level.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if self.0.is_object() { self.deserialize_any(visitor) } else { refused("an object") }
    }

    // An enum is a text. Variants that carry data are not supported.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(IntoDeserializer::<Fault>::into_deserializer(name)),
            _ => refused("a string"),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Map, json};
    use uuid::Uuid;

    use super::*;
    use crate::extract::fault;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        Row,
        Anonymize,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        on: bool,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Body {
        email: String,
        id: Option<Uuid>,
        count: Option<u8>,
        mode: Option<Mode>,
        roles: Option<Vec<String>>,
        inner: Option<Vec<Inner>>,
        metadata: Option<Map<String, Value>>,
        ratio: Option<f64>,
        labels: Option<BTreeMap<String, i64>>,
    }

    fn parse(value: Value) -> Result<Body, (String, &'static str, String)> {
        fault::read(Node(value)).map_err(fault::in_body).map_err(|f| (f.field, f.code, f.message))
    }

    #[test]
    fn a_good_body_is_read_whole() {
        let body = parse(json!({
            "email": "a@b.c", "id": "0190163d-8694-739b-aea5-966c26f8ad91", "count": 7, "mode": "anonymize", "roles": ["a", "b"],
            "inner": [{"on": true}], "metadata": {"a": [1, -2, 2.5, null, {"b": false}]}, "ratio": 1, "labels": {"x": -1},
        }))
        .unwrap();
        assert_eq!(body.mode, Some(Mode::Anonymize));
        assert_eq!(body.count, Some(7));
        assert_eq!(body.roles.unwrap(), ["a", "b"]);
        assert_eq!(body.inner.unwrap(), [Inner { on: true }]);
        assert_eq!(Value::Object(body.metadata.unwrap()), json!({"a": [1, -2, 2.5, null, {"b": false}]}));
    }

    #[test]
    fn a_fault_names_the_member_the_kind_and_what_was_wanted() {
        let cases = [
            (json!({}), "email", "required", "is required"),
            (json!({"email": 5}), "email", "invalid_type", "must be a string"),
            (json!({"email": null}), "email", "invalid_type", "must be a string"),
            (json!({"email": "", "count": 300}), "count", "invalid", "must be a whole number in range"),
            (json!({"email": "", "mode": "hunter2"}), "mode", "not_allowed", "must be one of: row, anonymize"),
            (json!({"email": "", "mode": {"row": null}}), "mode", "invalid_type", "must be a string"),
            (json!({"email": "", "roles": ["a", 5]}), "roles[1]", "invalid_type", "must be a string"),
            (json!({"email": "", "roles": "a"}), "roles", "invalid_type", "must be an array"),
            (json!({"email": "", "inner": [{"on": 1}]}), "inner[0].on", "invalid_type", "must be a boolean"),
            (json!({"email": "", "inner": [[true]]}), "inner[0]", "invalid_type", "must be an object"),
            (
                json!({"email": "", "inner": [{"of": 1}]}),
                "inner[0].of",
                "unknown_field",
                "is not a known member; known are: on",
            ),
            (json!({"email": "", "metadata": []}), "metadata", "invalid_type", "must be an object"),
            (json!({"email": "", "id": "hunter2"}), "id", "invalid", "is not acceptable"),
        ];
        for (value, field, code, message) in cases {
            assert_eq!(parse(value.clone()), Err((field.into(), code, message.into())), "{value}");
        }
    }

    #[test]
    fn no_fault_repeats_a_value() {
        for member in ["email", "id", "count", "mode", "roles", "inner", "metadata", "ratio", "labels"] {
            for value in [json!("hunter2"), json!(["hunter2"]), json!({"on": "hunter2"}), json!(770_770)] {
                let mut body = json!({"email": ""});
                body[member] = value;
                if let Err(fault) = parse(body) {
                    let fault = format!("{fault:?}");
                    assert!(!fault.contains("hunter2") && !fault.contains("770"), "{fault}");
                }
            }
        }
    }
}
