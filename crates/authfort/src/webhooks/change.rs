//! Creating, changing and deleting webhooks.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;

use super::{NewWebhook, Webhook, secret_name, subscription};
use crate::core::Core;
use crate::db::ReadQuery;
use crate::events::{WebhookCreated, WebhookDeleted, WebhookDisabled, WebhookUpdated};
use crate::model::events::check_types;
use crate::model::validate::{self, Faults};
use crate::store::deliveries;
use crate::store::subscriptions::{self, Subscriptions};
use crate::store::webhooks::{self, WebhookRow};
use crate::webhook_client::{Secret, check, origin};
use crate::work::{Before, Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, Result, WebhookId};

/// How many webhooks there can be: each costs its processes a few statements a minute, and each event a request.
const WEBHOOKS: i64 = 100;
/// For how long both secrets are valid.
const OVERLAP: TimeDelta = TimeDelta::hours(24);

impl AuthFort {
    /// Creates a webhook: from now on, each event is sent to a URL by an HTTP request (`POST`), signed as the
    /// [Standard Webhooks](https://www.standardwebhooks.com) specification says. The answer has the secret, which is not shown
    /// again. Event: `webhook_created`.
    ///
    /// | option | |
    /// |---|---|
    /// | `r#type(…)` | only events of this type; each further call adds one; all unless set |
    /// | `description(…)` | for whoever looks at the list, up to 255 characters |
    /// | `enabled(false)` | nothing is sent until it is switched on |
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// use authfort::secrecy::ExposeSecret;
    /// let new = auth.create_webhook("https://example.com/hooks").r#type("user_deleted").await?;
    /// assert!(new.secret.expose_secret().starts_with("whsec_"));
    /// assert_eq!(auth.list_webhooks().await?[0].id, new.webhook.id);
    /// # auth.close().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # What is sent
    /// The body is the [`Event`](crate::Event) as JSON. The header `webhook-id` is the id of the event, the same each time the event is
    /// sent; `webhook-timestamp` is when this request was made, in seconds since 1970; `webhook-signature` has a signature for
    /// each valid secret. Any library of the specification checks them.
    ///
    /// # Guarantees
    /// - Each event is sent until the receiver answers with a status of 2xx, **at least once**, and in the order of commits for
    ///   each user. One user's failing event holds up no other user's.
    /// - After a failure the event is sent again: after 5 seconds, then twice as long each time, up to 12 hours, and shortened by up to half
    ///   of that at random. `Retry-After` is obeyed, for the whole webhook if the status is 429 or 503. After 30 failures, which
    ///   takes 4 to 9 days, it is a [dead letter](Self::list_dead_letters) of the webhook's subscription.
    /// - A webhook whose receiver answers 410, or for which everything has failed for 3 days, is switched off. It keeps its place
    ///   in the log: when it is switched on again, all events since are sent.
    /// - Redirects are not followed. Nothing is sent to private, loopback or link-local addresses, whatever the name resolves to.
    ///   [`WebhookOptions`](crate::WebhookOptions) changes these numbers.
    ///
    /// # Errors
    /// - [`Error::Validation`] if the URL is not acceptable, a type is unknown, or there are 100 webhooks.
    pub fn create_webhook(&self, url: impl Into<String>) -> Write<CreateWebhook> {
        Write::new(self.core(), CreateWebhook::new(url.into()))
    }

    /// Changes the given fields of a webhook. Switched on again, it goes on with the first event that it has not sent. A request
    /// that is under way may be repeated, and what failed before is sent whatever its type. Event: `webhook_updated`.
    ///
    /// | option | |
    /// |---|---|
    /// | `url(…)` | where to send |
    /// | `types([…])` | which types of events; all if there are none |
    /// | `description(…)`, `clear_description()` | the description |
    /// | `enabled(…)` | whether anything is sent |
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// # let id = auth.create_webhook("https://example.com/hooks").enabled(false).await?.webhook.id;
    /// let webhook = auth.update_webhook(id).types(["user_deleted", "user_banned"]).description("CRM").await?;
    /// assert_eq!(webhook.types, ["user_banned", "user_deleted"]);
    /// # auth.close().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Error::WebhookNotFound`]; [`Error::Validation`] as [`create_webhook`](Self::create_webhook).
    pub fn update_webhook(&self, id: WebhookId) -> Write<UpdateWebhook> {
        Write::new(self.core(), UpdateWebhook::new(id))
    }

