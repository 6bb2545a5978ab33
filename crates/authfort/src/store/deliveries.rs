//! `authfort_deliveries`: events that a subscription passed without delivering them.
//!
//! A user's rows are in the order of the log. The first one is to be delivered at its time (`next_at`); the others have none and
//! wait. A dead one has none either: whether others wait behind it is for the subscription to say (`holds`).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::Result;
use crate::db::dynamic::{Statement, run};
use crate::db::{Conn, ReadQuery, classify, row, sql};

row! {
    /// An event that waits.
    #[derive(Debug, Clone)]
    pub(crate) struct Waiting {
        pub position: i64,
        pub user_id: Uuid,
        pub attempts: i64,
    }
}

/// What becomes of an event that was not delivered.
#[derive(Debug, Clone)]
pub(crate) enum Next {
    /// Delivered again after so many milliseconds.
    In(i64),
    /// After the user's earlier ones.
    Waits,
    /// Not delivered again.
    Dead,
}

#[derive(Debug, Clone)]
pub(crate) struct Undelivered {
    pub event: Waiting,
    pub next: Next,
    pub error: Option<String>,
}

/// How many rows a statement writes or names at most.
const SLICE: usize = 100;

fn push_list<T: Copy + Into<crate::db::dynamic::Arg>>(statement: &mut Statement, values: &[T]) {
    for (index, value) in values.iter().enumerate() {
        statement.push(if index == 0 { "" } else { ", " }).bind(*value);
    }
}

/// Writes events that were not delivered, over what was known of them.
pub(crate) async fn put(
    conn: &mut Conn<'_>,
    (name, lane): (&str, i64),
    rows: &[Undelivered],
    now: DateTime<Utc>,
) -> Result<()> {
    let milliseconds = conn.milliseconds();
    for slice in rows.chunks(SLICE) {
        let mut statement = Statement::new(
            "INSERT INTO authfort_deliveries \
             (subscription, position, lane, user_id, attempts, next_at, dead, error, failed_at) VALUES ",
        );
        for (index, row) in slice.iter().enumerate() {
            statement.push(if index == 0 { "(" } else { ", (" }).bind(name);
            statement.push(", ").bind(row.event.position).push(", ").bind(lane);
            statement.push(", ").bind(row.event.user_id).push(", ").bind(row.event.attempts);
            match row.next {
                Next::In(pause) => drop(statement.push(", ").push(milliseconds).push(" + ").bind(pause)),
                Next::Waits | Next::Dead => drop(statement.push(", NULL")),
            }
            statement.push(", ").bind(matches!(row.next, Next::Dead)).push(", ").bind(row.error.clone());
            statement.push(", ").bind(row.error.is_some().then_some(now)).push(")");
        }
        statement.push(
            " ON CONFLICT (subscription, position) DO UPDATE SET attempts = excluded.attempts, next_at = excluded.next_at, \
             dead = excluded.dead, error = excluded.error, failed_at = excluded.failed_at",
        );
        run!(conn, execute, statement).map_err(classify)?;
    }
    Ok(())
}

/// Deletes what was delivered in the end, or dropped.
pub(crate) async fn delete(conn: &mut Conn<'_>, name: &str, positions: &[i64]) -> Result<()> {
    for slice in positions.chunks(SLICE) {
        let mut statement = Statement::new("DELETE FROM authfort_deliveries WHERE subscription = ");
        statement.bind(name).push(" AND position IN (");
        push_list(&mut statement, slice);
        statement.push(")");
        run!(conn, execute, statement).map_err(classify)?;
    }
    Ok(())
}

/// Lets the first of a user's events go on that waits for no other one any more.
pub(crate) async fn promote(conn: &mut Conn<'_>, name: &str, user: Uuid, holds: bool) -> Result<()> {
    let now = conn.milliseconds();
    let mut statement = Statement::new("UPDATE authfort_deliveries SET next_at = ");
    statement.push(now).push(" WHERE subscription = ").bind(name).push(" AND user_id = ").bind(user);
    statement
        .push(" AND next_at IS NULL AND NOT dead AND position = (SELECT min(e.position) FROM authfort_deliveries e");
    statement.push(" WHERE e.subscription = ").bind(name).push(" AND e.user_id = ").bind(user);
    statement.push(if holds { ")" } else { " AND NOT e.dead)" });
    run!(conn, execute, statement).map_err(classify)?;
    Ok(())
}

/// The same for all users of a lane, as its new owner does: what it does about dead events may have changed.
pub(crate) async fn promote_all(conn: &mut Conn<'_>, (name, lane): (&str, i64), holds: bool) -> Result<()> {
    let now = conn.milliseconds();
    let mut statement = Statement::new("UPDATE authfort_deliveries SET next_at = ");
    statement.push(now).push(" WHERE subscription = ").bind(name).push(" AND lane = ").bind(lane);
    statement.push(" AND next_at IS NULL AND NOT dead AND NOT EXISTS (SELECT 1 FROM authfort_deliveries e");
    statement.push(" WHERE e.subscription = authfort_deliveries.subscription");
    statement.push(" AND e.user_id = authfort_deliveries.user_id AND e.position < authfort_deliveries.position");
    statement.push(if holds { ")" } else { " AND NOT e.dead)" });
    run!(conn, execute, statement).map_err(classify)?;
    Ok(())
}

