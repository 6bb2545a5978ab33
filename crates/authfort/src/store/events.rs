//! `authfort_events`.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::db::dynamic::{Statement, run};
use crate::db::{Conn, Db, ReadQuery, classify, row, sql};
use crate::id::first_v7;
use crate::model::actor::Actor;
use crate::model::events::{Event, EventQuery};
use crate::model::filter::SortOrder;
use crate::{Error, EventId, Result, UserId};

/// By how much a clock may be set back, and yet the events of a time are found.
const SET_BACK: TimeDelta = TimeDelta::days(1);

/// Appends all events of a change by one statement. The node is the process that makes the change.
pub(crate) async fn append(conn: &mut Conn<'_>, events: &[Event], actor: &Actor, node: Uuid) -> Result<()> {
    let mut statement = Statement::new(
        "INSERT INTO authfort_events \
         (id, type, timestamp, user_id, actor_id, session_id, request_id, ip_address, data, node) VALUES ",
    );
    for (index, event) in events.iter().enumerate() {
        statement.push(if index == 0 { "(" } else { ", (" }).bind(event.id.0);
        statement.push(", ").bind(event.r#type.as_str());
        statement.push(", ").bind(event.timestamp);
        statement.push(", ").bind(event.user_id.map(|id| id.0));
        statement.push(", ").bind(event.actor_id.map(|id| id.0));
        statement.push(", ").bind(actor.session_id.map(|id| id.0));
        statement.push(", ").bind(event.request_id.clone());
        statement.push(", ").bind(actor.ip_address.clone());
        statement.push(", ").bind(serde_json::to_string(&event.data).map_err(Error::internal)?);
        statement.push(", ").bind(node).push(")");
    }
    run!(conn, execute, statement).map_err(classify)?;
    Ok(())
}

/// Deletes events that are older than a time and that all subscriptions are done with, the oldest first: at most so many. Returns
/// how many.
pub(crate) async fn purge(conn: &mut Conn<'_>, before: DateTime<Utc>, most: i64) -> Result<u64> {
    // What comes long after the first event that a subscription has not reached is not even looked at: it may be very much.
    let text = "SELECT timestamp FROM authfort_events
                WHERE position > (SELECT min(position) FROM authfort_subscription_lanes) ORDER BY position LIMIT 1";
    let unreached = sql!(conn, fetch_optional, query_scalar::<_, DateTime<Utc>>, text).map_err(classify)?;
    let before = unreached.map_or(before, |time| before.min(time + SET_BACK));
    let mut statement =
        Statement::new("DELETE FROM authfort_events WHERE id IN (SELECT e.id FROM authfort_events e WHERE e.id < ");
    statement.hide(first_v7(before)).push(
        // A cross join, because SQLite takes its tables in this order.
        " AND e.position <= coalesce((SELECT min(position) FROM authfort_subscription_lanes), 9223372036854775807) \
         AND NOT EXISTS (SELECT 1 FROM authfort_subscriptions CROSS JOIN authfort_deliveries d \
         WHERE d.subscription = authfort_subscriptions.name AND d.position = e.position) ORDER BY e.id LIMIT ",
    );
    statement.number(most).push(")");
    run!(conn, execute, statement).map_err(classify)
}

/// Reads the last position that an event has had, and whether committed events wait for one.
pub(crate) struct End;

impl ReadQuery for End {
    type Answer = (i64, bool);

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let mut statement =
            Statement::new("SELECT coalesce((SELECT last FROM authfort_event_positions WHERE one = TRUE), 0), ");
        statement.push(conn.has_unplaced_events());
        run!(conn, fetch_one, sqlx::query_as::<_, (i64, bool)>, statement).map_err(classify)
    }
}

/// Gives positions to committed events that wait for one, as they do on PostgreSQL: at most so many. Returns how many.
pub(crate) async fn place(db: &Db, most: i64) -> Result<i64> {
    let mut tx = db.begin().await?;
    let placed = sql!(&mut tx.conn(), fetch_one, query_scalar::<_, i64>, "SELECT authfort_place_events($1)", most)
        .map_err(classify)?;
    tx.commit().await?;
    Ok(placed)
}

row! {
    struct EventRow {
        position: Option<i64>,
        id: EventId,
        kind: String,
        timestamp: DateTime<Utc>,
        user_id: Option<UserId>,
        actor_id: Option<UserId>,
        request_id: Option<String>,
        data: String,
    }
}

impl EventRow {
    fn event(self) -> Result<Event> {
        Ok(Event {
            id: self.id,
            r#type: self.kind,
            timestamp: self.timestamp,
            user_id: self.user_id,
            actor_id: self.actor_id,
            request_id: self.request_id,
            data: serde_json::from_str(&self.data).map_err(Error::internal)?,
            token: None,
        })
    }

    fn logged(self) -> Logged {
        let (position, id, user_id) = (self.position.unwrap_or_default(), self.id, self.user_id);
        Logged { position, id, user_id, event: self.event().ok() }
    }
}

macro_rules! select {
    () => {
        "SELECT position, id, type AS kind, timestamp, user_id, actor_id, request_id, data FROM authfort_events"
    };
}

/// Reads a page of the log.
pub(crate) struct List(pub EventQuery);