    /// Deletes a webhook, with its place in the log and what is known of its deliveries. Event: `webhook_deleted`.
    ///
    /// # Errors
    /// - [`Error::WebhookNotFound`].
    pub fn delete_webhook(&self, id: WebhookId) -> Write<DeleteWebhook> {
        Write::new(self.core(), DeleteWebhook(id))
    }

    /// Replaces the secret of a webhook. For 24 hours the requests are signed with both, so that the receiver can change over. If the
    /// last replacement is more recent than that, the oldest secret becomes invalid at once. Event: `webhook_updated`.
    ///
    /// # Errors
    /// - [`Error::WebhookNotFound`].
    pub fn rotate_webhook_secret(&self, id: WebhookId) -> Write<RotateWebhookSecret> {
        Write::new(self.core(), RotateWebhookSecret::new(id))
    }
}

/// Creates a webhook; created by [`AuthFort::create_webhook`](crate::AuthFort::create_webhook).
#[derive(Clone)]
pub struct CreateWebhook {
    url: String,
    description: Option<String>,
    types: Vec<String>,
    enabled: bool,
    position: i64,
    secret: Option<Secret>,
}

impl CreateWebhook {
    pub(super) fn new(url: String) -> Self {
        Self { url, description: None, types: Vec::new(), enabled: true, position: 0, secret: None }
    }
}

impl Write<CreateWebhook> {
    /// Sends only events of this type. Each further call adds a type.
    pub fn r#type(mut self, name: impl Into<String>) -> Self {
        self.op.types.push(name.into());
        self
    }

    /// Says what it is for.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.op.description = Some(text.into());
        self
    }

    /// Sets whether anything is sent; it is unless set.
    pub fn enabled(mut self, on: bool) -> Self {
        self.op.enabled = on;
        self
    }
}

impl Operation for CreateWebhook {
    type Output = NewWebhook;

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let mut faults = Faults::default();
        if let Some(url) = faults.take(check(&self.url, allows_private(before))) {
            self.url = url;
        }
        self.description = self.description.take().and_then(|text| faults.take(validate::description(&text)));
        faults.finish()?;
        check_types("types", &mut self.types)?;
        self.secret = Some(Secret::generate()?);
        self.position = before.core.tail().end().await?;
        Ok(())
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<NewWebhook>> {
        let secret = self.secret.as_ref().ok_or_else(|| Error::internal("no secret was generated"))?;
        if webhooks::count(&mut work.conn).await? >= WEBHOOKS {
            return Err(Error::invalid("url", "too_many", format!("there are {WEBHOOKS} webhooks; delete one first")));
        }
        let id = WebhookId::new(work.now);
        let row = WebhookRow {
            id,
            subscription: subscription(id),
            url: self.url.clone(),
            description: self.description.clone(),
            types: serde_json::to_string(&self.types).map_err(Error::internal)?,
            enabled: self.enabled,
            disabled_reason: None,
            secret: work.core.keyring().vault().store(&secret_name(id), secret.as_bytes())?,
            previous_secret: None,
            previous_secret_until: None,
            failing_since: None,
            paused_until: None,
            created_at: work.now,
            updated_at: work.now,
            generation: 0,
        };
        subscriptions::create(&mut work.conn, &row.subscription, 1, self.position, work.now).await?;
        webhooks::insert(&mut work.conn, &row).await?;
        work.append(WebhookCreated::draft(None, id, origin(&row.url)));
        Ok(Verdict::Commit(NewWebhook { webhook: found(work, row).await?, secret: secret.text() }))
    }

    async fn committed(&self, core: &Core) {
        // The log says so too, but nobody follows it while there is nothing to send.
        core.webhook_client().changed.notify_one();
    }

    fn changes_users(&self) -> bool {
        false
    }
}

/// Changes a webhook; created by [`AuthFort::update_webhook`](crate::AuthFort::update_webhook). Fields that are not given stay.
#[derive(Debug, Clone)]
#[expect(clippy::option_option, reason = "not named, cleared, or a value")]
pub struct UpdateWebhook {
    id: WebhookId,
    url: Option<String>,
    description: Option<Option<String>>,
    types: Option<Vec<String>>,
    enabled: Option<bool>,
}

