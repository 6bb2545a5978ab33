//! Webhooks: events are sent to other services.
//!
//! Each webhook has a subscription of its own (`webhook:<id>`), which has its place in the log, and repeats what failed. This
//! module has what is known of webhooks and their changes; [`send`] sends.

mod change;
mod deliveries;
mod send;

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;

pub(crate) use change::seal;
pub use change::{CreateWebhook, DeleteWebhook, RotateWebhookSecret, UpdateWebhook};
pub use deliveries::{
    DeliveryStatus, ListWebhookDeliveries, RedeliverWebhook, WebhookAttempt, WebhookDelivery, WebhookDeliveryPage,
};
pub(crate) use send::run;

use crate::core::Core;
use crate::store::subscriptions::{SubscriptionRow, Subscriptions};
use crate::store::webhooks::{WebhookRow, Webhooks};
use crate::subscriptions::OF_WEBHOOK;
use crate::webhook_client::{Secret, origin};
use crate::{AuthFort, Error, Result, WebhookId};

impl AuthFort {
    /// Lists the webhooks, the oldest first.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`].
    pub async fn list_webhooks(&self) -> Result<Vec<Webhook>> {
        read(self.core(), None).await
    }

    /// Returns a webhook.
    ///
    /// # Errors
    /// - [`Error::WebhookNotFound`].
    pub async fn get_webhook(&self, id: WebhookId) -> Result<Webhook> {
        read(self.core(), Some(id)).await?.pop().ok_or(Error::WebhookNotFound)
    }
}

/// A webhook.
#[derive(Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Where events are sent to.
    pub url: String,
    /// What it is for.
    pub description: Option<String>,
    /// Which types of events are sent; all if there are none.
    pub types: Vec<String>,
    /// Whether anything is sent.
    pub enabled: bool,
    /// Why it was switched off, if nobody did it: `gone` if the receiver answered 410, `failing` if everything had failed for days.
    pub disabled_reason: Option<String>,
    /// Since when everything has failed; none if the last request succeeded.
    pub failing_since: Option<DateTime<Utc>>,
    /// Until when the requests are signed with the previous secret too.
    pub previous_secret_expires_at: Option<DateTime<Utc>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was changed.
    pub updated_at: DateTime<Utc>,
    /// The name of its subscription, for [dead letters](AuthFort::list_dead_letters) and metrics.
    pub subscription: String,
    /// How many events of the log, of any type, it has not passed yet.
    pub lag: u64,
    /// How many events are sent again later, or wait behind such an event.
    pub waiting: u64,
    /// How many events were given up.
    pub dead: u64,
}

/// Without the path of the URL, which may be a secret.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("id", &self.id)
            .field("origin", &origin(&self.url))
            .field("types", &self.types)
            .field("enabled", &self.enabled)
            .field("disabled_reason", &self.disabled_reason)
            .finish_non_exhaustive()
    }
}

/// A webhook that was created.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// What its requests are signed with: `whsec_` and base64.
    pub secret: SecretString,
}

/// The name of the subscription of a webhook.
fn subscription(id: WebhookId) -> String {
    format!("{OF_WEBHOOK}{id}")
}

/// What a secret is called where it is stored.
fn secret_name(id: WebhookId) -> String {
    format!("authfort webhook secret {id}")
}

/// Returns what requests are signed with now.
fn secrets(core: &Core, row: &WebhookRow, now: DateTime<Utc>) -> Result<Vec<Secret>> {
    let previous = row.previous_secret.as_ref().filter(|_| row.previous_secret_until.is_some_and(|until| now < until));
    let name = secret_name(row.id);
    let open = |stored: &String| core.keyring().vault().read(&name, stored).map(Secret::from_bytes);
    [Some(&row.secret), previous].into_iter().flatten().map(open).collect()
}

async fn read(core: &Core, id: Option<WebhookId>) -> Result<Vec<Webhook>> {
    let rows = core.db().on_read(&Webhooks(id)).await?;
    let name = id.map(subscription);
    let subscriptions = core.db().on_read(&Subscriptions(name.as_deref())).await?;
    let now = core.now();
    let webhook = |row: WebhookRow| {
        let status = subscriptions.iter().find(|status| status.name == row.subscription);
        Webhook::new(row, status, now)
    };
    rows.into_iter().map(webhook).collect()
}

impl Webhook {
    fn new(row: WebhookRow, status: Option<&SubscriptionRow>, now: DateTime<Utc>) -> Result<Self> {
        let number = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        Ok(Self {
            id: row.id,
            url: row.url,
            description: row.description,
            types: serde_json::from_str(&row.types).map_err(Error::internal)?,
            enabled: row.enabled,
            disabled_reason: row.disabled_reason,
            failing_since: row.failing_since,
            previous_secret_expires_at: row.previous_secret_until.filter(|until| now < *until),
            created_at: row.created_at,
            updated_at: row.updated_at,
            subscription: row.subscription,
            lag: number(status.map(|status| status.lag)),
            waiting: number(status.map(|status| status.waiting)),
            dead: number(status.map(|status| status.dead)),
        })
    }
}
