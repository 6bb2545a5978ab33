//! Up to which moment the log was read, and whether that is recent enough.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// All times are nanoseconds since `start`, the first of them 1; 0 is before all.
pub(super) struct Freshness {
    start: Instant,
    staleness: u64,
    /// Before the log was last read: all that was committed until then has been heard of.
    read: AtomicU64,
    /// What this process itself committed until then must have been heard of.
    required: AtomicU64,
}

impl Freshness {
    pub(super) fn new(staleness: Duration) -> Self {
        Self {
            start: Instant::now(),
            staleness: nanoseconds(staleness),
            read: AtomicU64::new(0),
            required: AtomicU64::new(0),
        }
    }

    fn at(&self, moment: Instant) -> u64 {
        nanoseconds(moment.saturating_duration_since(self.start)).saturating_add(1)
    }

    pub(super) fn is_sure(&self) -> bool {
        let now = self.at(Instant::now());
        // The requirement first: one that is added meanwhile belongs to a change that nobody was told of yet.
        let required = self.required.load(Ordering::Acquire);
        let read = self.read.load(Ordering::Acquire);
        read != 0 && read >= required && now.saturating_sub(read) <= self.staleness
    }

    /// Returns how long ago the log had been read; since the start if it never was.
    pub(super) fn age(&self) -> Duration {
        Duration::from_nanos(self.at(Instant::now()).saturating_sub(self.read.load(Ordering::Acquire)))
    }

    /// Says that the log was read, and followed, after this moment.
    pub(super) fn followed(&self, moment: Instant) {
        self.read.fetch_max(self.at(moment), Ordering::Release);
    }

    /// Asks that the log be read after this moment.
    pub(super) fn require(&self, moment: Instant) {
        self.required.fetch_max(self.at(moment), Ordering::Release);
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn nothing_is_sure_before_the_log_was_read() {
        let freshness = Freshness::new(HOUR);
        assert!(!freshness.is_sure());
        freshness.followed(Instant::now());
        assert!(freshness.is_sure());
    }

    #[test]
    fn a_change_of_this_process_must_have_been_heard_of() {
        let freshness = Freshness::new(HOUR);
        let before = Instant::now();
        freshness.require(before + Duration::from_nanos(1));
        freshness.followed(before);
        assert!(!freshness.is_sure());
        freshness.followed(before + Duration::from_nanos(1));
        assert!(freshness.is_sure());
        freshness.followed(before);
        assert!(freshness.is_sure(), "a reading that began earlier takes nothing back");
    }

    #[test]
    fn what_was_read_too_long_ago_is_not_sure() {
        let mut freshness = Freshness::new(HOUR);
        freshness.followed(freshness.start);
        assert!(freshness.is_sure());
        freshness.start = freshness.start.checked_sub(HOUR * 2).unwrap();
        assert!(!freshness.is_sure());
    }
}