impl UpdateWebhook {
    pub(super) fn new(id: WebhookId) -> Self {
        Self { id, url: None, description: None, types: None, enabled: None }
    }
}

impl Write<UpdateWebhook> {
    /// Sets where to send.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.op.url = Some(url.into());
        self
    }

    /// Sets what it is for.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.op.description = Some(Some(text.into()));
        self
    }

    /// Removes the description.
    pub fn clear_description(mut self) -> Self {
        self.op.description = Some(None);
        self
    }

    /// Sets which types of events are sent; all if there are none.
    pub fn types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.op.types = Some(types.into_iter().map(Into::into).collect());
        self
    }

    /// Sets whether anything is sent.
    pub fn enabled(mut self, on: bool) -> Self {
        self.op.enabled = Some(on);
        self
    }
}

impl Operation for UpdateWebhook {
    type Output = Webhook;

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let mut faults = Faults::default();
        self.url = self.url.take().and_then(|url| faults.take(check(&url, allows_private(before))));
        if let Some(Some(text)) = &self.description {
            self.description = faults.take(validate::description(text)).map(Some);
        }
        faults.finish()?;
        self.types.as_mut().map_or(Ok(()), |types| check_types("types", types))
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<Webhook>> {
        let name = subscription(self.id);
        let mut row = lock(work, self.id).await?;
        let mut fields = Vec::new();
        if let Some(url) = self.url.as_ref().filter(|url| **url != row.url) {
            row.url.clone_from(url);
            row.failing_since = None;
            row.paused_until = None;
            fields.push("url".to_owned());
        }
        if let Some(description) = self.description.as_ref().filter(|text| **text != row.description) {
            row.description.clone_from(description);
            fields.push("description".to_owned());
        }
        if let Some(types) = &self.types {
            let types = serde_json::to_string(types).map_err(Error::internal)?;
            if types != row.types {
                row.types = types;
                fields.push("types".to_owned());
            }
        }
        if let Some(on) = self.enabled.filter(|on| *on != row.enabled) {
            row.enabled = on;
            row.disabled_reason = None;
            row.failing_since = None;
            row.paused_until = None;
            fields.push("enabled".to_owned());
        }
        if !fields.is_empty() {
            row.updated_at = work.now;
            webhooks::update(&mut work.conn, &row).await?;
            // Whoever works with what was before writes nothing from here on.
            subscriptions::renew_generation(&mut work.conn, &name).await?;
            if fields.iter().any(|field| field == "url" || field == "enabled") {
                // What failed may succeed now.
                deliveries::hasten(&mut work.conn, &name).await?;
            }
            work.append(WebhookUpdated::draft(None, self.id, origin(&row.url), fields));
        }
        Ok(Verdict::Commit(found(work, row).await?))
    }

    async fn committed(&self, core: &Core) {
        // The log says so too, but nobody follows it while there is nothing to send.
        core.webhook_client().changed.notify_one();
    }

    fn changes_users(&self) -> bool {
        false
    }
}

/// Replaces the secret; created by [`AuthFort::rotate_webhook_secret`](crate::AuthFort::rotate_webhook_secret).
#[derive(Debug, Clone)]
pub struct RotateWebhookSecret {
    id: WebhookId,
    secret: Option<Secret>,
}

impl RotateWebhookSecret {
    pub(super) fn new(id: WebhookId) -> Self {
        Self { id, secret: None }
    }
}

impl Operation for RotateWebhookSecret {
    type Output = SecretString;

    async fn prepare(&mut self, _before: &mut Before<'_>) -> Result<()> {
        self.secret = Some(Secret::generate()?);
        Ok(())
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<SecretString>> {
        let secret = self.secret.as_ref().ok_or_else(|| Error::internal("no secret was generated"))?;
        let mut row = lock(work, self.id).await?;
        let stored = work.core.keyring().vault().store(&secret_name(self.id), secret.as_bytes())?;
        row.previous_secret = Some(std::mem::replace(&mut row.secret, stored));
        row.previous_secret_until = Some(work.now + OVERLAP);
        row.updated_at = work.now;
        webhooks::update(&mut work.conn, &row).await?;
        subscriptions::renew_generation(&mut work.conn, &row.subscription).await?;
        work.append(WebhookUpdated::draft(None, self.id, origin(&row.url), vec!["secret".to_owned()]));
        Ok(Verdict::Commit(secret.text()))
    }

    fn changes_users(&self) -> bool {
        false
    }
}

/// Deletes a webhook; created by [`AuthFort::delete_webhook`](crate::AuthFort::delete_webhook).
#[derive(Debug, Clone)]
pub struct DeleteWebhook(pub(super) WebhookId);

impl Operation for DeleteWebhook {
    type Output = ();

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<()>> {
        // The subscription is locked first, by whoever changes both.
        let row = webhooks::Webhooks(Some(self.0)).run(&mut work.conn).await?.pop().ok_or(Error::WebhookNotFound)?;
        if !subscriptions::delete(&mut work.conn, &row.subscription).await? {
            return Err(Error::WebhookNotFound);
        }
        work.append(WebhookDeleted::draft(None, self.0, origin(&row.url)));
        Ok(Verdict::Commit(()))
    }

