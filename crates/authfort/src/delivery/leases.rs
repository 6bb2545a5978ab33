//! Which lanes this process works on.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::{Control, Worker, lane};
use crate::Result;
use crate::db::silent;
use crate::store::subscriptions::{self, Subscriptions};
use crate::tail::is_closed;

/// After how many renewals the metrics are read.
const MEASURED: u32 = 4;

const LATE: &str = "no answer within the lease";

/// A lane that this process has a lease of.
struct Lease {
    lane: i64,
    fence: i64,
    due: bool,
    /// More than this process's share.
    excess: bool,
    /// Whether the subscription has no other lane.
    is_only: bool,
}

/// A lane that this process works on; dropping it stops the handlers.
struct Held {
    fence: i64,
    signals: Arc<lane::Signals>,
    task: JoinHandle<()>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Says that a subscriber has stopped, however it did.
struct Stopped(Arc<Control>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.stopped.send_replace(true);
    }
}

/// Works for a subscription until it is told to stop, or the subscription is deleted, or the service is closed.
pub(super) async fn work(worker: Arc<Worker>, control: Arc<Control>) {
    let mut stop = control.stop.subscribe();
    let stopped = Stopped(control);
    let name = worker.settings.name.as_str();
    let lease = worker.settings.lease;
    let mut lanes: BTreeMap<i64, Held> = BTreeMap::new();
    let (mut failing, mut renewals) = (false, 0_u32);
    let mut generation = worker.settings.generation;
    loop {
        let begin = Instant::now();
        let limit = if lanes.is_empty() { begin + lease } else { worker.certain_until() };
        let outcome = timeout_at(limit, renew(&worker, &mut generation)).await.unwrap_or_else(|_| Err(silent(LATE)));
        match outcome {
            Ok(Some(leases)) => {
                worker.certain_until.send_replace(begin + lease * 4 / 5);
                if std::mem::take(&mut failing) {
                    tracing::info!(subscription = name, "the leases of a subscription are renewed again");
                }
                let given_back = keep(&worker, &mut lanes, leases);
                let beside = async {
                    if let Err(error) = give_back(&worker, given_back).await {
                        tracing::debug!(?error, subscription = name, "lanes are given back when their leases end");
                    }
                    if renewals.is_multiple_of(MEASURED) {
                        measure(&worker).await;
                    }
                };
                // Nothing may keep this from the next renewal.
                let _ = timeout(lease / 4, beside).await;
                renewals = renewals.wrapping_add(1);
            }
            Ok(None) => {
                tracing::info!(subscription = name, "the subscription was deleted or changed; its subscriber stops");
                worker.counts.measured(0, 0, 0);
                let given_back = lanes.keys().copied().collect();
                lanes.clear();
                // If it was changed, whoever comes next need not wait for the end of the leases.
                let _ = timeout(lease, leave(&worker, given_back)).await;
                return;
            }
            Err(error) if is_closed(&error) => return,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(?error, subscription = name, "the leases of a subscription cannot be renewed");
                }
            }
        }
        if Instant::now() >= worker.certain_until() {
            lanes.clear();
        }
        let mut next = Instant::now() + lease / 4;
        if !lanes.is_empty() {
            next = next.min(worker.certain_until());
        }
        tokio::select! {
            () = sleep_until(next) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    // Running handlers finish, as long as their lanes are certain.
    for held in lanes.values() {
        held.signals.leave();
    }
    for held in lanes.values_mut() {
        let _ = timeout_at(worker.certain_until(), &mut held.task).await;
    }
    // The others may still be working: nobody else may, until their leases end.
    lanes.retain(|_, held| held.task.is_finished());
    let given_back = lanes.keys().copied().collect();
    if let Err(error) = timeout(lease, leave(&worker, given_back)).await.unwrap_or_else(|_| Err(silent(LATE))) {
        tracing::warn!(?error, subscription = name, "the lanes of a subscription are given back when their leases end");
    }
    drop(stopped);
}

