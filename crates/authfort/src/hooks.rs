//! Hooks: the application's reactions to events, after the commit and separate from the request.
//!
//! Each hook has its own task that [follows the log](crate::tail) and runs it for one event after the other, so each sees
//! the events of a user in the order of their commits, and waiting events are in the log instead of memory. A hook that is
//! slow, panics or hangs affects neither the request nor another hook, and may call back into the library. Hooks live in this
//! process and run for what it commits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::EventId;
use crate::model::events::{Event, TypedEvent};
use crate::store::events::Selection;
use crate::tail::{PAUSE, Tail, is_closed};

/// For how long, and how many, events are kept for hooks that are late.
const TTL: Duration = Duration::from_mins(10);
const KEPT: usize = 10_000;
/// How long a service that is closed waits for its hooks.
const PATIENCE: Duration = Duration::from_secs(5);

/// A registered hook. Dropping this handle changes nothing: a hook lives as long as the service.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// use authfort::events::UserCreated;
/// let hook = auth.on(|e: UserCreated| async move { println!("welcome, {}", e.email) });
/// hook.unsubscribe();
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct HookHandle(AbortHandle);

impl HookHandle {
    /// Removes the hook. A call that runs goes on, and none follows.
    pub fn unsubscribe(self) {
        self.0.abort();
    }
}

/// Events as they were committed, and since when.
type Recent = BTreeMap<EventId, (Instant, Event)>;

pub(crate) struct Hooks {
    tail: Arc<Tail>,
    /// What was committed lately. The log does not have their tokens, and the application may erase their data there.
    recent: Arc<Mutex<Recent>>,
    registered: Mutex<Registered>,
    /// Hooks may be registered from outside the runtime.
    runtime: Handle,
}

#[derive(Default)]
struct Registered {
    types: BTreeSet<&'static str>,
    /// Up to where each hook has seen the log.
    done: Vec<watch::Receiver<i64>>,
    tasks: JoinSet<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hooks {
    pub(crate) fn new(tail: Arc<Tail>, runtime: Handle) -> Self {
        Self { tail, recent: Arc::default(), registered: Mutex::default(), runtime }
    }

    /// Registers a hook for what this process writes after an event, and starts its task, which ends when the last handle of
    /// the service is dropped.
    pub(crate) fn on<E, F, Fut>(&self, begin: EventId, hook: F) -> HookHandle
    where
        E: TypedEvent,
        F: Fn(E) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (tail, recent, hook) = (Arc::clone(&self.tail), Arc::clone(&self.recent), Arc::new(hook));
        let selection = Selection { node: Some(tail.node()), types: vec![E::TYPE.to_owned()], ..Selection::default() };
        let mut follower = tail.follow(None, selection);
        let (seen, done) = watch::channel(follower.position());
        let task = async move {
            loop {
                let events = match follower.next(&tail).await {
                    Ok(events) => events,
                    Err(error) if is_closed(&error) => return,
                    Err(error) => {
                        tracing::warn!(?error, r#type = E::TYPE, "the log of events cannot be read; a hook runs later");
                        sleep(PAUSE).await;
                        continue;
                    }
                };
                for logged in events.into_iter().filter(|event| event.id > begin) {
                    let kept = lock(&recent).get(&logged.id).map(|(_, event)| event.clone());
                    let Some(typed) = kept.or(logged.event).as_ref().and_then(E::from_event) else {
                        tracing::error!(event = %logged.id, r#type = E::TYPE, "an event was erased before its hook ran");
                        continue;
                    };
                    let hook = Arc::clone(&hook);
                    // A separate task catches panics both in the call and in the future that it returns.
                    if let Err(error) = tokio::spawn(async move { hook(typed).await }).await {
                        tracing::error!(event = %logged.id, r#type = E::TYPE, %error, "a hook panicked");
                    }
                }
                seen.send_replace(follower.position());
            }
        };
        let mut registered = lock(&self.registered);
        if registered.types.is_empty() {
            registered.tasks.spawn_on(forget_old(Arc::clone(&self.recent)), &self.runtime);
        }
        registered.types.insert(E::TYPE);
        registered.done.retain(|done| done.has_changed().is_ok());
        registered.done.push(done);
        while registered.tasks.try_join_next().is_some() {}
        HookHandle(registered.tasks.spawn_on(task, &self.runtime))
    }

    /// Keeps events that are going to be committed, if there are hooks for them.
    pub(crate) fn keep(&self, events: Vec<Event>) {
        let registered = lock(&self.registered);
        let wanted: Vec<Event> =
            events.into_iter().filter(|event| registered.types.contains(event.r#type.as_str())).collect();
        drop(registered);
        if wanted.is_empty() {
            return;
        }
        let mut recent = lock(&self.recent);
        recent.extend(wanted.into_iter().map(|event| (event.id, (Instant::now(), event))));
        while recent.len() > KEPT {
            recent.pop_first();
        }
    }

    /// Waits a while for the hooks to see what was committed until now.
    pub(crate) async fn finish(&self) {
        let done = lock(&self.registered).done.clone();
        if done.is_empty() {
            return;
        }
        let all = async {
            let Ok(end) = self.tail.end().await else { return };
            for mut hook in done {
                // An error if the hook was removed.
                let _ = hook.wait_for(|position| *position >= end).await;
            }
        };
        if timeout(PATIENCE, all).await.is_err() {
            tracing::warn!("closed before all hooks had run");
        }
    }
}

async fn forget_old(recent: Arc<Mutex<Recent>>) {
    loop {
        sleep(TTL / 10).await;
        lock(&recent).retain(|_, (since, _)| since.elapsed() < TTL);
    }
}
