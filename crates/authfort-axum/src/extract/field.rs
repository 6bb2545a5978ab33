//! Deserialization of body members and parameters where plain serde loses a distinction or reports errors badly.
//!
//! [`Field`] distinguishes "absent" from "null", as a JSON merge patch (RFC 7396) requires. [`unless_empty`] treats an
//! empty parameter as absent. [`rfc3339`] reads a time; unlike chrono's own implementation, its error says what was
//! expected and does not repeat the value.

use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected, Visitor},
};

/// One member of a JSON merge patch: absent leaves the property unchanged, null clears it, a value sets it.
///
/// The member needs `#[serde(default)]`; otherwise its absence is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Field<T> {
    /// The member is absent: leave the property unchanged.
    #[default]
    Absent,
    /// The member is null: clear the property.
    Null,
    /// The member has a value: set the property.
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Only a member that is present is deserialized, so `Absent` comes only from `#[serde(default)]`.
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

/// The newtype name by which [`unless_empty`] is recognized by the deserializer of parameters.
pub(super) const UNLESS_EMPTY: &str = "unless_empty";

/// Reads an empty parameter, as a form sends for a field that was not filled in, as absent: `#[serde(default,
/// deserialize_with = "unless_empty")]`.
///
/// # Errors
/// The errors of the value.
pub(crate) fn unless_empty<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Value<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Value<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a parameter")
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            Option::deserialize(deserializer)
        }
    }

    deserializer.deserialize_newtype_struct(UNLESS_EMPTY, Value(PhantomData))
}

/// A time, for [`rfc3339`].
#[derive(Debug, Clone, Copy)]
struct Time(DateTime<Utc>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TimeVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time in the form of RFC 3339, such as 2030-01-31T12:00:00Z")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
        // Strictly RFC 3339: chrono also accepts a space in place of the `T`.
        if text.contains(' ') {
            let expected = "a time in the form of RFC 3339, such as 2030-01-31T12:00:00Z, without a space; \
                            a plus sign in a query is written %2B";
            return Err(E::invalid_value(Unexpected::Other("text with a space"), &expected));
        }
        let time = DateTime::parse_from_rfc3339(text);
        time.map(|time| Time(time.to_utc())).map_err(|_| E::invalid_value(Unexpected::Other("other text"), &self))
    }
}

/// Reads an optional time: `#[serde(default, deserialize_with = "rfc3339")]`.
///
/// # Errors
/// - anything but null and a text in RFC 3339 format with an offset
pub(crate) fn rfc3339<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    Ok(Option::<Time>::deserialize(deserializer)?.map(|Time(time)| time))
}

/// Reads an optional time from a parameter that may be empty.
///
/// # Errors
/// - anything but an empty text and a text in RFC 3339 format with an offset
pub(crate) fn rfc3339_unless_empty<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    Ok(unless_empty::<Time, D>(deserializer)?.map(|Time(time)| time))
}

/// A day, for [`day_unless_empty`].
#[derive(Debug, Clone, Copy)]
struct Day(NaiveDate);

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(DayVisitor)
    }
}

struct DayVisitor;

impl Visitor<'_> for DayVisitor {
    type Value = Day;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a day in the form of RFC 3339, such as 2030-01-31")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Day, E> {
        // Strictly so: chrono also accepts spaces, signs, and years of two digits.
        let day = text.parse::<NaiveDate>().ok().filter(|day| day.to_string() == text && text.len() == 10);
        day.map(Day).ok_or_else(|| E::invalid_value(Unexpected::Other("other text"), &self))
    }
}

/// Reads an optional day from a parameter that may be empty.
///
/// # Errors
/// - anything but an empty text and a full date of RFC 3339
pub(crate) fn day_unless_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    Ok(unless_empty::<Day, D>(deserializer)?.map(|Day(day)| day))
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
