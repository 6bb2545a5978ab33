//! Durable subscribers: named consumers of the log whose place in it is in the database.
//!
//! ```text
//!   members ── leases.rs ──▶ a fair share of the lanes, each leased for seconds by compare-and-set
//!                               │
//!   the log ─── lane.rs ────────┤ reads on from the position of the lane, and groups by user
//!                               ▼
//!               run.rs        the handler, for the events of one user, one after the other
//!                               │
//!               lane.rs       one transaction: the position goes on; what failed, takes long or waits is a delivery
//! ```
//!
//! A position is stored after its events were delivered, so an event is delivered at least once. The events of a user are in one
//! lane and run one after the other, so they are delivered in the order of commits. A delivery that is stored lets the lane go
//! on: nobody waits for another user's failure.
//!
//! A lane has one owner. A process that cannot renew its lease stops its handlers before the lease ends, by its own monotonic
//! clock; and the number of the lease (`fence`) keeps an owner that lost the lane from writing.

mod lane;
mod leases;
mod run;

use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::clock::Clock;
use crate::db::Db;
use crate::metrics::SubscriptionCounts;
use crate::model::events::Event;
use crate::tail::Tail;
use crate::{Result, crypto};

/// Why an event was not delivered.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(not(feature = "webhooks"), expect(dead_code, reason = "only receivers of webhooks ask for a pause"))]
pub(crate) enum Failure {
    /// The handler failed.
    Failed {
        error: String,
        /// When the receiver wants it again, if that is later than it would be.
        pause: Option<Duration>,
    },
    /// The handler did not try; it wants the event again after this time.
    Postponed(Duration),
}

impl Failure {
    pub(crate) fn new(error: impl Into<String>) -> Self {
        Self::Failed { error: error.into(), pause: None }
    }
}

pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = std::result::Result<(), Failure>> + Send>>;
pub(crate) type Handler = Arc<dyn Fn(Event) -> HandlerFuture + Send + Sync>;

/// How long a service that is closed waits for its subscribers to give back their lanes.
const PATIENCE: Duration = Duration::from_secs(6);

/// How a subscriber works.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub name: String,
    /// All if there is none.
    pub types: Vec<String>,
    /// After how many failures an event is dead.
    pub attempts: u32,
    /// Whether a dead event holds the user's later ones.
    pub holds: bool,
    /// How long a handler may take.
    pub timeout: Duration,
    /// The pause after the first failure, and the longest one.
    pub backoff: (Duration, Duration),
    /// How many handlers run at once in this process.
    pub concurrency: usize,
    /// After how long without renewal others take over the work of a process.
    pub lease: Duration,
    /// For which generation of the subscription these are; for any, if it is none.
    pub generation: Option<i64>,
}

/// A subscriber in this process.
struct Worker {
    db: Db,
    tail: Arc<Tail>,
    clock: Clock,
    owner: Uuid,
    settings: Settings,
    handler: Handler,
    permits: Semaphore,
    /// Until then no other process can have taken a lane of this one.
    certain_until: watch::Sender<Instant>,
    /// Whether the database has failed since something was written.
    failing: AtomicBool,
    counts: SubscriptionCounts,
}

impl Worker {
    fn certain_until(&self) -> Instant {
        *self.certain_until.borrow()
    }
}

/// Stops a subscriber, and says when it has stopped.
#[derive(Debug)]
pub(crate) struct Control {
    stop: watch::Sender<bool>,
    stopped: watch::Sender<bool>,
}

impl Control {
    /// Lets running handlers finish and gives the lanes back, soon.
    pub(crate) fn ask_to_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Does the same, and waits until it is done.
    pub(crate) async fn stop(&self) {
        self.ask_to_stop();
        // The sender is here, so this cannot fail.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }
}

/// The subscribers of a service.
pub(crate) struct Delivery {
    db: Db,
    tail: Arc<Tail>,
    clock: Clock,
    running: Mutex<Running>,
    /// Subscribers may be registered from outside the runtime.
    runtime: Handle,
}

#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    controls: Vec<Arc<Control>>,
}

impl Delivery {
    pub(crate) fn new(db: Db, tail: Arc<Tail>, clock: Clock, runtime: Handle) -> Self {
        Self { db, tail, clock, running: Mutex::default(), runtime }
    }

    /// Starts a subscriber, which works until it is stopped or the service is dropped; after another one has stopped, if it replaces
    /// that.
    pub(crate) fn start(
        &self,
        settings: Settings,
        handler: Handler,
        replaced: Option<Arc<Control>>,
    ) -> Result<Arc<Control>> {
        let worker = Arc::new(Worker {
            db: self.db.clone(),
            tail: Arc::clone(&self.tail),
            clock: self.clock.clone(),
            owner: Uuid::from_bytes(crypto::random::<16>()?),
            permits: Semaphore::new(settings.concurrency),
            certain_until: watch::Sender::new(Instant::now()),
            failing: AtomicBool::new(false),
            counts: SubscriptionCounts::of(&settings.name),
            settings,
            handler,
        });
        let control = Arc::new(Control { stop: watch::Sender::new(false), stopped: watch::Sender::new(false) });
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while running.tasks.try_join_next().is_some() {}
        running.controls.retain(|control| !*control.stopped.borrow());
        running.controls.push(Arc::clone(&control));
        let work = leases::work(worker, Arc::clone(&control));
        let work = async {
            if let Some(replaced) = replaced {
                replaced.stop().await;
            }
            work.await;
        };
        running.tasks.spawn_on(work, &self.runtime);
        Ok(control)
    }

    /// Runs a task for as long as the service, which must not keep the service alive.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).tasks.spawn_on(task, &self.runtime);
    }

    /// Stops all subscribers, and waits for them a while.
    pub(crate) async fn stop(&self) {
        let controls = self.running.lock().unwrap_or_else(PoisonError::into_inner).controls.clone();
        for control in &controls {
            control.ask_to_stop();
        }
        let all = async {
            for control in &controls {
                control.stop().await;
            }
        };
        if timeout(PATIENCE, all).await.is_err() {
            tracing::warn!("closed before all subscribers had stopped; what they were working on is delivered again");
        }
    }
}
