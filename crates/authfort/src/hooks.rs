//! Hooks: the application's reactions to events, after the commit and separate from the request.
//!
//! Each hook has its own task that [follows the log](crate::tail) and runs it for one event after the other, so each sees
//! the events of a user in the order of their commits, and waiting events are in the log instead of memory. A hook that is
//! slow, panics or hangs affects neither the request nor another hook, and may call back into the library. Hooks live in this
//! process and run for what it commits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinSet};

use crate::EventId;
use crate::model::events::{Event, EventToken, TypedEvent};
use crate::tail::Tail;

/// For how long a token waits for a hook, and how many do.
const TOKEN_TTL: TimeDelta = TimeDelta::minutes(10);
const TOKENS: usize = 10_000;

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

/// The tokens of events, and since when they wait.
type Tokens = BTreeMap<EventId, (DateTime<Utc>, EventToken)>;

pub(crate) struct Hooks {
    tail: Arc<Tail>,
    /// The tokens of events, which the log does not have.
    tokens: Arc<Mutex<Tokens>>,
    tasks: Mutex<JoinSet<()>>,
    /// Hooks may be registered from outside the runtime.
    runtime: Handle,
}

impl Hooks {
    pub(crate) fn new(tail: Arc<Tail>, runtime: Handle) -> Self {
        Self { tail, tokens: Arc::default(), tasks: Mutex::default(), runtime }
    }

    /// Registers a hook for what this process writes after an event, and starts its task, which ends when the last handle of
    /// the service is dropped.
    pub(crate) fn on<E, F, Fut>(&self, begin: EventId, hook: F) -> HookHandle
    where
        E: TypedEvent,
        F: Fn(E) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (tail, tokens, hook) = (Arc::clone(&self.tail), Arc::clone(&self.tokens), Arc::new(hook));
        let mut follower = tail.follow(begin);
        let task = async move {
            while let Some(events) = follower.next(&tail, E::TYPE).await {
                for mut event in events {
                    let token = tokens.lock().unwrap_or_else(PoisonError::into_inner).get(&event.id).cloned();
                    event.token = token.map(|(_, token)| token);
                    let Some(typed) = E::from_event(&event) else { continue };
                    let hook = Arc::clone(&hook);
                    // A separate task catches panics both in the call and in the future that it returns.
                    if let Err(error) = tokio::spawn(async move { hook(typed).await }).await {
                        tracing::error!(event = %event.id, r#type = event.r#type, %error, "a hook panicked");
                    }
                }
            }
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        HookHandle(tasks.spawn_on(task, &self.runtime))
    }

    /// Keeps the tokens of events that are going to be committed.
    pub(crate) fn keep_tokens(&self, events: &[Event], now: DateTime<Utc>) {
        if events.iter().all(|event| event.token.is_none()) {
            return;
        }
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, (at, _)| now - *at < TOKEN_TTL);
        for event in events {
            if let Some(token) = &event.token {
                tokens.insert(event.id, (now, token.clone()));
            }
        }
        while tokens.len() > TOKENS {
            tokens.pop_first();
        }
    }
}
