//! Members of a JSON body that plain serde cannot tell apart, or cannot refuse well.
//!
//! [`Field`] keeps "absent" and "null" apart, as a JSON merge patch (RFC 7396) needs. [`rfc3339`] reads a time and,
//! unlike chrono's own implementation, says what it wanted without repeating what it got.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected, Visitor},
};

/// One member of a JSON merge patch: absent leaves it alone, null clears it, a value sets it.
///
/// The member needs `#[serde(default)]`, or else its absence is a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Field<T> {
    /// The member is not there: leave the property as it is.
    #[default]
    Absent,
    /// The member is null: clear the property.
    Null,
    /// The member has a value: set the property.
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Only a member that is there is deserialized, so Absent comes from `#[serde(default)]` alone.
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

/// Reads an optional time: `#[serde(default, deserialize_with = "rfc3339")]`.
///
/// # Errors
/// - anything but null and a text in the form of RFC 3339, with an offset
pub(crate) fn rfc3339<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    struct Time;

    impl Visitor<'_> for Time {
        type Value = DateTime<Utc>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a time in the form of RFC 3339")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            parse_time(text).ok_or_else(|| E::invalid_value(Unexpected::Other("other text"), &self))
        }
    }

    struct Wrapped(DateTime<Utc>);

    impl<'de> Deserialize<'de> for Wrapped {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_str(Time).map(Self)
        }
    }

    Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|wrapped| wrapped.0))
}

/// RFC 3339 and no more: chrono also takes a space for the `T`, which in a query is a `+` that somebody forgot to
/// encode.
pub(super) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if text.contains(' ') {
        return None;
    }
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Patch {
        #[serde(default)]
        name: Field<String>,
        #[serde(default, deserialize_with = "rfc3339")]
        at: Option<DateTime<Utc>>,
    }

    #[test]
    fn absent_null_and_a_value_are_three_things() {
        let read = |text| serde_json::from_str::<Patch>(text).unwrap().name;
        assert_eq!(read("{}"), Field::Absent);
        assert_eq!(read(r#"{"name": null}"#), Field::Null);
        assert_eq!(read(r#"{"name": "Ada"}"#), Field::Value("Ada".into()));
    }

    #[test]
    fn a_time_is_null_or_rfc_3339_and_a_refusal_does_not_repeat_it() {
        let read = |text: &str| serde_json::from_str::<Patch>(text).map(|p| p.at);
        assert_eq!(read(r#"{"at": null}"#).unwrap(), None);
        assert!(read(r#"{"at": "2030-01-01T00:00:00Z"}"#).unwrap().is_some());
        for text in ["2030-01-01", "2030-01-01 00:00:00Z", "2030-01-01T00:00:00", "1893456000", ""] {
            let error = read(&format!(r#"{{"at": "{text}"}}"#)).unwrap_err().to_string();
            assert!(error.contains("a time in the form of RFC 3339"), "{error}");
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }
}
