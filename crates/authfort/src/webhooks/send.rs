//! Sending: a subscriber for each webhook that is switched on, in each process that sends.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Instant, sleep, timeout};

use super::change::{Disable, Reason};
use super::deliveries::{KEPT, WebhookAttempt};
use super::secrets;
use crate::clock::delta;
use crate::core::{Core, WeakCore};
use crate::delivery::{Control, Failure, Handler, Settings};
use crate::events::{Event, TypedEvent, WebhookCreated, WebhookDeleted, WebhookDisabled, WebhookUpdated};
use crate::id::first_v7;
use crate::store::events::Selection;
use crate::store::webhooks::{self, Attempt, WebhookRow, Webhooks};
use crate::tail::{Follower, PAUSE, is_closed};
use crate::webhook_client::{Answer, WebhookClient};
use crate::work::Write;
use crate::{AuthFort, Error, EventId, Result, WebhookId};

/// After how long the webhooks are read again though the log says nothing of them.
const READ_AGAIN: Duration = Duration::from_secs(30);
/// How often somebody looks whether there is a webhook, while there is none that is switched on.
const LOOK: Duration = Duration::from_secs(5);
/// After how long another process sends for one that died.
const LEASE: Duration = Duration::from_secs(10);
/// When events come again that were to be sent by a webhook that is off: by then it has no subscriber any more.
const OFF: Duration = Duration::from_mins(1);
/// After how many requests old deliveries are deleted.
const FORGET: u32 = 256;

/// Sends for all webhooks that are switched on, and follows their changes, until the service ends.
pub(crate) async fn run(weak: WeakCore) {
    let Some((tail, client)) = weak.upgrade().map(|core| (Arc::clone(core.tail()), Arc::clone(core.webhook_client())))
    else {
        return;
    };
    let mut senders: BTreeMap<WebhookId, Sender> = BTreeMap::new();
    let mut changes: Option<Follower> = None;
    let mut failing = false;
    loop {
        let outcome = match weak.upgrade() {
            Some(core) => update(&core, &weak, &mut senders).await,
            None => return,
        };
        match outcome {
            Ok(()) if std::mem::take(&mut failing) => tracing::info!("the webhooks are read again"),
            Ok(()) => {}
            Err(error) if is_closed(&error) => return,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(?error, "the webhooks cannot be read; changes of them wait");
                }
                sleep(PAUSE).await;
                continue;
            }
        }
        if senders.is_empty() {
            // Nobody follows the log, which costs something, for webhooks that there are not.
            changes = None;
            let _ = timeout(LOOK, client.changed.notified()).await;
            continue;
        }
        let Some(changes) = &mut changes else {
            // They are read once more, since something may have changed before the log was followed.
            let types = [WebhookCreated::TYPE, WebhookUpdated::TYPE, WebhookDisabled::TYPE, WebhookDeleted::TYPE];
            let types = types.map(ToOwned::to_owned).to_vec();
            changes = Some(tail.follow(None, Selection { types, ..Selection::default() }));
            continue;
        };
        let next = async {
            // Empty if the log had only other events.
            while changes.next(&tail).await?.is_empty() {}
            Ok::<_, Error>(())
        };
        match timeout(READ_AGAIN, next).await {
            Ok(Err(error)) if is_closed(&error) => return,
            Ok(Err(_)) => sleep(PAUSE).await,
            Ok(Ok(())) | Err(_) => {}
        }
    }
}

/// A webhook that this process sends for.
struct Sender {
    generation: i64,
    control: Arc<Control>,
}

/// Starts and stops subscribers, as the webhooks are.
async fn update(core: &Core, weak: &WeakCore, senders: &mut BTreeMap<WebhookId, Sender>) -> Result<()> {
    let mut wanted: BTreeMap<WebhookId, WebhookRow> = BTreeMap::new();
    for row in core.db().on_read(&Webhooks(None)).await? {
        if row.enabled {
            wanted.insert(row.id, row);
        }
    }
    let is_current = |id: &WebhookId, known: i64| wanted.get(id).is_some_and(|row| row.generation == known);
    let (current, mut outdated): (BTreeMap<_, _>, BTreeMap<_, _>) =
        std::mem::take(senders).into_iter().partition(|(id, sender)| is_current(id, sender.generation));
    *senders = current;
    for sender in outdated.values() {
        sender.control.ask_to_stop();
    }
    for (id, row) in wanted {
        if let Entry::Vacant(free) = senders.entry(id) {
            let before = outdated.remove(&id).map(|sender| sender.control);
            free.insert(start(core, weak, row, before)?);
        }
    }
    Ok(())
}

fn start(core: &Core, weak: &WeakCore, row: WebhookRow, before: Option<Arc<Control>>) -> Result<Sender> {
    let client = Arc::clone(core.webhook_client());
    let options = client.options();
    let generation = row.generation;
    let settings = Settings {
        name: row.subscription.clone(),
        types: serde_json::from_str(&row.types).map_err(Error::internal)?,
        attempts: options.attempts,
        holds: false,
        // The client's own limit comes first.
        timeout: options.timeout + Duration::from_secs(10),
        backoff: options.backoff,
        concurrency: options.concurrency,
        lease: LEASE,
        generation: Some(generation),
    };
    let pause = row.paused_until.and_then(|until| (until - core.now()).to_std().ok());
    let receiver = Arc::new(Receiver {
        weak: weak.clone(),
        client,
        row,
        off: AtomicBool::new(false),
        paused_until: Mutex::new(pause.map(|pause| Instant::now() + pause)),
        requests: AtomicU32::new(0),
    });
    let handler: Handler = Arc::new(move |event| {
        let receiver = Arc::clone(&receiver);
        Box::pin(async move { receiver.take(&event).await })
    });
    Ok(Sender { generation, control: core.delivery().start(settings, handler, before)? })
}

