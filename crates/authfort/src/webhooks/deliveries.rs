//! What came of events that were to be sent, and sending them again.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::core::Core;
use crate::db::ReadQuery;
use crate::store::deliveries;
use crate::store::events::{At, PositionOf};
use crate::store::subscriptions;
use crate::store::webhooks::{Deliveries, DeliveryRow, Webhooks};
use crate::webhook_client::Answer;
use crate::work::{Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, EventId, Result, WebhookId};

/// For how long it is known what came of an event.
pub(super) const KEPT: TimeDelta = TimeDelta::days(30);

impl AuthFort {
    /// Lists what came of the events that a webhook was to send in the last 30 days, the newest event first.
    pub fn list_webhook_deliveries(&self, id: WebhookId) -> ListWebhookDeliveries {
        ListWebhookDeliveries::new(self.core().clone(), id)
    }

    /// Sends an event of the log again, within seconds: one that was delivered, one that is a dead letter, one that would be sent later,
    /// or one that the webhook never had to send. If it fails, it is sent again like any other. If the webhook is switched off, it is
    /// sent when it is switched on.
    ///
    /// # Errors
    /// - [`Error::WebhookNotFound`]; [`Error::EventNotFound`] if the log has no such event.
    pub fn redeliver_webhook(&self, id: WebhookId, event: EventId) -> Write<RedeliverWebhook> {
        Write::new(self.core(), RedeliverWebhook::new(id, event))
    }
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct WebhookAttempt {
    /// Whether the receiver took the event: it answered with a status of 2xx.
    pub succeeded: bool,
    /// The status of the answer; none if there was no answer.
    pub response_status: Option<u16>,
    /// Why it failed.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl From<Answer> for WebhookAttempt {
    fn from(answer: Answer) -> Self {
        Self {
            succeeded: answer.error.is_none(),
            response_status: answer.status,
            error: answer.error,
            duration_ms: u64::try_from(answer.duration.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// How far an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryStatus {
    /// The receiver has it.
    Delivered,
    /// It is sent again.
    Pending,
    /// It was given up.
    Failed,
}

/// An event that a webhook tried to send.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct WebhookDelivery {
    /// The event.
    pub event_id: EventId,
    /// Its type.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::events::type_schema))]
    pub r#type: String,
    /// How far it is.
    pub status: DeliveryStatus,
    /// How often it was sent.
    pub attempts: u64,
    /// When it was sent last.
    pub attempted_at: DateTime<Utc>,
    /// The status of the last answer; none if there was no answer.
    pub response_status: Option<u16>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// How long the last attempt took, in milliseconds.
    pub duration_ms: u64,
    /// When it is sent again; none if it is not, or not before an earlier event of the same user.
    pub next_attempt_at: Option<DateTime<Utc>>,
}

impl WebhookDelivery {
    fn new(row: DeliveryRow, now: DateTime<Utc>) -> Self {
        let status = match (row.waits, row.succeeded) {
            (true, _) => DeliveryStatus::Pending,
            (false, true) => DeliveryStatus::Delivered,
            (false, false) => DeliveryStatus::Failed,
        };
        let next_attempt_at =
            row.next_in.and_then(|pause| now.checked_add_signed(TimeDelta::milliseconds(pause.max(0))));
        Self {
            event_id: row.event_id,
            r#type: row.kind,
            status,
            attempts: row.attempts.unsigned_abs(),
            attempted_at: row.attempted_at,
            response_status: row.response_status.and_then(|status| u16::try_from(status).ok()),
            error: row.error,
            duration_ms: row.duration.unsigned_abs(),
            next_attempt_at,
        }
    }
}

/// A page of deliveries.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct WebhookDeliveryPage {
    /// The entries.
    pub deliveries: Vec<WebhookDelivery>,
    /// The cursor of the next page: pass it as `before`. None on the last page.
    pub next_cursor: Option<EventId>,
}

/// Reads deliveries, the newest event first; created by
/// [`AuthFort::list_webhook_deliveries`](crate::AuthFort::list_webhook_deliveries).
///
/// # Errors
/// - [`Error::WebhookNotFound`].
/// - [`Error::Validation`] if `limit` is not 1 to 200.
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct ListWebhookDeliveries {
    core: Core,
    id: WebhookId,
    before: Option<EventId>,
    limit: i64,
}

impl ListWebhookDeliveries {
    pub(super) fn new(core: Core, id: WebhookId) -> Self {
        Self { core, id, before: None, limit: 50 }
    }

    /// Returns only deliveries of events before this one.
    pub fn before(mut self, id: EventId) -> Self {
        self.before = Some(id);
        self
    }

    /// Sets the page size, 1 to 200; 50 unless set.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = i64::from(limit);
        self
    }

    async fn list(self) -> Result<WebhookDeliveryPage> {
        if !(1..=200).contains(&self.limit) {
            return Err(Error::invalid("limit", "out_of_range", "must be between 1 and 200"));
        }
        let db = self.core.db();
        let webhook = db.on_read(&Webhooks(Some(self.id))).await?.pop().ok_or(Error::WebhookNotFound)?;
        let subscription = webhook.subscription.as_str();
        // One more than requested tells whether another page follows.
        let query = Deliveries { webhook: self.id, subscription, before: self.before, limit: self.limit + 1 };
        let mut rows = db.on_read(&query).await?;
        let size = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        let next_cursor = rows.last().filter(|_| more).map(|row| row.event_id);
        let now = self.core.now();
        let deliveries = rows.into_iter().map(|row| WebhookDelivery::new(row, now)).collect();
        Ok(WebhookDeliveryPage { deliveries, next_cursor })
    }
}

impl IntoFuture for ListWebhookDeliveries {
    type Output = Result<WebhookDeliveryPage>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.list())
    }
}

/// Sends an event again; created by [`AuthFort::redeliver_webhook`](crate::AuthFort::redeliver_webhook).
#[derive(Debug, Clone)]
pub struct RedeliverWebhook {
    id: WebhookId,
    event: EventId,
}

impl RedeliverWebhook {
    pub(super) fn new(id: WebhookId, event: EventId) -> Self {
        Self { id, event }
    }
}

impl Operation for RedeliverWebhook {
    type Output = ();

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<()>> {
        let conn = &mut work.conn;
        let webhook = Webhooks(Some(self.id)).run(conn).await?.pop().ok_or(Error::WebhookNotFound)?;
        let subscription = webhook.subscription.as_str();
        // Before anything that its owner may change.
        subscriptions::lock_lane(conn, subscription, 0).await?;
        let position = PositionOf(self.event).run(conn).await?.flatten().ok_or(Error::EventNotFound)?;
        let logged = At(vec![position]).run(conn).await?.pop().ok_or(Error::EventNotFound)?;
        deliveries::again(conn, (subscription, 0), position, logged.user_id).await?;
        Ok(Verdict::Commit(()))
    }

    fn changes_users(&self) -> bool {
        false
    }
}