/// Lets all of a user's events wait behind the first one that is not dead: it failed, and they are in order.
pub(crate) async fn wait_behind_first(conn: &mut Conn<'_>, name: &str, user: Uuid) -> Result<()> {
    let mut statement = Statement::new("UPDATE authfort_deliveries SET next_at = NULL WHERE subscription = ");
    statement.bind(name).push(" AND user_id = ").bind(user);
    statement.push(" AND next_at IS NOT NULL AND position > (SELECT min(e.position) FROM authfort_deliveries e");
    statement.push(" WHERE e.subscription = ").bind(name).push(" AND e.user_id = ").bind(user);
    statement.push(" AND NOT e.dead)");
    run!(conn, execute, statement).map_err(classify)?;
    Ok(())
}

/// Reads which of these users have events that later ones have to wait for.
pub(crate) struct Blocked<'a> {
    pub name: &'a str,
    pub users: &'a [Uuid],
    pub holds: bool,
}

impl ReadQuery for Blocked<'_> {
    type Answer = Vec<Uuid>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let mut statement = Statement::new("SELECT DISTINCT user_id FROM authfort_deliveries WHERE subscription = ");
        statement.bind(self.name).push(" AND user_id IN (");
        push_list(&mut statement, self.users);
        statement.push(if self.holds { ")" } else { ") AND NOT dead" });
        run!(conn, fetch_all, sqlx::query_scalar::<_, Uuid>, statement).map_err(classify)
    }
}

/// Reads whose events are to be delivered now: at most so many users.
pub(crate) struct Due<'a> {
    pub name: &'a str,
    pub lane: i64,
    pub limit: i64,
}

impl ReadQuery for Due<'_> {
    type Answer = Vec<Uuid>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let now = conn.milliseconds();
        let mut statement = Statement::new("SELECT user_id FROM authfort_deliveries WHERE subscription = ");
        statement.bind(self.name).push(" AND lane = ").bind(self.lane).push(" AND next_at <= ").push(now);
        statement.push(" GROUP BY user_id ORDER BY min(next_at) LIMIT ").number(self.limit);
        run!(conn, fetch_all, sqlx::query_scalar::<_, Uuid>, statement).map_err(classify)
    }
}

/// Reads in how many milliseconds the next event of a lane is to be delivered.
pub(crate) struct NextDue<'a> {
    pub name: &'a str,
    pub lane: i64,
}

impl ReadQuery for NextDue<'_> {
    type Answer = Option<i64>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let now = conn.milliseconds();
        let mut statement = Statement::new("SELECT min(next_at) - ");
        statement.push(now).push(" FROM authfort_deliveries WHERE subscription = ").bind(self.name);
        statement.push(" AND lane = ").bind(self.lane).push(" AND next_at > ").push(now);
        run!(conn, fetch_one, sqlx::query_scalar::<_, Option<i64>>, statement).map_err(classify)
    }
}

/// Reads what waits of some users, in the order of the log: up to the first dead one, if that holds the others.
pub(crate) struct WaitingOf<'a> {
    pub name: &'a str,
    pub users: &'a [Uuid],
    pub holds: bool,
    pub limit: i64,
}

impl ReadQuery for WaitingOf<'_> {
    type Answer = Vec<Waiting>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let mut statement =
            Statement::new("SELECT position, user_id, attempts FROM authfort_deliveries d WHERE subscription = ");
        statement.bind(self.name).push(" AND user_id IN (");
        push_list(&mut statement, self.users);
        statement.push(") AND NOT dead");
        if self.holds {
            statement
                .push(" AND NOT EXISTS (SELECT 1 FROM authfort_deliveries e WHERE e.subscription = d.subscription");
            statement.push(" AND e.user_id = d.user_id AND e.position < d.position AND e.dead)");
        }
        statement.push(" ORDER BY position LIMIT ").number(self.limit);
        run!(conn, fetch_all, sqlx::query_as::<_, Waiting>, statement).map_err(classify)
    }
}

/// Counts the users of a lane to whom something is delivered again, up to a limit.
pub(crate) struct CountFailing<'a> {
    pub name: &'a str,
    pub lane: i64,
    pub limit: i64,
}

impl ReadQuery for CountFailing<'_> {
    type Answer = i64;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let mut statement =
            Statement::new("SELECT count(*) FROM (SELECT 1 FROM authfort_deliveries WHERE subscription = ");
        statement
            .bind(self.name)
            .push(" AND lane = ")
            .bind(self.lane)
            .push(" AND next_at IS NOT NULL LIMIT ")
            .number(self.limit);
        statement.push(") counted");
        run!(conn, fetch_one, sqlx::query_scalar::<_, i64>, statement).map_err(classify)
    }
}

