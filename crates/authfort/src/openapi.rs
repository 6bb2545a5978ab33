//! Schemas that cannot be derived.

use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// A string that is one of these values.
pub(crate) fn one_of(texts: &[&str]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(texts.iter().copied())).build()
}

pub(crate) fn always_true() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])).build()
}

pub(crate) fn always_false() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([false])).build()
}
