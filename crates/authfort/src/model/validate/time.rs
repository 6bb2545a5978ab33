//! Times that both engines can hold.

use chrono::{DateTime, Datelike, Timelike, Utc};

use super::Checked;
use crate::FieldError;

/// A time that is still to come, within the years that RFC 3339 can write.
pub(crate) fn future(field: &str, at: DateTime<Utc>, now: DateTime<Utc>) -> Checked<()> {
    if at > now && at.year() <= 9999 {
        Ok(())
    } else {
        Err(FieldError::new(field, "out_of_range", "must lie in the future, before the year 10000"))
    }
}

/// 23:59:60 as the next midnight: PostgreSQL reads it so, and SQLite would keep the text.
pub(crate) fn without_leap_second(at: DateTime<Utc>) -> DateTime<Utc> {
    // The seconds since 1970 do not count leap seconds; chrono keeps one as nanoseconds beyond a second.
    DateTime::from_timestamp(at.timestamp(), 0)
        .and_then(|second| second.checked_add_signed(chrono::TimeDelta::nanoseconds(i64::from(at.nanosecond()))))
        .unwrap_or(at)
}

/// A time that both engines can hold and RFC 3339 can write.
pub(crate) fn time(field: &str, at: DateTime<Utc>) -> Checked<()> {
    if (0..=9999).contains(&at.year()) {
        Ok(())
    } else {
        Err(FieldError::new(field, "out_of_range", "must lie between the years 0000 and 9999"))
    }
}