row! {
    /// A dead event.
    pub(crate) struct Dead {
        pub position: i64,
        pub lane: i64,
        pub user_id: Uuid,
        pub attempts: i64,
        pub error: Option<String>,
        pub failed_at: Option<DateTime<Utc>>,
    }
}

macro_rules! select_dead {
    () => {
        "SELECT position, lane, user_id, attempts, error, failed_at FROM authfort_deliveries WHERE subscription = "
    };
}

/// Reads dead events in the order of the log, after a position.
pub(crate) struct DeadAfter<'a> {
    pub name: &'a str,
    pub after: i64,
    pub limit: i64,
}

impl ReadQuery for DeadAfter<'_> {
    type Answer = Vec<Dead>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let mut statement = Statement::new(select_dead!());
        statement.bind(self.name).push(" AND dead AND position > ").hide(self.after);
        statement.push(" ORDER BY position LIMIT ").number(self.limit);
        run!(conn, fetch_all, sqlx::query_as::<_, Dead>, statement).map_err(classify)
    }
}

/// Reads one dead event.
pub(crate) async fn dead(conn: &mut Conn<'_>, name: &str, position: i64) -> Result<Option<Dead>> {
    let mut statement = Statement::new(select_dead!());
    statement.bind(name).push(" AND dead AND position = ").bind(position);
    run!(conn, fetch_optional, sqlx::query_as::<_, Dead>, statement).map_err(classify)
}

/// Lets dead events of some users be delivered again, as if it were the first time, after what was to be delivered to them
/// before. Returns how many there were.
pub(crate) async fn replay(conn: &mut Conn<'_>, name: &str, letters: &[Dead]) -> Result<u64> {
    let mut replayed = 0;
    for slice in letters.chunks(SLICE) {
        let mut statement = Statement::new(
            "UPDATE authfort_deliveries SET dead = FALSE, attempts = 0, next_at = NULL WHERE dead AND subscription = ",
        );
        statement.bind(name).push(" AND position IN (");
        push_list(&mut statement, &slice.iter().map(|letter| letter.position).collect::<Vec<_>>());
        statement.push(")");
        replayed += run!(conn, execute, statement).map_err(classify)?;
    }
    for user in letters.iter().map(|letter| letter.user_id).collect::<BTreeSet<_>>() {
        promote(conn, name, user, false).await?;
    }
    Ok(replayed)
}

/// Lets an event be delivered again, soon, as if it were the first time, wherever it is: after what waits of the same user before it.
#[cfg(feature = "webhooks")]
pub(crate) async fn again(
    conn: &mut Conn<'_>,
    (name, lane): (&str, i64),
    position: i64,
    user: Option<crate::UserId>,
) -> Result<()> {
    let user = user.map_or(Uuid::nil(), |id| id.0);
    let text = "INSERT INTO authfort_deliveries (subscription, position, lane, user_id, attempts, dead)
                VALUES ($1, $2, $3, $4, 0, FALSE)
                ON CONFLICT (subscription, position) DO UPDATE SET attempts = 0, dead = FALSE";
    sql!(conn, execute, text, name, position, lane, user).map_err(classify)?;
    let now = conn.milliseconds();
    let mut statement = Statement::new("UPDATE authfort_deliveries SET next_at = ");
    statement.push(now).push(" WHERE subscription = ").bind(name).push(" AND user_id = ").bind(user);
    statement.push(" AND position = (SELECT min(e.position) FROM authfort_deliveries e WHERE e.subscription = ");
    statement.bind(name).push(" AND e.user_id = ").bind(user).push(" AND NOT e.dead)");
    run!(conn, execute, statement).map_err(classify)?;
    Ok(())
}

/// Lets everything be delivered now that was to be delivered at a later time.
#[cfg(feature = "webhooks")]
pub(crate) async fn hasten(conn: &mut Conn<'_>, name: &str) -> Result<()> {
    let now = conn.milliseconds();
    let mut statement = Statement::new("UPDATE authfort_deliveries SET next_at = ");
    statement.push(now).push(" WHERE subscription = ").bind(name).push(" AND next_at IS NOT NULL");
    run!(conn, execute, statement).map_err(classify)?;
    Ok(())
}

/// Deletes the dead events of a lane that were deleted from the log: nobody could look at them.
pub(crate) async fn forget(conn: &mut Conn<'_>, name: &str, lane: i64) -> Result<()> {
    let text = "DELETE FROM authfort_deliveries WHERE subscription = $1 AND lane = $2 AND dead
                AND NOT EXISTS (SELECT 1 FROM authfort_events e WHERE e.position = authfort_deliveries.position)";
    sql!(conn, execute, text, name, lane).map_err(classify)?;
    Ok(())
}
