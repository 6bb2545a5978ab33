//! The work on one lane.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use uuid::Uuid;

use super::run::{Found, Outcome, run};
use super::{Failure, Worker};
use crate::Result;
use crate::crypto::jitter;
use crate::db::ReadQuery;
use crate::store::deliveries::{self, Blocked, CountFailing, Due, Next, NextDue, Undelivered, Waiting, WaitingOf};
use crate::store::events::{At, Logged, Selection};
use crate::store::subscriptions::{self, PositionOfLane};
use crate::tail::{BATCH, Follower, PAUSE, is_closed};

/// How long a lane waits for the handlers of a batch. What takes longer is stored, and goes on beside the next batch.
pub(super) const BATCH_TIME: Duration = Duration::from_secs(1);
/// How many users of a lane are worked on at once.
const USERS: usize = 100;
/// How many events are read of those that wait.
const READ: i64 = 500;
/// For how many users of a lane the handler may fail at once. Then nothing new is read until it succeeds for some: the receiver is
/// down, and the log is the better place to wait in.
const FAILING: i64 = 10_000;
/// The shortest time between two readings of the log, but while there is more than was read: many commits are read at once.
const READING: Duration = Duration::from_millis(20);
/// How long handlers may finish in a lane that is given back.
const LEAVING: Duration = Duration::from_secs(5);

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
pub(super) async fn work(worker: Arc<Worker>, number: i64, fence: i64, is_only: bool, signals: Arc<Signals>) {
    if let Ok(lane) = Lane::begin(worker, (number, fence), is_only).await {
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
    /// Users whose first event failed: the others wait behind it, also those that were to be delivered at a time of their own.
    behind: BTreeSet<Uuid>,
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
    /// How many users something is delivered to again.
    failing: i64,
    /// When the log is read again at the earliest.
    next_reading: Instant,
    /// When there may be something to deliver again.
    due: Option<Instant>,
}

impl Lane {
    async fn begin(worker: Arc<Worker>, (number, fence): (i64, i64), is_only: bool) -> Work<Self> {
        let position = read(&worker, &PositionOfLane(&worker.settings.name, number)).await?.ok_or(Ended)?;
        // What this process knows of the log may be older: it would seem to have gone back.
        while let Err(error) = worker.tail.end().await {
            if is_closed(&error) {
                return Err(Ended);
            }
            pause_after(&worker, &error).await;
        }
        let lane = (!is_only).then_some(number);
        let selection = Selection { types: worker.settings.types.clone(), lane, ..Selection::default() };
        let follower = worker.tail.follow(Some(position), selection);
        let now = Instant::now();
        let (runs, busy, saved) = (JoinSet::new(), BTreeSet::new(), (position, now));
        let (failing, next_reading, due) = (0, now, Some(now));
        let mut lane = Self { worker, number, fence, follower, saved, runs, busy, failing, next_reading, due };
        // What is done about dead events may have changed.
        lane.store(&Record { all_promoted: true, ..Record::default() }, position).await?;
        lane.count_failing().await?;
        Ok(lane)
    }

    async fn run(mut self, signals: &Signals) -> Work<()> {
        let mut leaving = signals.leaving.subscribe();
        let mut leaves_until = None;
        loop {
            if *leaving.borrow_and_update() {
                let until = *leaves_until.get_or_insert_with(|| Instant::now() + LEAVING);
                // What goes on is stored, and delivered again by the next owner.
                if self.runs.is_empty() || Instant::now() >= until {
                    return self.record(Record::default()).await;
                }
            }
            let has_room = leaves_until.is_none() && self.runs.len() < USERS;
            let (due, saved, next_reading) = (self.due, self.saved, self.next_reading);
            let is_saved = saved.0 == self.follower.position();
            let new = async {
                sleep_until(next_reading).await;
                // While all handlers are at work, what is new waits in the log. The semaphore is never closed.
                drop(self.worker.permits.acquire().await);
                self.follower.next(&self.worker.tail).await
            };
            tokio::select! {
                found = new, if has_room && self.failing < FAILING => match found {
                    Ok(found) => self.deliver_new(found).await?,
                    Err(error) if is_closed(&error) => return Err(Ended),
                    Err(error) => pause_after(&self.worker, &error).await,
                },
                Some(outcome) = self.runs.join_next(), if !self.runs.is_empty() => {
                    let mut record = Record::default();
                    let mut next = Some(outcome);
                    while let Some(outcome) = next {
                        // An error if the run was aborted, which nothing does but the end of the lane.
                        if let Ok(outcome) = outcome {
                            self.note(outcome, true, &mut record);
                        }
                        next = self.runs.try_join_next();
                    }
                    self.record(record).await?;
                }
                () = sleep_until(leaves_until.unwrap_or(next_reading)), if leaves_until.is_some() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if has_room && due.is_some() => self.deliver_again().await?,
                () = signals.due.notified() => self.due = Some(Instant::now()),
                // The log goes on without events for this lane.
                () = sleep_until(saved.1 + self.worker.settings.lease / 2), if !is_saved => {
                    self.record(Record::default()).await?;
                }
                _ = leaving.changed() => {}
            }
        }
    }

    /// Delivers what is new, but to users for whom something waits: it waits behind it.
    async fn deliver_new(&mut self, found: Vec<Logged>) -> Work<()> {
        if found.len() < BATCH {
            self.next_reading = Instant::now() + READING;
        }
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
            let holds = self.worker.settings.holds;
            waiting = read(&self.worker, &WaitingOf { name, users: &users, holds, limit: READ }).await?;
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
        if stored && outcome.failed.is_some() && !outcome.left.is_empty() {
            record.behind.insert(outcome.user);
        }
        if let Some((event, Failure::Postponed(pause))) = outcome.failed {
            record.put.push(Undelivered { event, next: Next::In(milliseconds(pause)), error: None });
            goes_on = false;
        } else if let Some((mut event, Failure::Failed { error, pause: wanted })) = outcome.failed {
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
            let pause = pause(settings.backoff, event.attempts).max(wanted.map_or(0, milliseconds));
            let next = if is_dead { Next::Dead } else { Next::In(pause) };
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
        self.worker.failing.store(false, Ordering::Relaxed);
        if record.put.is_empty() && record.done.is_empty() { Ok(()) } else { self.count_failing().await }
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
        for user in &record.behind {
            deliveries::wait_behind_first(&mut conn, name, *user).await?;
        }
        for user in &record.promoted {
            deliveries::promote(&mut conn, name, *user, settings.holds).await?;
        }
        if record.all_promoted {
            deliveries::forget(&mut conn, name, self.number).await?;
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
                Err(error) => pause_after(&self.worker, &error).await,
            }
        }
    }

    async fn count_failing(&mut self) -> Work<()> {
        let name = self.worker.settings.name.as_str();
        let failing = read(&self.worker, &CountFailing { name, lane: self.number, limit: FAILING }).await?;
        if failing >= FAILING && self.failing < FAILING {
            tracing::warn!(
                subscription = name,
                failing,
                "the handler fails for so many users that nothing new is delivered"
            );
        }
        self.failing = failing;
        Ok(())
    }
}

impl Record {
    fn wait(&mut self, events: impl Iterator<Item = Waiting>) {
        self.put.extend(events.map(|event| Undelivered { event, next: Next::Waits, error: None }));
    }
}

/// Waits after an error of the database, which is told once until something is written again.
async fn pause_after(worker: &Worker, error: &crate::Error) {
    if !worker.failing.swap(true, Ordering::Relaxed) {
        tracing::warn!(?error, subscription = worker.settings.name, "a subscription waits for the database");
    }
    sleep(PAUSE).await;
}

/// Reads until the database answers.
async fn read<Q: ReadQuery>(worker: &Worker, query: &Q) -> Work<Q::Answer> {
    loop {
        match worker.db.on_read(query).await {
            Ok(answer) => return Ok(answer),
            Err(error) if is_closed(&error) => return Err(Ended),
            Err(error) => pause_after(worker, &error).await,
        }
    }
}

fn in_milliseconds(pause: i64) -> Instant {
    Instant::now() + Duration::from_millis(pause.unsigned_abs())
}

/// The pause after so many failures, in milliseconds: doubled each time, and between half of it and all.
fn pause((first, longest): (Duration, Duration), attempts: i64) -> i64 {
    let doubled = u32::try_from(attempts - 1).ok().and_then(|times| 2_u32.checked_pow(times));
    let pause = doubled.and_then(|factor| first.checked_mul(factor)).unwrap_or(longest).min(longest);
    milliseconds(pause / 2 + jitter(pause / 2))
}

fn milliseconds(pause: Duration) -> i64 {
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
