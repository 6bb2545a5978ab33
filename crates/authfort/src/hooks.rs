//! Hooks: the application's reactions to events, after the commit and apart from the request.
//!
//! Each hook has a task and a bounded queue of its own: a hook that is slow, panics or hangs harms neither the request
//! nor another hook. A hook may call back into the library. Hooks live in this process: what they must not miss at a
//! crash belongs to a consumer that reads the log.
//!
//! A call that joined the application's transaction cannot know when that commits. Its events are watched for in the
//! log: once another connection can see them, they are committed.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::db::Db;
use crate::model::events::{Event, TypedEvent};
use crate::store;

/// How many events may wait for one hook. Past that it misses some, which is logged; the log has them all. Memory stays
/// bounded however slow a hook is.
const BACKLOG: usize = 10_000;

/// How long an open transaction of the application is watched. One that was rolled back is never seen.
const WATCH_TIMEOUT: Duration = Duration::from_mins(10);

struct Hook {
    r#type: &'static str,
    queue: mpsc::Sender<Arc<Event>>,
}

#[derive(Clone)]
pub(crate) struct Hooks {
    hooks: Arc<RwLock<Vec<Hook>>>,
    /// Hooks may be registered from outside the runtime.
    runtime: Handle,
}

impl Hooks {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { hooks: Arc::default(), runtime }
    }

    /// Registers a hook and starts its task, which ends with the last handle of the library.
    pub(crate) fn on<E, F, Fut>(&self, hook: F)
    where
        E: TypedEvent,
        F: Fn(E) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (queue, mut events) = mpsc::channel::<Arc<Event>>(BACKLOG);
        self.runtime.spawn(async move {
            while let Some(event) = events.recv().await {
                let Some(typed) = E::from_event(&event) else { continue };
                // The call may panic as well as the future that it makes.
                let outcome = match catch_unwind(AssertUnwindSafe(|| hook(typed))) {
                    Ok(future) => AssertUnwindSafe(future).catch_unwind().await,
                    Err(panic) => Err(panic),
                };
                if let Err(panic) = outcome {
                    tracing::error!(event = %event.id, r#type = event.r#type, panic = text(&*panic), "a hook panicked");
                }
            }
        });
        self.hooks.write().unwrap_or_else(PoisonError::into_inner).push(Hook { r#type: E::TYPE, queue });
    }

    fn is_empty(&self) -> bool {
        self.hooks.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Hands over events that are committed.
    pub(crate) fn publish(&self, events: Vec<Event>) {
        let hooks = self.hooks.read().unwrap_or_else(PoisonError::into_inner);
        for event in events.into_iter().map(Arc::new) {
            for hook in hooks.iter().filter(|hook| hook.r#type == event.r#type) {
                if let Err(error) = hook.queue.try_send(Arc::clone(&event)) {
                    tracing::error!(event = %event.id, %error, "a hook is too slow: it misses an event");
                }
            }
        }
    }

    /// Hands over events of a transaction that is not ours, once it has committed.
    pub(crate) fn publish_when_committed(&self, db: Db, events: Vec<Event>) {
        let Some(first) = events.first().map(|event| event.id) else { return };
        if self.is_empty() {
            return;
        }
        let hooks = self.clone();
        self.runtime.spawn(async move {
            let mut pause = Duration::from_millis(10);
            let mut waited = Duration::ZERO;
            while waited < WATCH_TIMEOUT {
                tokio::time::sleep(pause).await;
                waited += pause;
                pause = (pause * 2).min(Duration::from_secs(1));
                let Ok(mut conn) = db.read().await else { continue };
                if matches!(store::events::exists(&mut conn.conn(), first).await, Ok(true)) {
                    hooks.publish(events);
                    return;
                }
            }
        });
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
