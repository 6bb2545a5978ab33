//! The work on one lane.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use uuid::Uuid;

use super::Worker;
use super::run::{Found, Outcome, run};
use crate::db::ReadQuery;
use crate::store::deliveries::{self, Blocked, CountWaiting, Due, Next, NextDue, Undelivered, Waiting, WaitingOf};
use crate::store::events::{At, Logged, Selection};
use crate::store::subscriptions::{self, PositionOfLane};
use crate::tail::{Follower, PAUSE, is_closed};
use crate::{Result, crypto};

/// How long a lane waits for the handlers of a batch. What takes longer is stored, and goes on beside the next batch.
pub(super) const BATCH_TIME: Duration = Duration::from_secs(1);
/// How many users of a lane are worked on at once.
const USERS: usize = 100;
/// How many events are read of those that wait.
const READ: i64 = 500;
/// How many events of a lane may wait. Then nothing new is read until some were delivered: the receiver is down for everybody.
const WAITING: i64 = 10_000;

/// What the owner of the leases tells a lane.
pub(super) struct Signals {
    pub leaving: watch::Sender<bool>,
    /// Something is to be delivered that could not be before.
    pub due: Notify,
}

impl Signals {
    pub(super) fn leave(&self) {
        self.leaving.send_replace(true);
    }
}

/// Why the work ended: the lane has another owner, or the service is closed.
struct Ended;

type Work<T> = std::result::Result<T, Ended>;

/// Works on a lane until it is lost, or told to leave.
pub(super) async fn work(worker: Arc<Worker>, (number, fence): (i64, i64), signals: Arc<Signals>) {
    if let Ok(lane) = Lane::begin(worker, number, fence).await {
        // The end was told to whoever has to know.
        let _: Work<()> = lane.run(&signals).await;
    }
}

/// What is written at once.
#[derive(Default)]
struct Record {
    /// Deliveries that are done.
    done: Vec<i64>,
    put: Vec<Undelivered>,
    /// Users whose next event may go on.
    promoted: BTreeSet<Uuid>,
    all_promoted: bool,
    error: Option<String>,
}

struct Lane {
    worker: Arc<Worker>,
    number: i64,
    fence: i64,
    follower: Follower,
    /// The position as it is stored, and since when.
    saved: (i64, Instant),
    runs: JoinSet<Outcome>,
    /// Whose events are being delivered. All of them are stored but those of the batch that is being read.
    busy: BTreeSet<Uuid>,
    waiting: i64,
    /// When there may be something to deliver again.
    due: Option<Instant>,
}

impl Lane {
    async fn begin(worker: Arc<Worker>, number: i64, fence: i64) -> Work<Self> {
        let position = read(&worker, &PositionOfLane(&worker.settings.name, number)).await?.ok_or(Ended)?;
        let selection = Selection { types: worker.settings.types.clone(), lane: Some(number), ..Selection::default() };
        let follower = worker.tail.follow(Some(position), selection);
        let saved = (position, Instant::now());
        let (runs, busy) = (JoinSet::new(), BTreeSet::new());
        let mut lane =
            Self { worker, number, fence, follower, saved, runs, busy, waiting: 0, due: Some(Instant::now()) };
        // What is done about dead events may have changed.
        lane.store(&Record { all_promoted: true, ..Record::default() }, position).await?;
        lane.count_waiting().await?;
        Ok(lane)
    }