/// Where a webhook sends to. It holds no handle of the service but for moments, so that requests do not keep that alive.
struct Receiver {
    weak: WeakCore,
    client: Arc<WebhookClient>,
    row: WebhookRow,
    /// Whether this has switched the webhook off.
    off: AtomicBool,
    /// Until when the receiver wants to be left alone.
    paused_until: Mutex<Option<Instant>>,
    requests: AtomicU32,
}

impl Receiver {
    async fn take(&self, event: &Event) -> std::result::Result<(), Failure> {
        if self.off.load(Ordering::Relaxed) {
            return Err(Failure::Postponed(OFF));
        }
        if let Some(pause) = self.pause() {
            return Err(Failure::Postponed(pause));
        }
        let (secrets, now) = {
            let core = self.weak.upgrade().ok_or(Failure::Postponed(OFF))?;
            let now = core.now();
            (secrets(&core, &self.row, now), now)
        };
        let secrets = secrets.map_err(|error| {
            tracing::error!(?error, webhook = %self.row.id, "the secret of a webhook cannot be read");
            Failure::new("the secret cannot be read")
        })?;
        let answer = self.client.send(&self.row.url, &secrets, event, now).await;
        let wants_pause = if matches!(answer.status, Some(429 | 503)) { answer.retry_after } else { None };
        if let Some(pause) = wants_pause {
            let mut paused_until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
            *paused_until = (*paused_until).max(Some(Instant::now() + pause));
        }
        if let Err(error) = self.note(event, &answer, wants_pause).await {
            tracing::warn!(?error, webhook = %self.row.id, "what came of a webhook's request cannot be noted");
        }
        match answer.error {
            None => Ok(()),
            Some(error) => Err(Failure::Failed { error, pause: answer.retry_after }),
        }
    }

    fn pause(&self) -> Option<Duration> {
        let paused_until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        paused_until?.checked_duration_since(Instant::now()).filter(|pause| !pause.is_zero())
    }

    /// Notes what came of a request, and switches the webhook off if that is to be done.
    async fn note(&self, event: &Event, answer: &Answer, pause: Option<Duration>) -> Result<()> {
        let Some(core) = self.weak.upgrade() else { return Ok(()) };
        let (id, now) = (self.row.id, core.now());
        let attempt = Attempt {
            event: event.id,
            r#type: &event.r#type,
            status: answer.status,
            error: answer.error.as_deref(),
            milliseconds: i64::try_from(answer.duration.as_millis()).unwrap_or(i64::MAX),
            at: now,
        };
        let mut tx = core.db().begin().await?;
        let mut conn = tx.conn();
        let failing_since = if answer.error.is_none() {
            webhooks::succeeded(&mut conn, id).await?;
            None
        } else {
            webhooks::failed(&mut conn, id, now, pause.map(|pause| now + delta(pause))).await?
        };
        webhooks::note(&mut conn, id, &attempt).await?;
        tx.commit().await?;
        if self.requests.fetch_add(1, Ordering::Relaxed).is_multiple_of(FORGET) {
            let mut tx = core.db().begin().await?;
            webhooks::forget(&mut tx.conn(), id, first_v7(now - KEPT)).await?;
            tx.commit().await?;
        }
        let too_long_since = now - delta(self.client.options().switch_off_after);
        let reason = if answer.status == Some(410) {
            Reason::Gone
        } else if failing_since.is_some_and(|since| since <= too_long_since) {
            Reason::Failing(too_long_since)
        } else {
            return Ok(());
        };
        if Write::new(&core, Disable { id, generation: self.row.generation, reason }).await? {
            tracing::warn!(webhook = %id, ?reason, "a webhook was switched off because of its receiver");
            self.off.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl AuthFort {
    /// Sends an event of the type `webhook_test` to a webhook, once, also if it is switched off. Nothing is noted of it.
    ///
    /// # Errors
    /// - [`Error::WebhookNotFound`]. A request that fails is no error: the answer says what happened.
    pub async fn test_webhook(&self, id: WebhookId) -> Result<WebhookAttempt> {
        test(self.core(), id).await
    }
}

/// Sends an event that says nothing, once.
async fn test(core: &Core, id: WebhookId) -> Result<WebhookAttempt> {
    let row = core.db().on_read(&Webhooks(Some(id))).await?.pop().ok_or(Error::WebhookNotFound)?;
    let now = core.now();
    let actor = core.actor();
    let event = Event {
        id: EventId::new(now),
        r#type: "webhook_test".to_owned(),
        timestamp: now,
        user_id: None,
        actor_id: actor.user_id,
        request_id: actor.request_id.clone(),
        data: Map::from_iter([("webhook_id".to_owned(), Value::String(id.to_string()))]),
        token: None,
    };
    let secrets = secrets(core, &row, now)?;
    Ok(core.webhook_client().send(&row.url, &secrets, &event, now).await.into())
}
