//! Deserializes the parameters of a request, from its query, its path or a form, into structs.
//!
//! Plain serde uses one of two contradicting parameters, ignores unknown ones, and reports errors that quote the value.
//! A filter that is ignored because its name is misspelled would list every user. Here each struct takes the parameters
//! that it has fields for, and a parameter that no struct took is refused.
//!
//! | what the client sends | response |
//! |---|---|
//! | an invalid percent-encoding, invalid UTF-8, NUL | 400 `invalid_request` |
//! | a repeated parameter where one is expected | 400, with its name |
//! | anything, even an empty value, but `true` or `false`, a whole number, an RFC 3339 time or a canonical UUID where one is expected | 400, with its name |
//! | a name that no struct has | 422 `validation_failed`, code `unknown_field` |
//! | a value that is not one of the allowed ones, in exactly their case | 422, code `not_allowed`, with the list |
//! | a whole number beyond 64 bits, or a negative one where only 0 or more is allowed | 422, code `out_of_range` |
//!
//! Other bounds of a number are checked by the operation that takes it.

use std::collections::BTreeSet;

use authfort::FieldError;
use percent_encoding::percent_decode;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::fault::{self, Fault};
use super::field::UNLESS_EMPTY;
use super::presentable;
use crate::Rejection;

/// The parameters that no struct has taken yet, in their order.
#[derive(Debug)]
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    /// Where they come from; an error message appends it to the name.
    place: &'static str,
}

impl Parameters {
    /// Splits a query, or a form: a body of the type `application/x-www-form-urlencoded`. `what` names it in messages.
    ///
    /// # Errors
    /// - 400 for an invalid percent-encoding, invalid UTF-8, or NUL
    pub(crate) fn split(what: &str, query: &str) -> Result<Self, Rejection> {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok::<_, Rejection>((decode(what, name)?, decode(what, value)?))
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect::<Result<_, _>>()?;
        Ok(Self { pairs, place: "" })
    }

    /// Returns all of them, for a reader that ignores what it does not know.
    #[cfg(feature = "ui")]
    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.pairs
    }

    /// Collects the parameters of a path. Of two with the same name the last is used: the other belongs to an outer
    /// router.
    pub(super) fn of_path<'p>(segments: impl Iterator<Item = (&'p str, &'p str)>) -> Self {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, text) in segments {
            pairs.retain(|(before, _)| before != name);
            pairs.push((name.to_owned(), text.to_owned()));
        }
        Self { pairs, place: " in the path" }
    }

    /// Takes the parameters that `T`, a struct or a tuple of structs, has fields for.
    ///
    /// # Errors
    /// - 400 and 422, as in the table at the top of this module
    pub(crate) fn take<T: DeserializeOwned>(&mut self) -> Result<T, Rejection> {
        fault::read(&mut *self).map_err(|(parts, fault)| {
            // The path may have the index in a tuple before the name, and the index in a list after it.
            let name = parts.into_iter().find(|part| !part.starts_with('[')).unwrap_or_default();
            match fault.code {
                "invalid" | "invalid_type" => {
                    Rejection::invalid_request(format!("`{name}`{} {}.", self.place, fault.message))
                }
                code => Rejection::validation(vec![FieldError::new(name, code, fault.message)]),
            }
        })
    }

    /// Refuses the parameters that were not taken.
    ///
    /// # Errors
    /// - 422 with the unknown names
    pub(super) fn finish(self) -> Result<(), Rejection> {
        let unknown: BTreeSet<String> = self.pairs.into_iter().map(|(name, _)| name).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let fault = |name: &String| FieldError::new(presentable(name), "unknown_field", "is not a known parameter");
        Err(Rejection::validation(unknown.iter().map(fault).collect()))
    }
}

impl<'de> Deserializer<'de> for &mut Parameters {
    type Error = Fault;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let given = names.iter().filter_map(|name| {
            let values: Vec<String> =
                self.pairs.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect();
            (!values.is_empty()).then_some((*name, Given::new(values)))
        });
        MapDeserializer::new(given).deserialize_any(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(self)
    }

    // For a route without parameters: `Query<()>`.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple_struct map enum identifier ignored_any
    }
}

/// The structs of a tuple take their parameters in turn.
impl<'de> SeqAccess<'de> for &mut Parameters {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        seed.deserialize(&mut **self).map(Some)
    }
}

/// The values of one parameter.
struct Given {
    values: Vec<String>,
    /// How many there were, empty ones included.
    count: usize,
}

impl Given {
    fn new(values: Vec<String>) -> Self {
        Self { count: values.len(), values }
    }

    fn one(mut self) -> Result<String, Fault> {
        match self.values.pop() {
            Some(text) if self.count == 1 => Ok(text),
            _ => Err(Fault::new("invalid", "may be given once only")),
        }
    }

    /// Parses digits, with a minus sign before a negative number.
    fn whole_number(self) -> Result<i64, Fault> {
        let text = self.one()?;
        let digits = text.strip_prefix('-').unwrap_or(&text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Fault::new("invalid", "must be a whole number"));
        }
        text.parse().map_err(|_| Fault::new("out_of_range", "is out of range"))
    }
}

impl IntoDeserializer<'_, Fault> for Given {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Given {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_string(self.one()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.values.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == UNLESS_EMPTY {
            self.values.retain(|value| !value.is_empty());
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        SeqDeserializer::new(self.values.into_iter().map(|value| Self::new(vec![value]))).deserialize_any(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.one()?.as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(Fault::invalid_value(Unexpected::Other("other text"), &"true or false")),
        }
    }

    // Used for page sizes. Numbers outside of `u32` are clamped, because the operation refuses 0 and `u32::MAX` anyway.
    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let number = self.whole_number()?;
        visitor.visit_u32(u32::try_from(number.max(0)).unwrap_or(u32::MAX))
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let number = self.whole_number()?;
        visitor.visit_u64(u64::try_from(number).map_err(|_| Fault::new("out_of_range", "must be 0 or more"))?)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(IntoDeserializer::<Fault>::into_deserializer(self.one()?))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct map
        struct identifier ignored_any
    }
}

fn decode(what: &str, text: &str) -> Result<String, Rejection> {
    let broken = || Rejection::invalid_request(format!("The {what} is not properly percent-encoded UTF-8."));
    let mut after_percent = text.split('%').skip(1);
    // The decoder leaves invalid sequences unchanged, and another parser could then read them differently.
    let encoded = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if !after_percent.all(encoded) {
        return Err(broken());
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8().map_err(|_| broken())?;
    if decoded.contains('\0') {
        return Err(Rejection::invalid_request(format!("The {what} contains a NUL character.")));
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests;
