//! Calling the handler.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::lane::BATCH_TIME;
use super::{Failure, Worker};
use crate::events::Event;
use crate::store::deliveries::Waiting;

/// What an error is cut to, in bytes: it is stored and shown.
const ERROR_LENGTH: usize = 1_000;

/// What is known of an event that is to be delivered.
pub(super) enum Found {
    Event(Event),
    /// Its data is no JSON object.
    Unreadable,
    /// It was deleted from the log.
    Deleted,
}

/// What became of the events of a user.
pub(super) struct Outcome {
    pub user: Uuid,
    pub done: Vec<i64>,
    /// The first that failed, and why.
    pub failed: Option<(Waiting, Failure)>,
    /// What comes after it, or was left because time was over.
    pub left: Vec<Waiting>,
}

/// Delivers the events of a user, in their order, until one fails or the time of a batch is over.
pub(super) async fn run(worker: Arc<Worker>, user: Uuid, events: Vec<(Waiting, Found)>) -> Outcome {
    let begin = Instant::now();
    let mut outcome = Outcome { user, done: Vec::new(), failed: None, left: Vec::new() };
    for (waiting, found) in events {
        let time_is_over = !outcome.done.is_empty() && begin.elapsed() > BATCH_TIME;
        if outcome.failed.is_some() || !outcome.left.is_empty() || time_is_over {
            outcome.left.push(waiting);
            continue;
        }
        // It is never closed.
        let _permit = worker.permits.acquire().await;
        if Instant::now() >= worker.certain_until() {
            // Another process may have the lane by now, which its owner here is about to learn.
            outcome.left.push(waiting);
            continue;
        }
        match deliver(&worker, &waiting, found).await {
            Ok(()) => outcome.done.push(waiting.position),
            Err(failure) => outcome.failed = Some((waiting, failure)),
        }
    }
    outcome
}

async fn deliver(worker: &Worker, waiting: &Waiting, found: Found) -> Result<(), Failure> {
    let event = match found {
        Found::Event(event) => event,
        Found::Unreadable => return Err(Failure::new("the data of this event is no JSON object")),
        Found::Deleted => {
            let name = &worker.settings.name;
            tracing::error!(
                subscription = name,
                position = waiting.position,
                "an event was deleted before it was delivered"
            );
            return Ok(());
        }
    };
    let handler = Arc::clone(&worker.handler);
    // A task of its own, in which a panic ends, and which ends with this one.
    let mut task = JoinSet::new();
    task.spawn(async move { handler(event).await });
    let limit = worker.settings.timeout;
    match timeout(limit, task.join_next()).await {
        Ok(Some(Ok(Ok(())))) => Ok(()),
        Ok(Some(Ok(Err(Failure::Failed { error, pause })))) => Err(Failure::Failed { error: shortened(&error), pause }),
        Ok(Some(Ok(Err(postponed)))) => Err(postponed),
        Ok(Some(Err(error))) => Err(Failure::new(shortened(&format!("the handler panicked: {error}")))),
        Ok(None) => Err(Failure::new("the handler has no result")),
        Err(_) => Err(Failure::new(format!("the handler took longer than {limit:?}"))),
    }
}

/// Without NUL, which PostgreSQL does not store.
fn shortened(error: &str) -> String {
    let mut error = error.replace('\0', "\u{fffd}");
    error.truncate(error.floor_char_boundary(ERROR_LENGTH));
    error
}