    fn changes_users(&self) -> bool {
        false
    }
}

/// Switches a webhook off because of its receiver, unless it was edited meanwhile or its receiver has recovered. Returns whether it
/// did.
pub(super) struct Disable {
    pub id: WebhookId,
    pub generation: i64,
    pub reason: Reason,
}

/// Why a webhook is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The receiver answered 410.
    Gone,
    /// Everything has failed since this time or an earlier one.
    Failing(DateTime<Utc>),
}

impl Operation for Disable {
    type Output = bool;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<bool>> {
        let mut row = lock(work, self.id).await?;
        let reason = match self.reason {
            Reason::Gone => "gone",
            Reason::Failing(since) if row.failing_since.is_some_and(|from| from <= since) => "failing",
            Reason::Failing(_) => return Ok(Verdict::Commit(false)),
        };
        if !row.enabled || row.generation != self.generation {
            return Ok(Verdict::Commit(false));
        }
        row.enabled = false;
        row.disabled_reason = Some(reason.to_owned());
        row.updated_at = work.now;
        webhooks::update(&mut work.conn, &row).await?;
        subscriptions::renew_generation(&mut work.conn, &row.subscription).await?;
        work.append(WebhookDisabled::draft(None, self.id, origin(&row.url), reason.to_owned()));
        Ok(Verdict::Commit(true))
    }

    fn changes_users(&self) -> bool {
        false
    }
}

/// Encrypts the secrets of webhooks that were created before a secret was configured. A start that changes nothing writes nothing.
pub(crate) async fn seal(core: &Core) -> Result<()> {
    let rows = core.db().on_read(&webhooks::Webhooks(None)).await?;
    let in_clear = |stored: &String| !stored.starts_with("v1.");
    let is_in_clear = |row: &WebhookRow| in_clear(&row.secret) || row.previous_secret.as_ref().is_some_and(in_clear);
    for row in rows.into_iter().filter(is_in_clear) {
        Write::new(core, Seal(row.id)).await?;
        tracing::info!(webhook = %row.id, "encrypted the secret of a webhook that lay in clear");
    }
    Ok(())
}

struct Seal(WebhookId);

impl Operation for Seal {
    type Output = ();

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<()>> {
        let mut row = lock(work, self.0).await?;
        let name = secret_name(self.0);
        let vault = work.core.keyring().vault();
        for stored in [Some(&mut row.secret), row.previous_secret.as_mut()].into_iter().flatten() {
            *stored = vault.store(&name, &vault.read(&name, stored)?)?;
        }
        webhooks::update(&mut work.conn, &row).await?;
        Ok(Verdict::Commit(()))
    }

    fn changes_users(&self) -> bool {
        false
    }
}

fn allows_private(before: &Before<'_>) -> bool {
    before.core.webhook_client().options().allow_private_targets
}

/// Reads a webhook and keeps it as it is until the transaction ends. What its subscription passes is locked first, like by whoever
/// deletes both.
async fn lock(work: &mut Work<'_>, id: WebhookId) -> Result<WebhookRow> {
    subscriptions::lock_lane(&mut work.conn, &subscription(id), 0).await?;
    let row = webhooks::lock(&mut work.conn, id).await?.ok_or(Error::WebhookNotFound)?;
    work.locked();
    Ok(row)
}

async fn found(work: &mut Work<'_>, row: WebhookRow) -> Result<Webhook> {
    let status = Subscriptions(Some(&row.subscription)).run(&mut work.conn).await?.pop();
    Webhook::new(row, status.as_ref(), work.now)
}
