//! Reading the log.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use serde::Serialize;

use crate::core::Core;
use crate::model::events::{EVENT_TYPES, Event, EventQuery};
use crate::model::filter::SortOrder;
use crate::store;
use crate::{AuthFort, Error, EventId, Result, UserId};

impl AuthFort {
    /// Reads the log. See [`ListEvents`].
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
    /// Where the next page begins: give it as `before` (newest first) or `after` (oldest first). None on the last page.
    pub next_cursor: Option<EventId>,
}

/// Reads the log, newest first unless told otherwise; made by [`AuthFort::list_events`](crate::AuthFort::list_events).
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
            order: SortOrder::Desc,
            limit: 50,
        };
        Self { core, query }
    }

    /// Only events about this user.
    pub fn user_id(mut self, id: UserId) -> Self {
        self.query.user_id = Some(id);
        self
    }

    /// Only events of this type; called again, of this type too.
    pub fn r#type(mut self, name: impl Into<String>) -> Self {
        self.query.types.push(name.into());
        self
    }

    /// Only events after this one.
    pub fn after(mut self, id: EventId) -> Self {
        self.query.after = Some(id);
        self
    }

    /// Only events before this one.
    pub fn before(mut self, id: EventId) -> Self {
        self.query.before = Some(id);
        self
    }

    /// Newest first (`Desc`, the default) or oldest first.
    pub fn order(mut self, order: SortOrder) -> Self {
        self.query.order = order;
        self
    }

    /// How many, 1 to 200; 50 unless set.
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
            if !query.types.iter().all(|name| EVENT_TYPES.contains(&name.as_str())) {
                let message = format!("must be one of {}", EVENT_TYPES.join(", "));
                return Err(Error::invalid("type", "not_allowed", message));
            }
            // However often a type is named, the statement stays small.
            query.types.sort_unstable();
            query.types.dedup();
            let limit = query.limit;
            // One more than asked for tells whether another page follows.
            query.limit += 1;
            let mut conn = self.core.db().read().await?;
            let mut events = store::events::list(&mut conn.conn(), query).await?;
            drop(conn);
            let size = usize::try_from(limit).unwrap_or(usize::MAX);
            let more = events.len() > size;
            events.truncate(size);
            let next_cursor = if more { events.last().map(|event| event.id) } else { None };
            Ok(EventPage { events, next_cursor })
        })
    }
}
