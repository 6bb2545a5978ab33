//! One reading for all calls that need the same at the same time.

use std::time::Instant;

use tokio::sync::{Mutex, MutexGuard};

use super::Digest;

/// Calls with other tokens seldom share a lock with this one, and then wait for one reading.
const LOCKS: usize = 64;

/// Who reads the standing of a token holds the lock of its digest. In the lock is when a reading last ended in vain.
pub(super) struct Flights([Mutex<Option<Instant>>; LOCKS]);

/// A reading that has begun. Unless it is done, it ends in vain.
pub(crate) struct Reading<'a>(Option<MutexGuard<'a, Option<Instant>>>);

impl Flights {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(None)))
    }

    /// Begins to read, after others have. Who waited in vain reads beside the others: so nobody waits more than twice as long
    /// as it takes to find out that the database is away.
    pub(super) async fn join(&self, token: &Digest) -> Reading<'_> {
        let began = Instant::now();
        let Some(lock) = self.0.get(usize::from(token[0]) % LOCKS) else { return Reading::alone() };
        let held = lock.lock().await;
        if held.is_some_and(|vain| vain >= began) { Reading::alone() } else { Reading(Some(held)) }
    }
}

impl Reading<'_> {
    /// A reading for which nobody waits.
    pub(super) fn alone() -> Self {
        Self(None)
    }

    /// Says that what was read is remembered.
    pub(super) fn done(mut self) {
        self.0.take();
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if let Some(held) = &mut self.0 {
            **held = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    const TOKEN: Digest = [7; 32];

    #[tokio::test]
    async fn one_reads_after_the_other() {
        let flights = Flights::new();
        let first = flights.join(&TOKEN).await;
        assert!(flights.join(&[8; 32]).await.0.is_some(), "another token");
        let mut second = pin!(flights.join(&TOKEN));
        tokio::select! {
            biased;
            _ = &mut second => panic!("the second did not wait"),
            () = async {} => {}
        }
        first.done();
        assert!(second.await.0.is_some());
    }

    #[tokio::test]
    async fn whoever_waited_in_vain_reads_alone_and_who_comes_later_does_not() {
        let flights = Flights::new();
        let first = flights.join(&TOKEN).await;
        let (mut second, mut third) = (pin!(flights.join(&TOKEN)), pin!(flights.join(&TOKEN)));
        tokio::select! {
            biased;
            _ = &mut second => panic!("the second did not wait"),
            _ = &mut third => panic!("the third did not wait"),
            () = async {} => {}
        }
        drop(first);
        assert!(second.await.0.is_none() && third.await.0.is_none());
        // The clock may be coarse.
        let now = Instant::now();
        while Instant::now() == now {}
        assert!(flights.join(&TOKEN).await.0.is_some());
    }
}
