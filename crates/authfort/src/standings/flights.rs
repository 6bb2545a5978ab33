//! One reading for all calls that need the same at the same time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::Digest;
use crate::{Error, Result};

/// The tokens whose standing is being read. The channel of a reading has a message if the database is not available, and closes
/// when the reading ends.
pub(super) struct Flights {
    readings: Mutex<HashMap<Digest, watch::Receiver<()>>>,
    /// The longest that a call waits for another one.
    patience: Duration,
}

/// A reading that others may wait for, until it is dropped.
pub(crate) struct Reading<'a> {
    flights: &'a Flights,
    token: Digest,
    others: watch::Sender<()>,
}

impl Flights {
    pub(super) fn new(patience: Duration) -> Self {
        Self { readings: Mutex::default(), patience }
    }

    fn readings(&self) -> MutexGuard<'_, HashMap<Digest, watch::Receiver<()>>> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a reading to hold while the standing of a token is read, or nothing after another call has read it. If nothing
    /// came of that, each reads by itself: nobody waits for more than one other call.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`] if the other call has [failed](Reading::failed): to ask as well would take as long
    ///   again.
    pub(super) async fn join(&self, token: &Digest) -> Result<Option<Reading<'_>>> {
        let mut other = {
            let mut readings = self.readings();
            let Some(other) = readings.get(token) else {
                let (others, reading) = watch::channel(());
                readings.insert(*token, reading);
                return Ok(Some(Reading { flights: self, token: *token, others }));
            };
            other.clone()
        };
        match timeout(self.patience, other.changed()).await {
            Ok(Ok(())) => Err(Error::DatabaseUnavailable(sqlx::Error::PoolTimedOut)),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }
}

impl Reading<'_> {
    /// Says that the database is not available.
    pub(crate) fn failed(&self) {
        self.others.send_replace(());
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.flights.readings().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    const TOKEN: Digest = [7; 32];

    #[tokio::test]
    async fn one_reads_while_the_others_wait_and_nobody_waits_twice() {
        let flights = Flights::new(Duration::from_mins(1));
        let reading = flights.join(&TOKEN).await.unwrap();
        assert!(reading.is_some());
        assert!(flights.join(&[8; 32]).await.unwrap().is_some(), "another token");
        let (mut second, mut third) = (pin!(flights.join(&TOKEN)), pin!(flights.join(&TOKEN)));
        tokio::select! {
            biased;
            _ = &mut second => panic!("the second did not wait"),
            _ = &mut third => panic!("the third did not wait"),
            () = async {} => {}
        }
        drop(reading);
        assert!(flights.join(&TOKEN).await.unwrap().is_some(), "who comes later reads");
        assert!(second.await.unwrap().is_none() && third.await.unwrap().is_none());
        assert!(flights.readings().is_empty());
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_the_patience_for_a_call_that_does_not_go_on() {
        let flights = Flights::new(Duration::from_millis(1));
        let reading = flights.join(&TOKEN).await.unwrap();
        assert!(flights.join(&TOKEN).await.unwrap().is_none());
        drop(reading);
    }

    #[tokio::test]
    async fn where_one_found_no_database_the_others_do_not_look_for_it() {
        let flights = Flights::new(Duration::from_mins(1));
        let reading = flights.join(&TOKEN).await.unwrap().unwrap();
        let mut second = pin!(flights.join(&TOKEN));
        tokio::select! {
            biased;
            _ = &mut second => panic!("the second did not wait"),
            () = async {} => {}
        }
        reading.failed();
        drop(reading);
        assert!(matches!(second.await, Err(Error::DatabaseUnavailable(_))));
        assert!(flights.join(&TOKEN).await.unwrap().is_some(), "who comes later asks");
    }
}
