//! Structured reasons why a value is refused: which member, what kind of error, what was expected.
//!
//! The error messages of serde's deserializers quote the refused value, which may be a password. A [`Fault`] is made
//! from serde's own error constructors (`invalid_type`, `unknown_field`, …): it keeps what was expected and drops the
//! value.

use std::fmt;

use authfort::FieldError;
use serde::de::{self, DeserializeOwned, Deserializer, Expected, Unexpected};
use serde_path_to_error::{Path, Segment};

use super::presentable;

/// One refused value, without its path.
#[derive(Debug)]
pub(crate) struct Fault {
    /// `invalid_type` and `invalid` if the value cannot be parsed; any other code if it can be parsed and is invalid.
    pub code: &'static str,
    pub message: String,
    /// The name of a missing or repeated member, which is not part of the path.
    missing: Option<&'static str>,
}

impl Fault {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), missing: None }
    }

    fn unlike(code: &'static str, expected: &dyn Expected) -> Self {
        Self::new(code, format!("must be {}", wanted(&expected.to_string())))
    }
}

/// The maximum number of path levels that are reported. Only an application's metadata nests deeper.
const LEVELS: usize = 8;

/// Reads `T`, and reports the path of an error: names joined by dots, `[n]` for the items of an array.
///
/// # Errors
/// The first error, with the parts of its path.
pub(super) fn read<'de, T, D>(deserializer: D) -> Result<T, (Vec<String>, Fault)>
where
    T: DeserializeOwned,
    D: Deserializer<'de, Error = Fault>,
{
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let mut parts = parts(error.path());
        let fault = error.into_inner();
        parts.extend(fault.missing.map(str::to_owned));
        (parts, fault)
    })
}

fn parts(path: &Path) -> Vec<String> {
    let part = |segment: &Segment| match segment {
        Segment::Map { key } => Some(presentable(key).into_owned()),
        Segment::Seq { index } => Some(format!("[{index}]")),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(part).take(LEVELS).collect()
}

/// Converts an error in a body to the form that the client sees.
pub(super) fn in_body((parts, fault): (Vec<String>, Fault)) -> FieldError {
    let mut field = String::new();
    for part in &parts {
        let dot = if field.is_empty() || part.starts_with('[') { "" } else { "." };
        field = format!("{field}{dot}{part}");
    }
    let field = if field.is_empty() { "body".to_owned() } else { field };
    FieldError::new(field, fault.code, fault.message)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    // The message of a foreign type may quote the value, so it is dropped.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::new("invalid", "is not acceptable")
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::unlike("invalid_type", expected)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::unlike("invalid", expected)
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::unlike("invalid", expected)
    }

    fn unknown_variant(_: &str, allowed: &'static [&'static str]) -> Self {
        Self::new("not_allowed", format!("must be one of: {}", allowed.join(", ")))
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        Self::new("unknown_field", format!("is not a known member; known are: {}", known.join(", ")))
    }

    fn missing_field(name: &'static str) -> Self {
        Self { missing: Some(name), ..Self::new("required", "is required") }
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self { missing: Some(name), ..Self::new("duplicate", "appears twice") }
    }
}

/// Describes what was expected in JSON terms where serde uses Rust terms.
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
