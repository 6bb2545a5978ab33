//! Times that both engines can store.

use chrono::{DateTime, Datelike, Timelike, Utc};

use super::Checked;
use crate::FieldError;

/// Checks that a time lies in the future, and in the years that RFC 3339 can write.
pub(crate) fn future(field: &str, at: DateTime<Utc>, now: DateTime<Utc>) -> Checked<()> {
    if at > now && at.year() <= 9999 {
        Ok(())
    } else {
        Err(FieldError::new(field, "out_of_range", "must lie in the future, before the year 10000"))
    }
}

/// Converts 23:59:60 to the next midnight, as PostgreSQL does; SQLite would store the text.
pub(crate) fn without_leap_second(at: DateTime<Utc>) -> DateTime<Utc> {
    // The seconds since 1970 exclude leap seconds; chrono stores one as nanoseconds beyond a second.
    DateTime::from_timestamp(at.timestamp(), 0)
        .and_then(|second| second.checked_add_signed(chrono::TimeDelta::nanoseconds(i64::from(at.nanosecond()))))
        .unwrap_or(at)
}

/// Checks that both engines can store the time and RFC 3339 can write it.
pub(crate) fn time(field: &str, at: DateTime<Utc>) -> Checked<()> {
    if (0..=9999).contains(&at.year()) {
        Ok(())
    } else {
        Err(FieldError::new(field, "out_of_range", "must lie between the years 0000 and 9999"))
    }
}
