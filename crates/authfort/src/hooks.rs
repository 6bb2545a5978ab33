//! Hooks: the application's reactions to events, after the commit and separate from the request.
//!
//! Each hook has its own task and a bounded queue: a hook that is slow, panics or hangs affects neither the request nor
//! another hook. A hook may call back into the library. Hooks live in this process: for work that must survive a crash,
//! use a consumer that reads the log.
//!
//! Each hook sees the events of a user in the order of their commits. A call that joined the application's transaction
//! cannot see the commit: a task polls the database until the transaction is over, then checks whether the log has the
//! events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::db::{Db, OpenTransaction};
use crate::model::events::{Event, TypedEvent};
use crate::store;

/// How many events may wait for one hook, so that memory stays bounded. A hook that falls further behind misses events,
/// which is logged as an error; the event log has all of them.
const BACKLOG: usize = 10_000;

/// How long an open transaction of the application is polled.
const WATCH_TIMEOUT: Duration = Duration::from_mins(10);

struct Hook {
    r#type: &'static str,
    queue: mpsc::Sender<Arc<Event>>,
}

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
pub struct HookHandle {
    registered: Weak<RwLock<Vec<Hook>>>,
    queue: mpsc::WeakSender<Arc<Event>>,
}

impl HookHandle {
    /// Removes the hook. It still runs for events that are already queued, and not for later ones.
    pub fn unsubscribe(self) {
        if let (Some(hooks), Some(queue)) = (self.registered.upgrade(), self.queue.upgrade()) {
            let mut hooks = hooks.write().unwrap_or_else(PoisonError::into_inner);
            hooks.retain(|hook| !hook.queue.same_channel(&queue));
        }
    }
}

#[derive(Clone)]
pub(crate) struct Hooks {
    registered: Arc<RwLock<Vec<Hook>>>,
    order: Arc<Mutex<CommitOrder>>,
    /// Hooks may be registered from outside the runtime.
    runtime: Handle,
}

/// The order of commits, as far as it matters. Two changes of one user wait for each other's locks until the commit, so
/// a change that takes its ticket while it holds its locks comes before the change that acquires them next.
#[derive(Default)]
struct CommitOrder {
    next: u64,
    first: u64,
    /// The events of finished tickets that wait for an earlier ticket.
    done: BTreeMap<u64, Vec<Event>>,
}

/// A place in the commit order. Call [`publish`](Ticket::publish) after the commit; without a commit, drop the ticket.
pub(crate) struct Ticket {
    hooks: Hooks,
    number: u64,
    events: Vec<Event>,
}

impl Ticket {
    /// Publishes committed events once all earlier tickets are done.
    pub(crate) fn publish(mut self, events: Vec<Event>) {
        self.events = events;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut order = self.hooks.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.done.insert(self.number, std::mem::take(&mut self.events));
        let mut first = order.first;
        while let Some(events) = order.done.remove(&first) {
            first += 1;
            self.hooks.publish(events);
        }
        order.first = first;
    }
}

impl Hooks {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { registered: Arc::default(), order: Arc::default(), runtime }
    }

    /// Takes a ticket. Call this with all locks held, before the commit.
    pub(crate) fn ticket(&self) -> Ticket {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let number = order.next;
        order.next += 1;
        Ticket { hooks: self.clone(), number, events: Vec::new() }
    }

    /// Registers a hook and starts its task, which ends when the last handle of the service is dropped.
    pub(crate) fn on<E, F, Fut>(&self, hook: F) -> HookHandle
    where
        E: TypedEvent,
        F: Fn(E) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (queue, mut events) = mpsc::channel::<Arc<Event>>(BACKLOG);
        let handle = HookHandle { registered: Arc::downgrade(&self.registered), queue: queue.downgrade() };
        let hook = Arc::new(hook);
        self.runtime.spawn(async move {
            while let Some(event) = events.recv().await {
                let Some(typed) = E::from_event(&event) else { continue };
                let hook = Arc::clone(&hook);
                // A separate task catches panics both in the call and in the future that it returns.
                if let Err(error) = tokio::spawn(async move { hook(typed).await }).await {
                    tracing::error!(event = %event.id, r#type = event.r#type, %error, "a hook panicked");
                }
            }
        });
        self.registered.write().unwrap_or_else(PoisonError::into_inner).push(Hook { r#type: E::TYPE, queue });
        handle
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.registered.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn publish(&self, events: Vec<Event>) {
        let hooks = self.registered.read().unwrap_or_else(PoisonError::into_inner);
        for event in events.into_iter().map(Arc::new) {
            for hook in hooks.iter().filter(|hook| hook.r#type == event.r#type) {
                if let Err(error) = hook.queue.try_send(Arc::clone(&event)) {
                    tracing::error!(event = %event.id, %error, "a hook is too slow: it misses an event");
                }
            }
        }
    }

    /// Publishes the events of the application's transaction once it has committed, and drops them if it was rolled
    /// back.
    pub(crate) fn publish_when_committed(&self, db: Db, transaction: OpenTransaction, events: Vec<Event>) {
        let Some(first) = events.first().map(|event| event.id) else { return };
        let hooks = self.clone();
        self.runtime.spawn(async move {
            let mut pause = Duration::from_millis(10);
            let mut waited = Duration::ZERO;
            while waited < WATCH_TIMEOUT {
                tokio::time::sleep(pause).await;
                waited += pause;
                pause = (pause * 2).min(Duration::from_secs(1));
                if !matches!(db.is_over(&transaction).await, Ok(true)) {
                    continue;
                }
                let Ok(mut conn) = db.read().await else { continue };
                match store::events::exists(&mut conn.conn(), first).await {
                    Ok(true) => return hooks.publish(events),
                    Ok(false) => return,
                    Err(_) => {}
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use authfort_testkit::{Engine, TestDatabase, both_engines};

    use super::*;
    use crate::events::UserCreated;
    use crate::{Algorithm, AuthFort};

    both_engines! {
        async fn a_rolled_back_transaction_leaves_nobody_behind_who_asks_for_its_commit(db: TestDatabase) {
            let auth = AuthFort::builder().algorithm(Algorithm::EdDsa).connect(db.url()).await.unwrap();
            auth.on(|_: UserCreated| async {});
            // The service holds the hooks, and so does each task that polls a transaction.
            let holders = || Arc::strong_count(&auth.core().hooks().registered);
            assert_eq!(holders(), 1);
            let call = auth.create_user("jane@example.com");
            match db.engine() {
                Engine::Sqlite => {
                    let pool = sqlx::SqlitePool::connect(db.url()).await.unwrap();
                    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
                    call.in_tx(&mut tx).await.unwrap();
                    assert_eq!(holders(), 2);
                    tx.rollback().await.unwrap();
                }
                Engine::Postgres => {
                    let pool = sqlx::PgPool::connect(db.url()).await.unwrap();
                    let mut tx = pool.begin().await.unwrap();
                    call.in_tx(&mut tx).await.unwrap();
                    assert_eq!(holders(), 2);
                    tx.rollback().await.unwrap();
                }
            }
            // The task sleeps for at most one second; without the rollback it would run for ten minutes.
            for _ in 0..6_000 {
                if holders() == 1 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(holders(), 1);
        }
    }
}
