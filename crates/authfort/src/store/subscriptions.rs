//! `authfort_subscriptions`, `authfort_subscription_members` and `authfort_subscription_lanes`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::Result;
use crate::db::dynamic::{Statement, run};
use crate::db::{Conn, ReadQuery, classify, row, sql};

/// Creates a subscription whose lanes all begin after a position, unless there is one of this name. Returns whether it did.
/// It has so many lanes: eight, by the last bits of users' ids, or one for all users.
pub(crate) async fn create(
    conn: &mut Conn<'_>,
    name: &str,
    lanes: i64,
    position: i64,
    now: DateTime<Utc>,
) -> Result<bool> {
    let generation = conn.milliseconds();
    let mut statement = Statement::new("INSERT INTO authfort_subscriptions (name, created_at, generation) VALUES (");
    statement.bind(name).push(", ").bind(now).push(", ").push(generation).push(") ON CONFLICT DO NOTHING");
    if run!(conn, execute, statement).map_err(classify)? == 0 {
        return Ok(false);
    }
    // Fences go on from there: none is that of a lane of an earlier subscription of this name.
    let mut statement =
        Statement::new("INSERT INTO authfort_subscription_lanes (subscription, lane, position, fence) VALUES ");
    for lane in 0..lanes {
        statement.push(if lane == 0 { "(" } else { ", (" }).bind(name).push(", ").number(lane);
        statement.push(", ").bind(position).push(", ").push(generation).push(")");
    }
    run!(conn, execute, statement).map_err(classify)?;
    Ok(true)
}

/// Deletes a subscription with its lanes and deliveries. Returns whether there was one.
pub(crate) async fn delete(conn: &mut Conn<'_>, name: &str) -> Result<bool> {
    // First, like everybody who changes more than one of these tables.
    let text = "UPDATE authfort_subscription_lanes SET position = position WHERE subscription = $1";
    sql!(conn, execute, text, name).map_err(classify)?;
    let text = "DELETE FROM authfort_subscriptions WHERE name = $1";
    Ok(sql!(conn, execute, text, name).map_err(classify)? > 0)
}

/// Keeps whoever works for a subscription from writing any more, and from prolonging a lease: somebody else goes on with other
/// settings.
#[cfg(feature = "webhooks")]
pub(crate) async fn renew_generation(conn: &mut Conn<'_>, name: &str) -> Result<()> {
    let text = "UPDATE authfort_subscription_lanes SET fence = fence + 1 WHERE subscription = $1";
    sql!(conn, execute, text, name).map_err(classify)?;
    let text = "UPDATE authfort_subscriptions SET generation = generation + 1 WHERE name = $1";
    sql!(conn, execute, text, name).map_err(classify)?;
    Ok(())
}

/// Reads whether there is a subscription of this name.
pub(crate) async fn exists(conn: &mut Conn<'_>, name: &str) -> Result<bool> {
    let text = "SELECT EXISTS (SELECT 1 FROM authfort_subscriptions WHERE name = $1)";
    sql!(conn, fetch_one, query_scalar::<_, bool>, text, name).map_err(classify)
}

/// Says that a process works for a subscription, and for how long it counts as alive. Returns how many do.
pub(crate) async fn join(conn: &mut Conn<'_>, name: &str, owner: Uuid, milliseconds: i64) -> Result<i64> {
    let now = conn.milliseconds();
    let mut statement = Statement::new("DELETE FROM authfort_subscription_members WHERE subscription = ");
    statement.bind(name).push(" AND alive_until <= ").push(now);
    run!(conn, execute, statement).map_err(classify)?;
    let mut statement =
        Statement::new("INSERT INTO authfort_subscription_members (subscription, owner, alive_until) VALUES (");
    statement.bind(name).push(", ").bind(owner).push(", ").push(now).push(" + ").bind(milliseconds);
    statement.push(") ON CONFLICT (subscription, owner) DO UPDATE SET alive_until = excluded.alive_until");
    run!(conn, execute, statement).map_err(classify)?;
    let text = "SELECT count(*) FROM authfort_subscription_members WHERE subscription = $1";
    sql!(conn, fetch_one, query_scalar::<_, i64>, text, name).map_err(classify)
}

row! {
    #[derive(Debug)]
    pub(crate) struct Lane {
        pub number: i64,
        /// That of the subscription.
        pub generation: i64,
        pub owner: Option<Uuid>,
        pub fence: i64,
        /// Whether the owner's lease lasts.
        pub leased: bool,
        /// Whether something in it is to be delivered now that could not be delivered before.
        pub due: bool,
    }
}

/// Reads the lanes of a subscription; none if it was deleted.
pub(crate) async fn lanes(conn: &mut Conn<'_>, name: &str) -> Result<Vec<Lane>> {
    let now = conn.milliseconds();
    let mut statement = Statement::new(
        "SELECT lane AS number, owner, fence, \
         (SELECT s.generation FROM authfort_subscriptions s WHERE s.name = l.subscription) AS generation, leased_until > ",
    );
    statement.push(now).push(
        " AS leased, EXISTS (SELECT 1 FROM authfort_deliveries d \
         WHERE d.subscription = l.subscription AND d.lane = l.lane AND d.next_at <= ",
    );
    statement.push(now).push(") AS due FROM authfort_subscription_lanes l WHERE subscription = ").bind(name);
    statement.push(" ORDER BY lane");
    run!(conn, fetch_all, sqlx::query_as::<_, Lane>, statement).map_err(classify)
}

