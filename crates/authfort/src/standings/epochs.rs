//! Counts the changes of users, to tell whether what was read of one is out of date.
//!
//! A reader takes the epoch of the user before it reads. A change that comes later increments the epoch, so that what was read
//! before, or meanwhile, is told apart without looking for it. Users share counters: what was remembered of another user may be
//! dropped for nothing, which costs one statement.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::UserId;

/// How many counters there are: half a megabyte. Of a million remembered users, a change drops sixteen.
const COUNTERS: usize = 1 << 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

pub(super) struct Epochs(Box<[AtomicU64]>);

impl Epochs {
    pub(super) fn new() -> Self {
        Self((0..COUNTERS).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn of(&self, user: UserId) -> Epoch {
        Epoch(self.counter(user).map_or(0, |counter| counter.load(Ordering::Acquire)))
    }

    pub(super) fn advance(&self, user: UserId) {
        if let Some(counter) = self.counter(user) {
            counter.fetch_add(1, Ordering::Release);
        }
    }

    pub(super) fn advance_all(&self) {
        for counter in &self.0 {
            counter.fetch_add(1, Ordering::Release);
        }
    }

    /// The last bytes of these ids are random.
    fn counter(&self, user: UserId) -> Option<&AtomicU64> {
        let [.., high, low] = user.0.into_bytes();
        self.0.get(usize::from(u16::from_be_bytes([high, low])))
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_change_is_told_apart_from_what_was_read_before() {
        let epochs = Epochs::new();
        let users: Vec<_> = (0..3).map(|_| UserId::new(DateTime::UNIX_EPOCH)).collect();
        let before: Vec<_> = users.iter().map(|user| epochs.of(*user)).collect();
        epochs.advance(users[0]);
        assert_ne!(epochs.of(users[0]), before[0]);
        epochs.advance_all();
        for (user, before) in users.iter().zip(before) {
            assert_ne!(epochs.of(*user), before);
        }
    }
}
