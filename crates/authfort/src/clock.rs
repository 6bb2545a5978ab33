//! Time is an argument: all code that needs the current time gets it from the [`Clock`] that it was given.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// Converts a duration to chrono's type; longer durations become the longest one that it can hold.
pub(crate) fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// Tells the time, truncated to microseconds: PostgreSQL stores no more, and both engines must return the same.
///
/// ```
/// use authfort::Clock;
/// use chrono::{TimeDelta, TimeZone, Utc};
///
/// let clock = Clock::fixed(Utc.with_ymd_and_hms(2030, 1, 1, 0, 0, 0).unwrap());
/// clock.advance(TimeDelta::minutes(5));
/// assert_eq!(clock.now().to_rfc3339(), "2030-01-01T00:05:00+00:00");
/// ```
#[derive(Clone)]
pub struct Clock(Option<Arc<Mutex<DateTime<Utc>>>>);

impl Clock {
    /// Returns the system clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// Returns a clock that stands still, for tests. Clones share the time.
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self(Some(Arc::new(Mutex::new(at))))
    }

    /// Moves a fixed clock; it does not affect the system clock.
    pub fn advance(&self, by: TimeDelta) {
        if let Some(time) = &self.0 {
            *time.lock().unwrap_or_else(PoisonError::into_inner) += by;
        }
    }

    /// Returns the current time.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
            None => Utc::now().trunc_subsecs(6),
            Some(time) => time.lock().unwrap_or_else(PoisonError::into_inner).trunc_subsecs(6),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Clock::fixed" } else { "Clock::system" })
    }
}
