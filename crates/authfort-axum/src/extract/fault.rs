//! Why a value is refused, as data: which member, what kind of fault, what was wanted.
//!
//! The sentences of serde's deserializers quote the value they refuse, which may be a password. A [`Fault`] is made
//! from serde's own calls (`invalid_type`, `unknown_field`, …): it keeps what was wanted and drops what came.

use std::fmt;

use authfort::FieldError;
use serde::de::{self, DeserializeOwned, Deserializer, Expected, Unexpected};
use serde_path_to_error::{Path, Segment};

use super::presentable;

/// One refused value, without the path that leads to it.
#[derive(Debug)]
pub(crate) struct Fault {
    /// `invalid_type` and `invalid` for what cannot be read; any other for what can be read and is not acceptable.
    pub code: &'static str,
    pub message: String,
    /// A member that is missing has no value that a path could lead to.
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

/// How many levels of a path a fault names. Only an application's metadata nests deeper.
const LEVELS: usize = 8;

/// Reads `T` and says of a fault where it is: names joined by dots, `[n]` for the items of an array.
///
/// # Errors
/// The first fault, with the parts of its path.
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

/// A fault in a body, as the contract has it.
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
    // The sentence of a foreign type may quote the value, so it goes no further.
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