impl ReadQuery for List {
    type Answer = Vec<Event>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<Event>> {
        let query = &self.0;
        let mut statement = Statement::new(concat!(select!(), " WHERE TRUE"));
        if let Some(id) = query.user_id {
            statement.push(" AND user_id = ").hide(id);
        }
        match query.types.as_slice() {
            [] => {}
            // With a list, SQLite may walk the whole log for a rare type.
            [only] => drop(statement.push(" AND type = ").hide(only.as_str())),
            [first, others @ ..] => {
                statement.push(" AND type IN (").hide(first.as_str());
                for name in others {
                    statement.push(", ").hide(name.as_str());
                }
                statement.push(")");
            }
        }
        if let Some(id) = query.after {
            statement.push(" AND id > ").hide(id.0);
        }
        if let Some(id) = query.before {
            statement.push(" AND id < ").hide(id.0);
        }
        // Ids begin with their time, so the index of ids also serves a range of times. Where a clock was set back, they are
        // later: each id of a process is greater than the one before.
        if let Some(time) = query.since {
            statement.push(" AND id >= ").hide(first_v7(time)).push(" AND timestamp >= ").hide(time);
        }
        if let Some(time) = query.until {
            let latest = time.checked_add_signed(SET_BACK).unwrap_or(time);
            statement.push(" AND id < ").hide(first_v7(latest)).push(" AND timestamp < ").hide(time);
        }
        statement.push(match query.order {
            SortOrder::Asc => " ORDER BY id LIMIT ",
            SortOrder::Desc => " ORDER BY id DESC LIMIT ",
        });
        statement.number(query.limit);
        let rows = run!(conn, fetch_all, sqlx::query_as::<_, EventRow>, statement).map_err(classify)?;
        rows.into_iter().map(EventRow::event).collect()
    }
}

/// An event in the log.
pub(crate) struct Logged {
    pub position: i64,
    pub id: EventId,
    pub user_id: Option<UserId>,
    /// None if its data is no JSON.
    pub event: Option<Event>,
}

/// Reads the position of an event: none if there is no such event, or if it has none yet.
pub(crate) struct PositionOf(pub EventId);

impl ReadQuery for PositionOf {
    type Answer = Option<Option<i64>>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let text = "SELECT position FROM authfort_events WHERE id = $1";
        sql!(conn, fetch_optional, query_scalar::<_, Option<i64>>, text, self.0.0).map_err(classify)
    }
}

/// Reads which event is the last one until a position.
pub(crate) struct LastUntil(pub i64);

impl ReadQuery for LastUntil {
    type Answer = Option<EventId>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let text = "SELECT id FROM authfort_events WHERE position <= $1 ORDER BY position DESC LIMIT 1";
        sql!(conn, fetch_optional, query_scalar::<_, EventId>, text, self.0).map_err(classify)
    }
}

/// Reads the events at some positions, in their order; what was deleted from the log is missing.
pub(crate) struct At(pub Vec<i64>);

impl ReadQuery for At {
    type Answer = Vec<Logged>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let Some((first, others)) = self.0.split_first() else { return Ok(Vec::new()) };
        let mut statement = Statement::new(concat!(select!(), " WHERE position IN ("));
        statement.bind(*first);
        for position in others {
            statement.push(", ").bind(*position);
        }
        statement.push(") ORDER BY position");
        let rows = run!(conn, fetch_all, sqlx::query_as::<_, EventRow>, statement).map_err(classify)?;
        Ok(rows.into_iter().map(EventRow::logged).collect())
    }
}

/// Which events somebody follows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// Only what this process wrote.
    pub node: Option<Uuid>,
    /// Only these types; all if there is none.
    pub types: Vec<String>,
    pub user_id: Option<UserId>,
    /// Only those of the users in this lane of a subscription.
    pub lane: Option<i64>,
}

/// Reads events in the order of commits: after a position, and up to another one.
pub(crate) struct Committed<'a> {
    pub after: i64,
    pub up_to: i64,
    pub selection: &'a Selection,
    pub limit: usize,
}

impl ReadQuery for Committed<'_> {
    type Answer = Vec<Logged>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let mut statement = Statement::new(concat!(select!(), " WHERE position > "));
        statement.hide(self.after).push(" AND position <= ").hide(self.up_to);
        // The order of positions is the one to read in, so no other index may seem to serve these conditions.
        if let [first, others @ ..] = self.selection.types.as_slice() {
            statement.push(" AND coalesce(type, '') IN (").hide(first.as_str());
            for name in others {
                statement.push(", ").hide(name.as_str());
            }
            statement.push(")");
        }
        if let Some(id) = self.selection.user_id {
            statement.push(" AND CASE WHEN user_id = ").hide(id).push(" THEN 1 ELSE 0 END = 1");
        }
        if let Some(lane) = self.selection.lane {
            statement.push(" AND ").push(conn.lane_of_event()).push(" = ").hide(lane);
        }
        if let Some(node) = self.selection.node {
            statement.push(" AND node = ").hide(node);
        }
        statement.push(" ORDER BY position LIMIT ").number(i64::try_from(self.limit).unwrap_or(i64::MAX));
        let rows = run!(conn, fetch_all, sqlx::query_as::<_, EventRow>, statement).map_err(classify)?;
        Ok(rows.into_iter().map(EventRow::logged).collect())
    }
}
