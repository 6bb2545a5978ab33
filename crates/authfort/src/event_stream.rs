//! Following the event log.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch::Receiver;

use crate::core::Core;
use crate::model::events::{Event, check_types};
use crate::store::events::Selection;
use crate::tail::{Follower, is_closed};
use crate::{AuthFort, Error, EventId, Result, UserId};

impl AuthFort {
    /// Follows the log: returns every event once, in the order of commits, whichever process wrote it, as it is committed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let mut stream = auth.follow_events().r#type("user_created").r#type("user_deleted").await?;
    /// let id = auth.create_user("jane@example.com").await?.id;
    /// let created = stream.next().await?.expect("until the service is closed");
    /// assert_eq!((created.r#type.as_str(), created.user_id), ("user_created", Some(id)));
    ///
    /// // Goes on after it, here or in another process.
    /// auth.delete_user(id).await?;
    /// let mut again = auth.follow_events().after(created.id).await?;
    /// assert_eq!(again.next().await?.unwrap().r#type, "user_deleted");
    /// # Ok(()) }
    /// ```
    pub fn follow_events(&self) -> FollowEvents {
        FollowEvents { core: self.core().clone(), selection: Selection::default(), after: None }
    }

    /// Ends all [streams of events](EventStream) that are open in this process. Call it when a server is told to stop: it
    /// then need not wait for the responses that follow the log. [`close`](Self::close) does so too.
    pub fn end_streams(&self) {
        self.core().tail().end_streams();
    }
}

/// Selects what to follow; created by [`AuthFort::follow_events`].
///
/// Without [`after`](Self::after) the stream begins now: it returns what is committed after the call was awaited.
///
/// # Errors
/// - [`Error::Validation`] if a type is unknown, or if the log has no event with the id `after`.
/// - [`Error::Overloaded`] if this process has 256 open streams, or if another transaction keeps the event `after` locked.
/// - [`Error::DatabaseUnavailable`].
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct FollowEvents {
    core: Core,
    selection: Selection,
    after: Option<EventId>,
}

impl FollowEvents {
    /// Returns only events about this user.
    pub fn user_id(mut self, id: UserId) -> Self {
        self.selection.user_id = Some(id);
        self
    }

    /// Returns only events of this type. Each further call adds a type.
    pub fn r#type(mut self, name: impl Into<String>) -> Self {
        self.selection.types.push(name.into());
        self
    }

    /// Begins with what was committed after this event, which the log must have. It need not be of the selected types, nor
    /// of the selected user.
    pub fn after(mut self, id: EventId) -> Self {
        self.after = Some(id);
        self
    }
}

impl IntoFuture for FollowEvents {
    type Output = Result<EventStream>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { core, mut selection, after } = self;
            check_types("type", &mut selection.types)?;
            let tail = core.tail();
            let (permit, ended) = tail.open_stream()?;
            let (position, last_id) = match after {
                None => {
                    let position = tail.end().await?;
                    (position, tail.last_until(position).await?)
                }
                Some(id) => {
                    let position = tail.position_of(id).await?.ok_or_else(|| {
                        let message = "must be the id of an event in the log; without it the stream begins now";
                        Error::invalid("after", "not_found", message)
                    })?;
                    (position, after)
                }
            };
            let follower = tail.follow(Some(position), selection);
            Ok(EventStream { core, follower, ready: VecDeque::new(), last_id, ended, _permit: permit })
        })
    }
}

/// The events of the log as they are committed; created by [`AuthFort::follow_events`].
///
/// The stream reads ahead at most 100 events, and reads nothing while nobody asks for the next one. It counts as open until it
/// is dropped.
pub struct EventStream {
    core: Core,
    follower: Follower,
    ready: VecDeque<Event>,
    last_id: Option<EventId>,
    ended: Receiver<()>,
    _permit: OwnedSemaphorePermit,
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("position", &self.follower.position()).finish_non_exhaustive()
    }
}

impl EventStream {
    /// Returns the event after which this stream goes on: the one that was returned last; before the first one, where the stream
    /// began. A stream that is opened [`after`](FollowEvents::after) it misses nothing. None if the log was empty.
    pub fn last_id(&self) -> Option<EventId> {
        self.last_id
    }

    /// Waits for the next event. None once the service was closed, or after [`AuthFort::end_streams`].
    ///
    /// An event whose data is no JSON object any more, because somebody changed it by SQL, is left out, which is logged as an
    /// error. If the future is dropped, nothing is lost.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`]: the next call goes on at the same place.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        if self.ended.has_changed().unwrap_or(true) {
            return Ok(None);
        }
        // A copy, so that a call after the end sees it too.
        let mut ended = self.ended.clone();
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.last_id = Some(event.id);
                return Ok(Some(event));
            }
            let found = tokio::select! {
                _ = ended.changed() => return Ok(None),
                found = self.follower.next(self.core.tail()) => found,
            };
            match found {
                Ok(found) => self.ready.extend(found.into_iter().filter_map(|logged| {
                    if logged.event.is_none() {
                        tracing::error!(event = %logged.id, "the data of an event is no JSON object; it is left out");
                    }
                    logged.event
                })),
                Err(error) if is_closed(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}
