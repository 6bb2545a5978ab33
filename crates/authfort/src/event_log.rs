//! Reading the event log.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::core::Core;
use crate::model::events::{Event, EventQuery, check_types};
use crate::model::filter::{SortOrder, bound};
use crate::store;
use crate::{AuthFort, Error, EventId, Result, UserId};

impl AuthFort {
    /// Lists events of the log. See [`ListEvents`].
    pub fn list_events(&self) -> ListEvents {
        ListEvents::new(self.core().clone())
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
