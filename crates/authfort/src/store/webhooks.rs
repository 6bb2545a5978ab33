//! `authfort_webhooks` and `authfort_webhook_deliveries`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::dynamic::{Statement, run};
use crate::db::{Conn, ReadQuery, classify, row, sql};
use crate::{EventId, Result, WebhookId};

row! {
    #[derive(Clone)]
    pub(crate) struct WebhookRow {
        pub id: WebhookId,
        /// The subscription that has its place in the log.
        pub subscription: String,
        pub url: String,
        pub description: Option<String>,
        /// A JSON array; all types if it is empty.
        pub types: String,
        pub enabled: bool,
        pub disabled_reason: Option<String>,
        pub secret: String,
        pub previous_secret: Option<String>,
        pub previous_secret_until: Option<DateTime<Utc>>,
        /// Since when everything has failed.
        pub failing_since: Option<DateTime<Utc>>,
        /// Until when the receiver wants to be left alone.
        pub paused_until: Option<DateTime<Utc>>,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
        /// That of the subscription: another one after each edit.
        pub generation: i64,
    }
}

macro_rules! select {
    () => {
        "SELECT id, subscription, url, description, types, enabled, disabled_reason, secret, previous_secret, \
         previous_secret_until, failing_since, paused_until, created_at, updated_at, \
         (SELECT s.generation FROM authfort_subscriptions s WHERE s.name = w.subscription) AS generation \
         FROM authfort_webhooks w"
    };
}

/// Reads webhooks, the oldest first: all, or one.
pub(crate) struct Webhooks(pub Option<WebhookId>);

impl ReadQuery for Webhooks {
    type Answer = Vec<WebhookRow>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let mut statement = Statement::new(select!());
        if let Some(id) = self.0 {
            statement.push(" WHERE id = ").bind(id);
        }
        statement.push(" ORDER BY id");
        run!(conn, fetch_all, sqlx::query_as::<_, WebhookRow>, statement).map_err(classify)
    }
}

/// Reads a webhook and keeps it as it is until the transaction ends.
pub(crate) async fn lock(conn: &mut Conn<'_>, id: WebhookId) -> Result<Option<WebhookRow>> {
    sql!(conn, execute, "UPDATE authfort_webhooks SET url = url WHERE id = $1", id).map_err(classify)?;
    Ok(Webhooks(Some(id)).run(conn).await?.pop())
}

pub(crate) async fn count(conn: &mut Conn<'_>) -> Result<i64> {
    sql!(conn, fetch_one, query_scalar::<_, i64>, "SELECT count(*) FROM authfort_webhooks").map_err(classify)
}

/// Writes a new webhook, whose subscription exists.
pub(crate) async fn insert(conn: &mut Conn<'_>, row: &WebhookRow) -> Result<()> {
    let text = "INSERT INTO authfort_webhooks (id, subscription, url, description, types, enabled, secret, created_at,
                                               updated_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
    sql!(
        conn,
        execute,
        text,
        row.id,
        &row.subscription,
        &row.url,
        &row.description,
        &row.types,
        row.enabled,
        &row.secret,
        row.created_at
    )
    .map_err(classify)?;
    Ok(())
}

/// Writes what can be edited of a webhook.
pub(crate) async fn update(conn: &mut Conn<'_>, row: &WebhookRow) -> Result<()> {
    let text = "UPDATE authfort_webhooks
                SET url = $2, description = $3, types = $4, enabled = $5, disabled_reason = $6, secret = $7,
                    previous_secret = $8, previous_secret_until = $9, failing_since = $10, paused_until = $11,
                    updated_at = $12
                WHERE id = $1";
    sql!(
        conn,
        execute,
        text,
        row.id,
        &row.url,
        &row.description,
        &row.types,
        row.enabled,
        &row.disabled_reason,
        &row.secret,
        &row.previous_secret,
        row.previous_secret_until,
        row.failing_since,
        row.paused_until,
        row.updated_at
    )
    .map_err(classify)?;
    Ok(())
}

/// An attempt to send an event.
pub(crate) struct Attempt<'a> {
    pub event: EventId,
    pub r#type: &'a str,
    pub status: Option<u16>,
    pub error: Option<&'a str>,
    pub milliseconds: i64,
    pub at: DateTime<Utc>,
}