    async fn run(mut self, signals: &Signals) -> Work<()> {
        let mut leaving = signals.leaving.subscribe();
        loop {
            let leaves = *leaving.borrow_and_update();
            if leaves && self.runs.is_empty() {
                return self.record(Record::default()).await;
            }
            let has_room = !leaves && self.runs.len() < USERS;
            let (due, saved) = (self.due, self.saved);
            tokio::select! {
                found = self.follower.next(&self.worker.tail), if has_room && self.waiting < WAITING => match found {
                    Ok(found) => self.deliver_new(found).await?,
                    Err(error) if is_closed(&error) => return Err(Ended),
                    Err(error) => self.pause(&error).await,
                },
                Some(outcome) = self.runs.join_next(), if !self.runs.is_empty() => {
                    let mut record = Record::default();
                    // An error if the run was aborted, which nothing does but the end of the lane.
                    if let Ok(outcome) = outcome {
                        self.note(outcome, true, &mut record);
                    }
                    self.record(record).await?;
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if has_room && due.is_some() => self.deliver_again().await?,
                () = signals.due.notified() => self.due = Some(Instant::now()),
                // The log goes on without events for this lane.
                () = sleep_until(saved.1 + self.worker.settings.lease / 2), if saved.0 != self.follower.position() => {
                    self.record(Record::default()).await?;
                }
                _ = leaving.changed() => {}
            }
        }
    }

    /// Delivers what is new, but to users for whom something waits: it waits behind it.
    async fn deliver_new(&mut self, found: Vec<Logged>) -> Work<()> {
        if found.is_empty() {
            return Ok(());
        }
        let mut users: BTreeMap<Uuid, Vec<(Waiting, Found)>> = BTreeMap::new();
        for logged in found {
            let user_id = logged.user_id.map_or(Uuid::nil(), |id| id.0);
            let waiting = Waiting { position: logged.position, user_id, attempts: 0 };
            users.entry(user_id).or_default().push((waiting, logged.event.map_or(Found::Unreadable, Found::Event)));
        }
        let ids: Vec<Uuid> = users.keys().copied().collect();
        let settings = &self.worker.settings;
        let blocked = Blocked { name: &settings.name, users: &ids, holds: settings.holds };
        let blocked: BTreeSet<Uuid> = read(&self.worker, &blocked).await?.into_iter().collect();

        let mut record = Record::default();
        let mut batch: BTreeMap<Uuid, Vec<Waiting>> = BTreeMap::new();
        for (user, events) in users {
            if blocked.contains(&user) || self.busy.contains(&user) {
                record.wait(events.into_iter().map(|(waiting, _)| waiting));
                // Perhaps what it waits for was dropped meanwhile.
                record.promoted.insert(user);
            } else {
                batch.insert(user, events.iter().map(|(waiting, _)| waiting.clone()).collect());
                self.start(user, events);
            }
        }
        let deadline = Instant::now() + BATCH_TIME;
        while !batch.is_empty() {
            match timeout_at(deadline, self.runs.join_next()).await {
                Ok(Some(Ok(outcome))) => {
                    let stored = batch.remove(&outcome.user).is_none();
                    self.note(outcome, stored, &mut record);
                }
                Ok(Some(Err(_))) => {}
                Ok(None) | Err(_) => break,
            }
        }
        // What takes longer is stored, as if it were to be delivered now: another owner of the lane does that.
        for events in batch.into_values() {
            for (index, event) in events.into_iter().enumerate() {
                let next = if index == 0 { Next::In(0) } else { Next::Waits };
                record.put.push(Undelivered { event, next, error: None });
            }
        }
        self.record(record).await
    }

    /// Delivers what could not be delivered before, if its time has come.
    async fn deliver_again(&mut self) -> Work<()> {
        let name = self.worker.settings.name.as_str();
        let limit = USERS + self.busy.len();
        let due = Due { name, lane: self.number, limit: i64::try_from(limit).unwrap_or(i64::MAX) };
        let due = read(&self.worker, &due).await?;
        let goes_on = due.len() >= limit;
        let users: BTreeSet<Uuid> = due.into_iter().filter(|user| !self.busy.contains(user)).take(USERS).collect();
        let users: Vec<Uuid> = users.into_iter().collect();
        let mut waiting = Vec::new();
        if !users.is_empty() {
            waiting = read(&self.worker, &WaitingOf { name, users: &users, limit: READ }).await?;
        }
        let is_full = i64::try_from(waiting.len()).is_ok_and(|found| found == READ);
        let next = read(&self.worker, &NextDue { name, lane: self.number }).await?;
        self.due = if (goes_on || is_full) && !waiting.is_empty() { Some(0) } else { next }.map(in_milliseconds);

        let positions = waiting.iter().map(|event| event.position).collect();
        let found = read(&self.worker, &At(positions)).await?;
        let mut found: BTreeMap<i64, Logged> = found.into_iter().map(|logged| (logged.position, logged)).collect();
        let mut runs: BTreeMap<Uuid, Vec<(Waiting, Found)>> = BTreeMap::new();
        for event in waiting {
            let found = match found.remove(&event.position) {
                None => Found::Deleted,
                Some(logged) => logged.event.map_or(Found::Unreadable, Found::Event),
            };
            runs.entry(event.user_id).or_default().push((event, found));
        }
        for (user, events) in runs {
            self.start(user, events);
        }
        Ok(())
    }

    fn start(&mut self, user: Uuid, events: Vec<(Waiting, Found)>) {
        self.busy.insert(user);
        self.runs.spawn(run(Arc::clone(&self.worker), user, events));
    }

    /// Notes what became of a user's events, which are stored or not.
    fn note(&mut self, outcome: Outcome, stored: bool, record: &mut Record) {
        let settings = &self.worker.settings;
        self.busy.remove(&outcome.user);
        self.worker.counts.delivered(outcome.done.len());
        if stored {
            record.done.extend(outcome.done);
        }
        let mut goes_on = true;
        if let Some((mut event, error)) = outcome.failed {
            event.attempts += 1;
            let is_dead = event.attempts >= i64::from(settings.attempts);
            tracing::warn!(
                subscription = settings.name,
                position = event.position,
                attempts = event.attempts,
                is_dead,
                error,
                "an event could not be delivered"
            );
            self.worker.counts.failed(is_dead);
            let next = if is_dead { Next::Dead } else { Next::In(pause(settings.backoff, event.attempts)) };
            record.put.push(Undelivered { event, next, error: Some(error.clone()) });
            record.error = Some(error);
            goes_on = is_dead && !settings.holds;
        }
        if goes_on && (stored || !outcome.left.is_empty()) {
            record.promoted.insert(outcome.user);
        }
        if !stored {
            record.wait(outcome.left.into_iter());
        }
    }

    /// Stores what became of events, and how far the lane is, in one transaction.
    async fn record(&mut self, record: Record) -> Work<()> {
        let position = self.follower.position();
        self.store(&record, position).await?;
        self.saved = (position, Instant::now());
        let next = record.put.iter().filter_map(|row| match row.next {
            Next::In(pause) => Some(pause),
            Next::Waits | Next::Dead => None,
        });
        let next = next.chain((!record.promoted.is_empty()).then_some(0)).min().map(in_milliseconds);
        self.due = [self.due, next].into_iter().flatten().min();
        if record.put.is_empty() && record.done.is_empty() { Ok(()) } else { self.count_waiting().await }
    }

    async fn write(&self, record: &Record, position: i64) -> Result<bool> {
        let settings = &self.worker.settings;
        let name = settings.name.as_str();
        let mut tx = self.worker.db.begin().await?;
        let mut conn = tx.conn();
        if !subscriptions::advance(&mut conn, name, (self.number, self.fence), self.worker.owner, position).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        let now = self.worker.clock.now();
        deliveries::delete(&mut conn, name, &record.done).await?;
        deliveries::put(&mut conn, (name, self.number), &record.put, now).await?;
        for user in &record.promoted {
            deliveries::promote(&mut conn, name, *user, settings.holds).await?;
        }
        if record.all_promoted {
            deliveries::promote_all(&mut conn, (name, self.number), settings.holds).await?;
        }
        if let Some(error) = &record.error {
            subscriptions::note_error(&mut conn, name, error, now).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Writes until it is committed, or the lane has another owner.
    async fn store(&self, record: &Record, position: i64) -> Work<()> {
        loop {
            match self.write(record, position).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(Ended),
                Err(error) if is_closed(&error) => return Err(Ended),
                Err(error) => self.pause(&error).await,
            }
        }
    }

    async fn count_waiting(&mut self) -> Work<()> {
        let name = self.worker.settings.name.as_str();
        self.waiting = read(&self.worker, &CountWaiting { name, lane: self.number, limit: WAITING }).await?;
        Ok(())
    }

    async fn pause(&self, error: &crate::Error) {
        warn(&self.worker, error);
        sleep(PAUSE).await;
    }
}

impl Record {
    fn wait(&mut self, events: impl Iterator<Item = Waiting>) {
        self.put.extend(events.map(|event| Undelivered { event, next: Next::Waits, error: None }));
    }
}

fn warn(worker: &Worker, error: &crate::Error) {
    tracing::warn!(?error, subscription = worker.settings.name, "a subscription waits for the database");
}

/// Reads until the database answers.
async fn read<Q: ReadQuery>(worker: &Worker, query: &Q) -> Work<Q::Answer> {
    loop {
        match worker.db.on_read(query).await {
            Ok(answer) => return Ok(answer),
            Err(error) if is_closed(&error) => return Err(Ended),
            Err(error) => {
                warn(worker, &error);
                sleep(PAUSE).await;
            }
        }
    }
}

fn in_milliseconds(pause: i64) -> Instant {
    Instant::now() + Duration::from_millis(pause.unsigned_abs())
}

/// The pause after so many failures, in milliseconds: doubled each time, and between half of it and all, so that what failed
/// together is not tried again together.
fn pause((first, longest): (Duration, Duration), attempts: i64) -> i64 {
    let doubled = u32::try_from(attempts - 1).ok().and_then(|times| 2_u32.checked_pow(times));
    let pause = doubled.and_then(|factor| first.checked_mul(factor)).unwrap_or(longest).min(longest);
    let random = crypto::random::<2>().map_or(0, u16::from_le_bytes);
    let pause = pause / 2 + pause / 2 * u32::from(random) / u32::from(u16::MAX);
    i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let second = Duration::from_secs(1);
        for (attempts, longest) in
            [(1, 1_000), (2, 2_000), (5, 16_000), (12, 2_048_000), (13, 3_600_000), (1_000, 3_600_000)]
        {
            for _ in 0..100 {
                let pause = pause((second, second * 3_600), attempts);
                assert!((longest / 2..=longest).contains(&pause), "{attempts}: {pause}");
            }
        }
    }
}
