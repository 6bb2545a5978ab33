//! The task that follows the log of changes, for one [`Standings`].

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Standings;
use crate::db::Db;
use crate::db::position::Position;
use crate::store::standing_changes::{Changed, ChangesSince, forget_seen};
use crate::{Error, Result};

/// The log is read so many times within the bound on staleness, so that one slow reading does not exceed it.
const READINGS: u32 = 4;
/// The shortest pause between two readings, so that many changes at once are read together; and after a failure.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);
/// After so many readings that nobody asked for, the log is read again when somebody asks.
const IDLE_READINGS: u32 = 40;
/// What was committed so long ago is deleted from the log.
const KEPT: Duration = Duration::from_mins(10);
/// Whoever has not read the log for so long begins anew: what it has not seen may have been deleted.
const LONGEST_GAP: Duration = Duration::from_mins(5);

pub(super) fn spawn(standings: &Arc<Standings>, db: Db, staleness: Duration) {
    let (weak, wake) = (Arc::downgrade(standings), Arc::clone(&standings.wake));
    tokio::spawn(async move {
        let mut reader = Reader { db, place: None, keep: None, failing: false };
        let mut idle = 0;
        while let Some(next) = reader.step(&weak).await {
            idle = if next.asked { 0 } else { idle + 1 };
            sleep(next.pause).await;
            if idle < IDLE_READINGS {
                tokio::select! {
                    () = sleep(staleness / READINGS) => {}
                    () = wake.notified() => {}
                }
            } else {
                wake.notified().await;
            }
        }
    });
}

struct Next {
    /// Whether anybody asked since the last reading.
    asked: bool,
    pause: Duration,
}

struct Reader {
    db: Db,
    place: Option<Place>,
    /// Where this reader was some time ago: what is older can be deleted.
    keep: Option<Place>,
    failing: bool,
}

/// What a reader has seen, and when it came there.
#[derive(Clone)]
struct Place {
    position: Position,
    server: String,
    at: Instant,
}

impl Reader {
    /// Reads the log once; none if nobody needs it any more.
    async fn step(&mut self, standings: &Weak<Standings>) -> Option<Next> {
        let standings = standings.upgrade()?;
        let asked = standings.asked.swap(false, Ordering::Relaxed);
        let outcome = self.read(&standings).await;
        if let Err(Error::DatabaseUnavailable(sqlx::Error::PoolClosed)) = outcome {
            return None;
        }
        if let Err(error) = &outcome
            && !self.failing
        {
            tracing::warn!(?error, "the guard cannot follow changes; it asks the database for each request");
        }
        self.failing = outcome.is_err();
        let pause = if self.failing { PAUSE_AFTER_FAILURE } else { PAUSE };
        Some(Next { asked, pause })
    }

    async fn read(&mut self, standings: &Standings) -> Result<()> {
        let at = Instant::now();
        let last = self.place.as_ref().filter(|place| at.duration_since(place.at) < LONGEST_GAP);
        let changes = self.db.on_guard(&ChangesSince(last.map(|place| &place.position))).await?;
        match changes.changed {
            Changed::Users(users) if last.is_some_and(|place| place.server == changes.server) => {
                for user in users {
                    standings.epochs.advance(user);
                }
            }
            // Also where this reader begins anew, and does not know what it has missed.
            _ => standings.epochs.advance_all(),
        }
        standings.freshness.followed(at);
        let place = Place { position: changes.position, server: changes.server, at };
        self.place = Some(place.clone());
        self.delete_old(place).await;
        Ok(())
    }

    /// Deletes what every reader has seen, or will not look for.
    async fn delete_old(&mut self, place: Place) {
        let old = self.keep.get_or_insert_with(|| place.clone());
        if place.at.duration_since(old.at) < KEPT {
            return;
        }
        if place.server == old.server
            && let Err(error) = forget_seen(&self.db, &old.position).await
        {
            tracing::debug!(%error, "old changes are deleted later");
        }
        self.keep = Some(place);
    }
}
