//! From a JSON value to a type, with faults that are data: which member, what kind of fault, what was wanted.
//!
//! `serde_json` does the same with sentences, and its sentences quote the value they refuse, which may be a password.
//! Here a fault is built from serde's own calls (`invalid_type`, `unknown_field`, …): what was wanted is kept, what
//! came is dropped.

use std::fmt;

use authfort::FieldError;
use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
        Unexpected, VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};
use serde_json::{Map, Value};

use super::presentable;

/// Reads `T` from the members of an object.
///
/// # Errors
/// The first fault, with the path of the member it belongs to.
pub(super) fn read<T: DeserializeOwned>(members: Map<String, Value>) -> Result<T, FieldError> {
    T::deserialize(Node(Value::Object(members))).map_err(Fault::into_field)
}

/// A fault on its way up; `path` grows at the front as it passes the members that hold it.
#[derive(Debug)]
struct Fault {
    path: String,
    code: &'static str,
    message: String,
}

impl Fault {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { path: String::new(), code, message: message.into() }
    }

    fn under(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{}{dot}{}", presentable(name), self.path);
        self
    }

    fn under_index(mut self, index: usize) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{dot}{}", self.path);
        self
    }

    fn into_field(self) -> FieldError {
        let field = if self.path.is_empty() { "body".to_owned() } else { self.path };
        FieldError::new(field, self.code, self.message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    // The sentence of a foreign type may quote the value, so it goes no further.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::new("invalid", "is not acceptable")
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new("invalid_type", format!("must be {}", wanted(&expected.to_string())))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new("invalid", format!("must be {}", wanted(&expected.to_string())))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::new("invalid", format!("must be {}", wanted(&expected.to_string())))
    }

    fn unknown_variant(_: &str, allowed: &'static [&'static str]) -> Self {
        Self::new("not_allowed", format!("must be one of: {}", allowed.join(", ")))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::new("unknown_field", format!("is not a known member; known are: {}", known.join(", "))).under(name)
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new("required", "is required").under(name)
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::new("duplicate", "appears twice").under(name)
    }
}

/// What was wanted, in the words of JSON where serde uses those of Rust.
pub(crate) fn wanted(expected: &str) -> &str {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" => "a whole number in range",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

struct Node(Value);

/// Nothing of the value is used by `invalid_type`; only serde's signature asks for it.
fn refused(expected: &dyn Expected) -> Fault {
    de::Error::invalid_type(Unexpected::Other("another type"), expected)
}

impl IntoDeserializer<'_, Fault> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
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
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => visitor.visit_seq(Items { items: items.into_iter(), index: 0 }),
            Value::Object(members) => visitor.visit_map(Members { members: members.into_iter(), current: None }),
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

    // serde's derive reads an array as a struct, member by position. A client that sends `["a@b.c", "secret"]` for an
    // object is refused, on every level.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Object(_) => self.deserialize_any(visitor),
            _ => Err(refused(&"an object")),
        }
    }

    // A choice is a text. Variants that carry data have no place in this contract.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(Choice(name)),
            _ => Err(refused(&"a string")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Choice(String);

impl<'de> EnumAccess<'de> for Choice {
    type Error = Fault;
    type Variant = Unit;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Unit), Fault> {
        Ok((seed.deserialize(Node(Value::String(self.0)))?, Unit))
    }
}

struct Unit;

impl<'de> VariantAccess<'de> for Unit {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Fault> {
        Err(Fault::new("invalid_type", "must not be a plain string"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(Fault::new("invalid_type", "must not be a plain string"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Fault> {
        Err(Fault::new("invalid_type", "must not be a plain string"))
    }
}

struct Items {
    items: std::vec::IntoIter<Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index = self.index.saturating_add(1);
        seed.deserialize(Node(item)).map(Some).map_err(|fault| fault.under_index(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Members {
    members: serde_json::map::IntoIter,
    current: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Members {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.current = self.members.next();
        match &self.current {
            None => Ok(None),
            Some((name, _)) => seed.deserialize(Node(Value::String(name.clone()))).map(Some),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((name, value)) = self.current.take() else {
            return Err(Fault::new("invalid", "is read out of order"));
        };
        seed.deserialize(Node(value)).map_err(|fault| fault.under(&name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

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
        let Value::Object(members) = value else { panic!("an object") };
        read(members).map_err(|f| (f.field, f.code, f.message))
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