/// Notes an attempt; does nothing if the webhook was deleted.
pub(crate) async fn note(conn: &mut Conn<'_>, id: WebhookId, attempt: &Attempt<'_>) -> Result<()> {
    let text = "INSERT INTO authfort_webhook_deliveries
                    (webhook_id, event_id, type, attempts, succeeded, response_status, error, attempted_at, duration)
                SELECT w.id, $2, $3, 1, $4, $5, $6, $7, $8 FROM authfort_webhooks w WHERE w.id = $1
                ON CONFLICT (webhook_id, event_id) DO UPDATE
                SET attempts = authfort_webhook_deliveries.attempts + 1, succeeded = excluded.succeeded,
                    response_status = excluded.response_status, error = excluded.error,
                    attempted_at = excluded.attempted_at, duration = excluded.duration";
    sql!(
        conn,
        execute,
        text,
        id,
        attempt.event,
        attempt.r#type,
        attempt.error.is_none(),
        attempt.status.map(i64::from),
        attempt.error,
        attempt.at,
        attempt.milliseconds
    )
    .map_err(classify)?;
    Ok(())
}

/// Notes that something succeeded.
pub(crate) async fn succeeded(conn: &mut Conn<'_>, id: WebhookId) -> Result<()> {
    let text = "UPDATE authfort_webhooks SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL";
    sql!(conn, execute, text, id).map_err(classify)?;
    Ok(())
}

/// Notes that something failed, and until when the receiver wants to be left alone, if it says so. Returns since when everything has
/// failed.
pub(crate) async fn failed(
    conn: &mut Conn<'_>,
    id: WebhookId,
    now: DateTime<Utc>,
    paused_until: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>> {
    if paused_until.is_some() {
        let text = "UPDATE authfort_webhooks SET paused_until = $2 WHERE id = $1";
        sql!(conn, execute, text, id, paused_until).map_err(classify)?;
    }
    let text = "UPDATE authfort_webhooks SET failing_since = $2 WHERE id = $1 AND failing_since IS NULL";
    sql!(conn, execute, text, id, now).map_err(classify)?;
    let text = "SELECT failing_since FROM authfort_webhooks WHERE id = $1";
    let since = sql!(conn, fetch_optional, query_scalar::<_, Option<DateTime<Utc>>>, text, id).map_err(classify)?;
    Ok(since.flatten())
}

/// Deletes what is known of the deliveries of events before this one.
pub(crate) async fn forget(conn: &mut Conn<'_>, id: WebhookId, before: Uuid) -> Result<()> {
    let text = "DELETE FROM authfort_webhook_deliveries WHERE webhook_id = $1 AND event_id < $2";
    sql!(conn, execute, text, id, before).map_err(classify)?;
    Ok(())
}

row! {
    pub(crate) struct DeliveryRow {
        pub event_id: EventId,
        pub kind: String,
        pub attempts: i64,
        pub succeeded: bool,
        pub response_status: Option<i64>,
        pub error: Option<String>,
        pub attempted_at: DateTime<Utc>,
        pub duration: i64,
        /// Whether it is to be delivered (again).
        pub waits: bool,
        /// In how many milliseconds, if that is known.
        pub next_in: Option<i64>,
    }
}

/// Reads deliveries of a webhook, the newest events first.
pub(crate) struct Deliveries<'a> {
    pub webhook: WebhookId,
    pub subscription: &'a str,
    pub before: Option<EventId>,
    pub limit: i64,
}

impl ReadQuery for Deliveries<'_> {
    type Answer = Vec<DeliveryRow>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        let now = conn.milliseconds();
        let mut statement = Statement::new(
            "SELECT d.event_id, d.type AS kind, d.attempts, d.succeeded, d.response_status, d.error, d.attempted_at, \
             d.duration, q.position IS NOT NULL OR (NOT d.succeeded AND coalesce(e.position > \
             (SELECT l.position FROM authfort_subscription_lanes l WHERE l.lane = 0 AND l.subscription = ",
        );
        // What was just tried is in no row yet: its lane has not passed it.
        statement.bind(self.subscription).push("), FALSE)) AS waits, q.next_at - ");
        statement.push(now).push(
            " AS next_in FROM authfort_webhook_deliveries d LEFT JOIN authfort_events e ON e.id = d.event_id \
             LEFT JOIN authfort_deliveries q ON q.position = e.position AND NOT q.dead AND q.subscription = ",
        );
        statement.bind(self.subscription).push(" WHERE d.webhook_id = ").bind(self.webhook);
        if let Some(before) = self.before {
            statement.push(" AND d.event_id < ").bind(before.0);
        }
        statement.push(" ORDER BY d.event_id DESC LIMIT ").number(self.limit);
        run!(conn, fetch_all, sqlx::query_as::<_, DeliveryRow>, statement).map_err(classify)
    }
}
