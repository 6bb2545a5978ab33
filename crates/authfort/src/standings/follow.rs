//! The tasks that follow the log of changes.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Standings;
use crate::db::Db;
use crate::store::standing_changes::{Changed, Changes, ChangesSince, forget_seen};
use crate::{Error, Result};

/// The log is read so many times within the bound on staleness, so that one slow reading does not exceed it.
const READINGS: u32 = 4;
/// The shortest pause between two readings, so that many changes at once are read together; and after a failure.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);
/// After so many readings that nobody asked for, the log is read again when somebody asks.
const IDLE_READINGS: u32 = 40;
/// How often the log is shortened, by what is at least as old.
const KEPT: Duration = Duration::from_mins(10);
/// Whoever has not read the log for so long begins anew, by the database's clock: what it has not seen may have been
/// deleted. Much shorter than the above, since the clock of the database may be set.
const LONGEST_GAP: Duration = Duration::from_mins(5);
/// The channel on which the triggers send a notification for each change.
const CHANNEL: &str = "authfort_standing";

/// Follows the log until the service is closed.
pub(super) async fn follow(standings: Arc<Standings>, db: Db, staleness: Duration) {
    let mut reader = Reader { db, standings: &standings, last: None, connections: HashSet::new() };
    let (mut idle, mut failing) = (0, false);
    loop {
        let asked = standings.asked.swap(false, Ordering::Relaxed);
        idle = if asked { 0 } else { idle + 1 };
        let mut reading = pin!(reader.read());
        let mut slow = false;
        let outcome = if let Ok(outcome) = timeout(staleness, &mut reading).await {
            outcome
        } else {
            if !failing {
                tracing::warn!("the guard waits longer than guard_staleness; it asks the database for each request");
            }
            slow = true;
            reading.await
        };
        match &outcome {
            Err(error) if is_closed(error) => return,
            Err(error) if !failing => {
                tracing::warn!(?error, "the guard cannot follow changes; it asks the database for each request");
            }
            Ok(()) if slow || failing => tracing::info!("the guard follows changes again"),
            _ => {}
        }
        failing = outcome.is_err();
        sleep(if failing { PAUSE_AFTER_FAILURE } else { PAUSE }).await;
        if idle < IDLE_READINGS {
            tokio::select! {
                () = sleep(staleness / READINGS) => {}
                () = standings.wake.notified() => {}
            }
        } else {
            standings.wake.notified().await;
        }
    }
}

/// Reads the log as soon as a notification says that there is something new. It is a hint: without any, the log is read too.
pub(super) async fn listen(standings: Arc<Standings>, db: Db) {
    db.listen(CHANNEL, || standings.wake.notify_one()).await;
}

/// Deletes what is old from the log, until the service is closed.
pub(super) async fn delete_old(db: Db) {
    let mut old: Option<Changes> = None;
    loop {
        match delete_seen(&db, old.take()).await {
            Ok(now) => old = Some(now),
            Err(error) if is_closed(&error) => return,
            Err(error) => tracing::warn!(?error, "old rows of authfort_standing_changes are deleted later"),
        }
        sleep(KEPT).await;
    }
}

/// Deletes what every reader has seen by now who was, or will be, at this position; returns the present one.
async fn delete_seen(db: &Db, old: Option<Changes>) -> Result<Changes> {
    let now = db.on_read(&ChangesSince(None)).await?;
    // A little less than the pause, since clocks differ.
    if let Some(old) = old.filter(|old| old.server == now.server && is_apart(old, &now, KEPT * 3 / 4)) {
        forget_seen(db, &old.position).await?;
    }
    Ok(now)
}

/// Returns whether so much time is between two readings, by the database's clock.
fn is_apart(old: &Changes, new: &Changes, time: Duration) -> bool {
    new.seconds.saturating_sub(old.seconds).unsigned_abs() >= time.as_secs()
}

fn is_closed(error: &Error) -> bool {
    matches!(error, Error::DatabaseUnavailable(sqlx::Error::PoolClosed))
}

struct Reader<'a> {
    db: Db,
    standings: &'a Standings,
    last: Option<Changes>,
    /// Those to this server that were used before.
    connections: HashSet<String>,
}

impl Reader<'_> {
    async fn read(&mut self) -> Result<()> {
        let metrics = &self.standings.metrics;
        metrics.remembers(self.standings.tokens.len(), self.standings.freshness.age());
        let new = self.db.on_guard(&ChangesSince(self.last.as_ref().map(|last| &last.position))).await?;
        match &new.changed {
            Changed::Users(users) if continues(self.last.as_ref(), &self.connections, &new) => {
                metrics.changes.increment(users.len() as u64);
                for user in users {
                    self.standings.epochs.advance(*user);
                }
            }
            _ => self.standings.epochs.advance_all(),
        }
        self.standings.freshness.followed(new.began);
        metrics.remembers(self.standings.tokens.len(), self.standings.freshness.age());
        if self.last.as_ref().is_none_or(|last| last.server != new.server) {
            self.connections.clear();
        }
        self.connections.insert(new.connection.clone());
        self.last = Some(new);
        Ok(())
    }
}

/// Returns whether this reading has all that came after the last one. If not, nobody knows what was missed.
fn continues(last: Option<&Changes>, connections: &HashSet<String>, new: &Changes) -> bool {
    last.is_some_and(|last| {
        last.server == new.server
            && connections.contains(&new.connection)
            && !new.position.is_before(&last.position)
            && !is_apart(last, new, LONGEST_GAP)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::db::position::Position;

    fn reading(position: &str, server: &str, connection: &str, seconds: i64) -> Changes {
        Changes {
            position: Position(position.to_owned()),
            server: server.to_owned(),
            connection: connection.to_owned(),
            seconds,
            began: Instant::now(),
            changed: Changed::Users(Vec::new()),
        }
    }

    #[test]
    fn a_reader_begins_anew_where_it_may_have_missed_something() {
        let known = HashSet::from(["1".to_owned(), "2".to_owned()]);
        let last = reading("10:12:", "a", "1", 1_000);
        let next = |new: &Changes| continues(Some(&last), &known, new);
        assert!(next(&reading("10:14:11", "a", "2", 1_299)));
        assert!(!continues(None, &known, &reading("10:14:", "a", "1", 1_000)), "the first reading");
        assert!(!next(&reading("10:14:", "b", "1", 1_000)), "another server");
        assert!(!next(&reading("10:14:", "a", "3", 1_000)), "a new connection");
        assert!(!next(&reading("10:14:", "a", "1", 1_300)), "five minutes later");
        assert!(!next(&reading("10:14:", "a", "1", 700)), "a clock that was set back");
    }

    #[test]
    fn a_reader_begins_anew_on_a_file_that_went_back() {
        let known = HashSet::from([String::new()]);
        let last = reading("7", "", "", 1_000);
        let next = |position| continues(Some(&last), &known, &reading(position, "", "", 1_000));
        assert!(next("7") && next("8") && next("10"));
        assert!(!next("6"));
    }
}