/// Renews what this process has, and takes what is free, up to its share. None if the subscription was deleted, even if there is
/// another one of the name, or changed.
async fn renew(worker: &Worker, generation: &mut Option<i64>) -> Result<Option<Vec<Lease>>> {
    let (name, owner) = (worker.settings.name.as_str(), worker.owner);
    let milliseconds = i64::try_from(worker.settings.lease.as_millis()).unwrap_or(i64::MAX);
    let mut tx = worker.db.begin().await?;
    let mut conn = tx.conn();
    subscriptions::renew(&mut conn, name, owner, milliseconds).await?;
    let lanes = subscriptions::lanes(&mut conn, name).await?;
    let found = lanes.first().map(|lane| lane.generation);
    if found.is_none() || generation.is_some_and(|known| Some(known) != found) {
        tx.rollback().await?;
        return Ok(None);
    }
    *generation = found;
    let members = subscriptions::join(&mut conn, name, owner, milliseconds).await?.max(1);
    let share = lanes.len().div_ceil(usize::try_from(members).unwrap_or(1));
    let is_only = lanes.len() == 1;
    let mut leases: Vec<Lease> = Vec::new();
    for lane in lanes.iter().filter(|lane| lane.leased && lane.owner == Some(owner)) {
        let excess = leases.len() >= share;
        leases.push(Lease { lane: lane.number, fence: lane.fence, due: lane.due, excess, is_only });
    }
    for lane in lanes.iter().filter(|lane| !lane.leased) {
        if leases.len() < share && subscriptions::take(&mut conn, name, lane, owner, milliseconds).await? {
            leases.push(Lease { lane: lane.number, fence: lane.fence + 1, due: lane.due, excess: false, is_only });
        }
    }
    tx.commit().await?;
    Ok(Some(leases))
}

/// Starts and stops the work on lanes, as the leases say. Returns which are to be given back.
fn keep(worker: &Arc<Worker>, lanes: &mut BTreeMap<i64, Held>, leases: Vec<Lease>) -> Vec<i64> {
    let fences: BTreeMap<i64, i64> = leases.iter().map(|lease| (lease.lane, lease.fence)).collect();
    lanes.retain(|lane, held| fences.get(lane) == Some(&held.fence));
    let mut given_back = Vec::new();
    for lease in leases {
        let held = lanes.get(&lease.lane).filter(|held| !held.task.is_finished());
        match held {
            Some(held) => {
                if lease.excess {
                    held.signals.leave();
                } else if lease.due {
                    held.signals.due.notify_one();
                }
            }
            // It has left, or never began.
            None if lease.excess => given_back.push(lease.lane),
            None => {
                let signals = Arc::new(lane::Signals { leaving: watch::Sender::new(false), due: Notify::new() });
                let task = lane::work(Arc::clone(worker), lease.lane, lease.fence, lease.is_only, Arc::clone(&signals));
                lanes.insert(lease.lane, Held { fence: lease.fence, signals, task: tokio::spawn(task) });
            }
        }
    }
    for lane in &given_back {
        lanes.remove(lane);
    }
    given_back
}

async fn give_back(worker: &Worker, lanes: Vec<i64>) -> Result<()> {
    if lanes.is_empty() {
        return Ok(());
    }
    let mut tx = worker.db.begin().await?;
    for lane in lanes {
        subscriptions::give_back(&mut tx.conn(), &worker.settings.name, lane, worker.owner).await?;
    }
    tx.commit().await
}

async fn leave(worker: &Worker, lanes: Vec<i64>) -> Result<()> {
    give_back(worker, lanes).await?;
    let mut tx = worker.db.begin().await?;
    subscriptions::leave(&mut tx.conn(), &worker.settings.name, worker.owner).await?;
    tx.commit().await
}

async fn measure(worker: &Worker) {
    let name = worker.settings.name.as_str();
    if let Ok(rows) = worker.db.on_read(&Subscriptions(Some(name))).await
        && let Some(row) = rows.first()
    {
        worker.counts.measured(row.lag, row.waiting, row.dead);
    }
}