/// Prolongs the leases that a process still has.
pub(crate) async fn renew(conn: &mut Conn<'_>, name: &str, owner: Uuid, milliseconds: i64) -> Result<()> {
    let now = conn.milliseconds();
    let mut statement = Statement::new("UPDATE authfort_subscription_lanes SET leased_until = ");
    statement.push(now).push(" + ").bind(milliseconds).push(" WHERE subscription = ").bind(name);
    statement.push(" AND owner = ").bind(owner).push(" AND leased_until > ").push(now);
    run!(conn, execute, statement).map_err(classify)?;
    Ok(())
}

/// Takes a lane that is free, by compare-and-set: false if somebody else was quicker.
pub(crate) async fn take(conn: &mut Conn<'_>, name: &str, lane: &Lane, owner: Uuid, milliseconds: i64) -> Result<bool> {
    let now = conn.milliseconds();
    let mut statement = Statement::new("UPDATE authfort_subscription_lanes SET owner = ");
    statement.bind(owner).push(", fence = fence + 1, leased_until = ").push(now).push(" + ").bind(milliseconds);
    statement.push(" WHERE subscription = ").bind(name).push(" AND lane = ").bind(lane.number);
    statement.push(" AND fence = ").bind(lane.fence).push(" AND leased_until <= ").push(now);
    Ok(run!(conn, execute, statement).map_err(classify)? > 0)
}

/// Gives a lane back.
pub(crate) async fn give_back(conn: &mut Conn<'_>, name: &str, lane: i64, owner: Uuid) -> Result<()> {
    let text = "UPDATE authfort_subscription_lanes SET owner = NULL, leased_until = 0
                WHERE subscription = $1 AND lane = $2 AND owner = $3";
    sql!(conn, execute, text, name, lane, owner).map_err(classify)?;
    Ok(())
}

/// Says that a process works for a subscription no longer.
pub(crate) async fn leave(conn: &mut Conn<'_>, name: &str, owner: Uuid) -> Result<()> {
    let text = "DELETE FROM authfort_subscription_members WHERE subscription = $1 AND owner = $2";
    sql!(conn, execute, text, name, owner).map_err(classify)?;
    Ok(())
}

/// Reads up to where a lane is done.
pub(crate) struct PositionOfLane<'a>(pub &'a str, pub i64);

impl ReadQuery for PositionOfLane<'_> {
    type Answer = Option<i64>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let text = "SELECT position FROM authfort_subscription_lanes WHERE subscription = $1 AND lane = $2";
        sql!(conn, fetch_optional, query_scalar::<_, i64>, text, self.0, self.1).map_err(classify)
    }
}

/// Notes up to where a lane is done, and locks it. False if the lane has another owner meanwhile, who alone may write.
pub(crate) async fn advance(
    conn: &mut Conn<'_>,
    name: &str,
    (lane, fence): (i64, i64),
    owner: Uuid,
    position: i64,
) -> Result<bool> {
    let text = "UPDATE authfort_subscription_lanes SET position = $1
                WHERE subscription = $2 AND lane = $3 AND owner = $4 AND fence = $5";
    Ok(sql!(conn, execute, text, position, name, lane, owner, fence).map_err(classify)? > 0)
}

/// Keeps the lane's owner from writing until the transaction ends.
pub(crate) async fn lock_lane(conn: &mut Conn<'_>, name: &str, lane: i64) -> Result<()> {
    let text = "UPDATE authfort_subscription_lanes SET position = position WHERE subscription = $1 AND lane = $2";
    sql!(conn, execute, text, name, lane).map_err(classify)?;
    Ok(())
}

/// Notes what went wrong last.
pub(crate) async fn note_error(conn: &mut Conn<'_>, name: &str, error: &str, now: DateTime<Utc>) -> Result<()> {
    let text = "UPDATE authfort_subscriptions SET last_error = $2, last_error_at = $3 WHERE name = $1";
    sql!(conn, execute, text, name, error, now).map_err(classify)?;
    Ok(())
}

row! {
    pub(crate) struct SubscriptionRow {
        pub name: String,
        pub created_at: DateTime<Utc>,
        pub last_error: Option<String>,
        pub last_error_at: Option<DateTime<Utc>>,
        pub lag: i64,
        pub waiting: i64,
        pub dead: i64,
        pub members: i64,
    }
}

/// Reads how the subscriptions are doing: all, or one.
pub(crate) struct Subscriptions<'a>(pub Option<&'a str>);

impl ReadQuery for Subscriptions<'_> {
    type Answer = Vec<SubscriptionRow>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let now = conn.milliseconds();
        let mut statement = Statement::new(
            "SELECT name, created_at, last_error, last_error_at, \
             coalesce((SELECT last FROM authfort_event_positions WHERE one = TRUE), 0) \
             - (SELECT min(l.position) FROM authfort_subscription_lanes l WHERE l.subscription = s.name) AS lag, \
             (SELECT count(*) FROM authfort_deliveries d WHERE d.subscription = s.name AND NOT d.dead) AS waiting, \
             (SELECT count(*) FROM authfort_deliveries d WHERE d.subscription = s.name AND d.dead) AS dead, \
             (SELECT count(*) FROM authfort_subscription_members m \
              WHERE m.subscription = s.name AND m.alive_until > ",
        );
        statement.push(now).push(") AS members FROM authfort_subscriptions s");
        if let Some(name) = self.0 {
            statement.push(" WHERE name = ").bind(name);
        }
        statement.push(" ORDER BY name");
        run!(conn, fetch_all, sqlx::query_as::<_, SubscriptionRow>, statement).map_err(classify)
    }
}
