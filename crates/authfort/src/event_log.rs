//! Reading the event log.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::time::sleep;

use crate::clock::delta;
use crate::core::{Core, WeakCore};
use crate::events::EventsPurged;
use crate::model::events::{Event, EventQuery, check_types};
use crate::model::filter::{SortOrder, bound};
use crate::store;
use crate::tail::is_closed;
use crate::work::{Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, EventId, Result, UserId};

impl AuthFort {
    /// Lists events of the log. See [`ListEvents`].
    pub fn list_events(&self) -> ListEvents {
        ListEvents::new(self.core().clone())
    }

    /// Deletes the events of the log that are older than a time, and returns how many. Those that a
    /// [subscription](Self::subscribe) has not delivered yet, or has as dead letters, stay. Event: `events_purged`, unless there
    /// was nothing to delete.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let year = chrono::TimeDelta::days(365);
    /// let deleted = auth.purge_events(auth.now() - year).await?;
    /// assert_eq!(deleted, 0);
    /// # Ok(()) }
    /// ```
    ///
    /// It works on 1,000 events at a time, each in a transaction of its own: what was deleted before an error stays deleted. A
    /// [stream](Self::follow_events) cannot begin after an event that was deleted, and streams and [hooks](Self::on) miss what is
    /// deleted before they have reached it: they are seconds behind at most, unless a handler is slow. See
    /// [`Builder::event_retention`](crate::Builder::event_retention) to do it by itself.
    ///
    /// # Errors
    /// - [`Error::Validation`] if the time is in the future.
    pub async fn purge_events(&self, before: DateTime<Utc>) -> Result<u64> {
        let core = self.core();
        if before > core.now() {
            return Err(Error::invalid("before", "in_future", "must not be in the future"));
        }
        purge(|| Some(core.clone()), before).await
    }
}

/// How many events are deleted in one transaction.
const PURGED: i64 = 1_000;
/// How often old events are deleted.
const PERIOD: Duration = Duration::from_hours(1);

/// Deletes old events, part by part, until none is left or the service ends.
async fn purge(core: impl Fn() -> Option<Core>, before: DateTime<Utc>) -> Result<u64> {
    let mut total = 0;
    loop {
        let Some(core) = core() else { return Ok(total) };
        if total == 0 {
            // On PostgreSQL, events get their positions when somebody reads the log.
            core.tail().end().await?;
        }
        let deleted = Write::new(&core, Purge { before, is_first: total == 0 }).await?;
        total += deleted;
        if deleted < PURGED.unsigned_abs() {
            return Ok(total);
        }
    }
}

/// Deletes events that are older than the retention, every hour, until the service ends.
pub(crate) async fn keep_for(weak: WeakCore, retention: Duration) {
    loop {
        let Some(now) = weak.upgrade().map(|core| core.now()) else { return };
        match purge(|| weak.upgrade(), now - delta(retention)).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!(deleted, "deleted old events from the log"),
            Err(error) if is_closed(&error) => return,
            Err(error) => tracing::warn!(?error, "old events cannot be deleted from the log"),
        }
        sleep(PERIOD).await;
    }
}

struct Purge {
    before: DateTime<Utc>,
    /// Whether the log is to say so.
    is_first: bool,
}

impl Operation for Purge {
    type Output = u64;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<u64>> {
        let deleted = store::events::purge(&mut work.conn, self.before, PURGED).await?;
        if deleted > 0 && self.is_first {
            work.append(EventsPurged::draft(None, self.before));
        }
        Ok(Verdict::Commit(deleted))
    }

    fn changes_users(&self) -> bool {
        false
    }
}

/// A page of the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct EventPage {
    /// The entries.
    pub events: Vec<Event>,
    /// The cursor of the next page: pass it as `before` (newest first) or `after` (oldest first). None on the last
    /// page.
    pub next_cursor: Option<EventId>,
}

/// Reads the log, newest first unless set; created by [`AuthFort::list_events`](crate::AuthFort::list_events).
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct ListEvents {
    core: Core,
    pub(crate) query: EventQuery,
}

impl ListEvents {
    pub(crate) fn new(core: Core) -> Self {
        let query = EventQuery {
            user_id: None,
            types: Vec::new(),
            after: None,
            before: None,
            since: None,
            until: None,
            order: SortOrder::Desc,
            limit: 50,
        };
        Self { core, query }
    }

    /// Returns only events about this user.
    pub fn user_id(mut self, id: UserId) -> Self {
        self.query.user_id = Some(id);
        self
    }

    /// Returns only events of this type. Each further call adds a type.
    pub fn r#type(mut self, name: impl Into<String>) -> Self {
        self.query.types.push(name.into());
        self
    }

    /// Returns only events after this one.
    pub fn after(mut self, id: EventId) -> Self {
        self.query.after = Some(id);
        self
    }

    /// Returns only events before this one.
    pub fn before(mut self, id: EventId) -> Self {
        self.query.before = Some(id);
        self
    }

    /// Returns only events at this time or later.
    pub fn since(mut self, time: DateTime<Utc>) -> Self {
        self.query.since = Some(time);
        self
    }

    /// Returns only events before this time. After a node's clock was set back by more than a day, those that this node
    /// writes until the clock has caught up are not found.
    pub fn until(mut self, time: DateTime<Utc>) -> Self {
        self.query.until = Some(time);
        self
    }

    /// Sorts newest first (`Desc`, the default) or oldest first.
    pub fn order(mut self, order: SortOrder) -> Self {
        self.query.order = order;
        self
    }

    /// Sets the page size, 1 to 200; 50 unless set.
    pub fn limit(mut self, limit: u32) -> Self {
        self.query.limit = i64::from(limit);
        self
    }
}

impl IntoFuture for ListEvents {
    type Output = Result<EventPage>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut query = self.query;
            if !(1..=200).contains(&query.limit) {
                return Err(Error::invalid("limit", "out_of_range", "must be between 1 and 200"));
            }
            check_types("type", &mut query.types)?;
            for (field, time) in [("since", &mut query.since), ("until", &mut query.until)] {
                if let Some(time) = time {
                    *time = bound(field, *time).map_err(|fault| Error::Validation(vec![fault]))?;
                }
            }
            let limit = query.limit;
            // One more than requested tells whether another page follows.
            query.limit += 1;
            let mut events = self.core.db().on_lists(&store::events::List(query)).await?;
            let size = usize::try_from(limit).unwrap_or(usize::MAX);
            let more = events.len() > size;
            events.truncate(size);
            let next_cursor = if more { events.last().map(|event| event.id) } else { None };
            Ok(EventPage { events, next_cursor })
        })
    }
}
