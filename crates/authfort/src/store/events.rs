//! `authfort_events`.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::dynamic::{Statement, run};
use crate::db::{Conn, ReadQuery, classify, row, sql};
use crate::id::first_v7;
use crate::model::actor::Actor;
use crate::model::events::{Event, EventQuery};
use crate::model::filter::SortOrder;
use crate::{Error, EventId, Result, UserId};

/// By how much a clock may be set back, and yet the events of a time are found.
const SET_BACK: TimeDelta = TimeDelta::days(1);

/// Appends all events of a change by one statement.
pub(crate) async fn append(conn: &mut Conn<'_>, events: &[Event], actor: &Actor) -> Result<()> {
    let mut statement = Statement::new(
        "INSERT INTO authfort_events (id, type, timestamp, user_id, actor_id, session_id, request_id, ip_address, data) \
         VALUES ",
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
        statement.push(")");
    }
    run!(conn, execute, statement).map_err(classify)?;
    Ok(())
}

pub(crate) async fn exists(conn: &mut Conn<'_>, id: EventId) -> Result<bool> {
    sql!(conn, fetch_one, query_scalar::<_, bool>, "SELECT EXISTS (SELECT 1 FROM authfort_events WHERE id = $1)", id)
        .map_err(classify)
}

row! {
    struct EventRow {
        id: EventId,
        kind: String,
        timestamp: DateTime<Utc>,
        user_id: Option<UserId>,
        actor_id: Option<UserId>,
        request_id: Option<String>,
        data: String,
    }
}

/// Reads a page of the log.
pub(crate) struct List(pub EventQuery);

impl ReadQuery for List {
    type Answer = Vec<Event>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<Event>> {
        let query = &self.0;
        let mut statement = Statement::new(
            "SELECT id, type AS kind, timestamp, user_id, actor_id, request_id, data FROM authfort_events WHERE TRUE",
        );
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
        rows.into_iter()
            .map(|row| {
                Ok(Event {
                    id: row.id,
                    r#type: row.kind,
                    timestamp: row.timestamp,
                    user_id: row.user_id,
                    actor_id: row.actor_id,
                    request_id: row.request_id,
                    data: serde_json::from_str(&row.data).map_err(Error::internal)?,
                    token: None,
                })
            })
            .collect()
    }
}
