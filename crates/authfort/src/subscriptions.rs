//! Durable subscribers, and what they could not deliver.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::core::Core;
use crate::db::Conn;
use crate::delivery::{Control, Failure, Handler, Settings};
use crate::model::events::{Event, check_types};
use crate::model::validate;
use crate::store::deliveries::{self, Dead, DeadAfter};
use crate::store::events::{At, PositionOf};
use crate::store::subscriptions::{self, SubscriptionRow, Subscriptions};
use crate::work::{Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, EventId, Result};

/// Into how many lanes a subscription is divided: so many processes can share its work.
const LANES: i64 = 8;
/// How the names of webhooks' subscriptions begin. The application can give none like it.
pub(crate) const OF_WEBHOOK: &str = "webhook:";
/// How many dead letters are replayed in one transaction.
const REPLAYED: i64 = 500;

impl AuthFort {
    /// Subscribes to the log under a name, whose place in the log is in the database: each event is delivered **at least once**,
    /// also if it was committed by another process, or while no subscriber ran. See [`Subscribe`] for the guarantees and options.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// # async fn close_account(_: Option<authfort::UserId>) -> Result<(), String> { Ok(()) }
    /// # let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    /// let subscription = auth
    ///     .subscribe("billing-sync", move |event| {
    /// #       let sender = sender.clone();
    ///         async move {
    ///             close_account(event.user_id).await?;
    /// #           sender.send(event.user_id).unwrap();
    ///             Ok::<(), String>(())
    ///         }
    ///     })
    ///     .r#type("user_deleted")
    ///     .await?;
    /// let id = auth.create_user("jane@example.com").await?.id;
    /// auth.delete_user(id).await?;
    /// # assert_eq!(receiver.recv().await, Some(Some(id)));
    /// assert_eq!(subscription.status().await?.dead, 0);
    /// # auth.close().await;
    /// # Ok(()) }
    /// ```
    pub fn subscribe<F, Fut, E>(&self, name: impl Into<String>, handler: F) -> Subscribe
    where
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = std::result::Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let handler = Arc::new(handler);
        let handler: Handler = Arc::new(move |event| {
            let handler = Arc::clone(&handler);
            Box::pin(async move { handler(event).await.map_err(|error| Failure::new(error.to_string())) })
        });
        let settings = Settings {
            name: name.into(),
            types: Vec::new(),
            attempts: 20,
            holds: true,
            timeout: Duration::from_secs(30),
            backoff: (Duration::from_secs(1), Duration::from_hours(1)),
            concurrency: 64,
            lease: Duration::from_secs(10),
            generation: None,
        };
        Subscribe { core: self.core().clone(), settings, start: Start::Now, handler }
    }

    /// Lists the subscriptions and how they are doing, by name, whichever process works for them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// for subscription in auth.list_subscriptions().await? {
    ///     println!("{}: {} behind, {} dead", subscription.name, subscription.lag, subscription.dead);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`].
    pub async fn list_subscriptions(&self) -> Result<Vec<SubscriptionStatus>> {
        let rows = self.core().db().on_read(&Subscriptions(None)).await?;
        Ok(rows.into_iter().map(SubscriptionStatus::from).collect())
    }

    /// Deletes a subscription: its place in the log and its dead letters. Its subscribers stop.
    ///
    /// # Errors
    /// - [`Error::SubscriptionNotFound`]; [`Error::Validation`] if it belongs to a webhook.
    pub fn delete_subscription(&self, name: impl Into<String>) -> Write<DeleteSubscription> {
        Write::new(self.core(), DeleteSubscription(name.into()))
    }

    /// Lists the dead letters of a subscription: the events that failed as often as it tries, oldest first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// # auth.subscribe("billing-sync", |_| async { Ok::<(), String>(()) }).await?;
    /// for letter in auth.list_dead_letters("billing-sync").await?.letters {
    ///     println!("{}: {}", letter.event.r#type, letter.error);
    ///     auth.replay_dead_letter("billing-sync", letter.event.id).await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn list_dead_letters(&self, name: impl Into<String>) -> ListDeadLetters {
        ListDeadLetters { core: self.core().clone(), name: name.into(), after: None, limit: 50 }
    }

    /// Delivers a dead letter again, soon, as if for the first time. What waits behind it goes on when it was delivered.
    ///
    /// # Errors
    /// - [`Error::SubscriptionNotFound`], [`Error::DeadLetterNotFound`].
    pub fn replay_dead_letter(&self, name: impl Into<String>, event: EventId) -> Write<ReplayDeadLetter> {
        Write::new(self.core(), ReplayDeadLetter { name: name.into(), event })
    }

    /// Delivers dead letters again, the oldest first: at most 500. Returns how many.
    ///
    /// # Errors
    /// - [`Error::SubscriptionNotFound`].
    pub fn replay_dead_letters(&self, name: impl Into<String>) -> Write<ReplayDeadLetters> {
        Write::new(self.core(), ReplayDeadLetters(name.into()))
    }

    /// Gives a dead letter up: it is never delivered. What waits behind it goes on.
    ///
    /// # Errors
    /// - [`Error::SubscriptionNotFound`], [`Error::DeadLetterNotFound`].
    pub fn drop_dead_letter(&self, name: impl Into<String>, event: EventId) -> Write<DropDeadLetter> {
        Write::new(self.core(), DropDeadLetter { name: name.into(), event })
    }
}

/// Where a new subscription begins. One that exists goes on where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Start {
    /// With what is committed from now on.
    #[default]
    Now,
    /// With the oldest event of the log.
    Beginning,
    /// After this event, which the log must have.
    After(EventId),
}

/// What becomes of a user's later events if one of them is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadLetterPolicy {
    /// They wait until the dead letter was replayed or dropped, so the order is kept.
    Hold,
    /// They are delivered without it.
    Pass,
}

/// A durable subscriber that starts when it is awaited; created by [`AuthFort::subscribe`].
///
/// | option | default | |
/// |---|---|---|
/// | `r#type(…)` | all | only events of this type; each further call adds one |
/// | `start(…)` | [`Start::Now`] | where it begins if there is no subscription of this name |
/// | `attempts(…)` | 20 | after how many failures an event is a dead letter, 1 to 100 |
/// | `dead_letters(…)` | [`Hold`](DeadLetterPolicy::Hold) | whether a dead letter holds the user's later events |
/// | `backoff(…)` | a second, an hour | the pause after the first failure, which doubles each time, and the longest one |
/// | `timeout(…)` | 30 seconds | how long the handler may take, from a millisecond to an hour |
/// | `concurrency(…)` | 64 | how many handlers run at once in this process, 1 to 1,000 |
/// | `lease(…)` | 10 seconds | after how long others take over the work of a process that died, from a second to 5 minutes |
///
/// # Guarantees
/// - Each event of the selected types is delivered until the handler returns `Ok`, or it is a dead letter. It may be delivered
///   more than once, as after a crash, always with the same [`id`](Event::id): make the handler idempotent by it.
/// - The events of one user are delivered in the order of their commits, one after the other. Events that concern no user are
///   treated like those of one user. There is no order between users.
/// - Only one process at a time delivers the events of a user, whatever their clocks say. All processes that subscribe by one name
///   share the work. A handler that blocks its thread cannot be stopped, so it may run beside another process's if the first
///   process lost the database for longer than its lease; an asynchronous one is cancelled before.
/// - A user for whom the handler fails or is slow holds up nobody else. Only if it fails for 10,000 users at once, of one of the
///   eight parts of all users, nothing new is delivered to that part until it succeeds for some: then the receiver is down.
/// - An error, a panic and a timeout are failures. A failed event is delivered again after a pause that doubles each time, up to
///   the longest one; each pause is shortened by up to half of it, at random.
///
/// The handler may call the library; if it owns an `AuthFort`, the service lives until [`close`](AuthFort::close). The text of its
/// error is stored and shown, cut to 1,000 bytes: put no secret into it. Tokens for mails are in no stored event;
/// [`on`](AuthFort::on) has them. While two versions of a program with different types run, each event is passed by the one whose
/// share it is in.
///
/// # Errors
/// - [`Error::Validation`] if the name does not match `^[a-z][a-z0-9_.-]{0,49}$`, a type is unknown, the log has no event where it
///   is to start after, or an option is out of range.
/// - [`Error::DatabaseUnavailable`]; [`Error::Overloaded`] if another transaction keeps the event locked where it is to start after.
#[must_use = "a subscriber starts when it is awaited"]
pub struct Subscribe {
    core: Core,
    settings: Settings,
    start: Start,
    handler: Handler,
}

impl fmt::Debug for Subscribe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribe").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Subscribe {
    /// Delivers only events of this type. Each further call adds a type.
    pub fn r#type(mut self, name: impl Into<String>) -> Self {
        self.settings.types.push(name.into());
        self
    }

    /// Sets where the subscription begins if it is new.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Sets after how many failures an event is a dead letter.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.settings.attempts = attempts;
        self
    }

    /// Sets whether a dead letter holds the user's later events.
    pub fn dead_letters(mut self, policy: DeadLetterPolicy) -> Self {
        self.settings.holds = policy == DeadLetterPolicy::Hold;
        self
    }

    /// Sets the pause after the first failure, and the longest one.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.settings.backoff = (first, longest);
        self
    }

    /// Sets how long the handler may take for an event.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Sets how many handlers run at once in this process.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.settings.concurrency = handlers;
        self
    }

    /// Sets after how long other processes take over the work of this one if it dies.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    fn check(&mut self) -> Result<()> {
        let settings = &mut self.settings;
        validate::subscription(&settings.name).map_err(|fault| Error::Validation(vec![fault]))?;
        check_types("type", &mut settings.types)?;
        let range = |field, is_within: bool, range: &str| {
            if is_within { Ok(()) } else { Err(Error::invalid(field, "out_of_range", format!("must be {range}"))) }
        };
        let second = Duration::from_secs(1);
        let (first, longest) = settings.backoff;
        range("attempts", (1..=100).contains(&settings.attempts), "between 1 and 100")?;
        range("concurrency", (1..=1_000).contains(&settings.concurrency), "between 1 and 1,000")?;
        range(
            "timeout",
            (second / 1_000..=second * 3_600).contains(&settings.timeout),
            "between a millisecond and an hour",
        )?;
        range("lease", (second..=second * 300).contains(&settings.lease), "between a second and 5 minutes")?;
        range(
            "backoff",
            first <= longest && longest <= second * 86_400 * 7,
            "at most a week, and the first pause not longer than the longest",
        )
    }

    /// Creates the subscription if there is none.
    async fn create(&self) -> Result<()> {
        let (tail, db) = (self.core.tail(), self.core.db());
        let name = self.settings.name.clone();
        if subscriptions::exists(&mut db.read().await?.conn(), &name).await? {
            return Ok(());
        }
        let position = match self.start {
            Start::Now => tail.end().await?,
            Start::Beginning => 0,
            Start::After(id) => tail
                .position_of(id)
                .await?
                .ok_or_else(|| Error::invalid("start", "not_found", "must be after an event that is in the log"))?,
        };
        Write::new(&self.core, CreateSubscription { name, position }).await
    }
}

impl IntoFuture for Subscribe {
    type Output = Result<Subscription>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            self.check()?;
            self.create().await?;
            let name = self.settings.name.clone();
            let control = self.core.delivery().start(self.settings, self.handler, None)?;
            Ok(Subscription { core: self.core, name, control })
        })
    }
}

/// A subscriber of this process. Dropping it changes nothing: a subscriber works as long as the service.
pub struct Subscription {
    core: Core,
    name: String,
    control: Arc<Control>,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Subscription {
    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how the subscription is doing, in all processes together.
    ///
    /// # Errors
    /// - [`Error::SubscriptionNotFound`] if it was deleted.
    pub async fn status(&self) -> Result<SubscriptionStatus> {
        let rows = self.core.db().on_read(&Subscriptions(Some(&self.name))).await?;
        rows.into_iter().next().map(SubscriptionStatus::from).ok_or(Error::SubscriptionNotFound)
    }

    /// Stops the subscriber of this process: handlers that run may finish for five seconds, and others take over its share. The
    /// subscription keeps its place. What did not finish is delivered again.
    pub async fn stop(self) {
        self.control.stop().await;
    }
}

/// How a subscription is doing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct SubscriptionStatus {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// How many events of the log, of any type, it has not passed yet; late by up to half a lease.
    pub lag: u64,
    /// How many events it passed and delivers again, or that wait behind such an event.
    pub waiting: u64,
    /// How many dead letters it has.
    pub dead: u64,
    /// How many processes work for it.
    pub processes: u64,
    /// What the handler said when it failed last.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<DateTime<Utc>>,
}

impl From<SubscriptionRow> for SubscriptionStatus {
    fn from(row: SubscriptionRow) -> Self {
        let number = |count: i64| u64::try_from(count).unwrap_or(0);
        Self {
            name: row.name,
            created_at: row.created_at,
            lag: number(row.lag),
            waiting: number(row.waiting),
            dead: number(row.dead),
            processes: number(row.members),
            last_error: row.last_error,
            last_error_at: row.last_error_at,
        }
    }
}

/// An event that failed as often as its subscription tries.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct DeadLetter {
    /// The event.
    pub event: Event,
    /// How often it failed.
    pub attempts: u64,
    /// What the handler said when it failed last.
    pub error: String,
    /// When that was.
    pub failed_at: Option<DateTime<Utc>>,
}

/// A page of dead letters.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct DeadLetterPage {
    /// The entries.
    pub letters: Vec<DeadLetter>,
    /// The cursor of the next page: pass it as `after`. None on the last page.
    pub next_cursor: Option<EventId>,
}

/// Reads dead letters, oldest first; created by [`AuthFort::list_dead_letters`].
///
/// One whose event was deleted from the log, or has data that is no JSON object, is left out.
///
/// # Errors
/// - [`Error::SubscriptionNotFound`].
/// - [`Error::Validation`] if `limit` is not 1 to 200, or `after` is not in the log.
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct ListDeadLetters {
    core: Core,
    name: String,
    after: Option<EventId>,
    limit: i64,
}

impl ListDeadLetters {
    /// Returns only dead letters whose events were committed after this one.
    pub fn after(mut self, id: EventId) -> Self {
        self.after = Some(id);
        self
    }

    /// Sets the page size, 1 to 200; 50 unless set.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = i64::from(limit);
        self
    }

    async fn list(self) -> Result<DeadLetterPage> {
        let db = self.core.db();
        if !(1..=200).contains(&self.limit) {
            return Err(Error::invalid("limit", "out_of_range", "must be between 1 and 200"));
        }
        if !subscriptions::exists(&mut db.read().await?.conn(), &self.name).await? {
            return Err(Error::SubscriptionNotFound);
        }
        let after = match self.after {
            None => 0,
            Some(id) => db
                .on_read(&PositionOf(id))
                .await?
                .flatten()
                .ok_or_else(|| Error::invalid("after", "not_found", "must be the id of an event in the log"))?,
        };
        // One more than requested tells whether another page follows.
        let dead = DeadAfter { name: &self.name, after, limit: self.limit + 1 };
        let mut dead = db.on_read(&dead).await?;
        let size = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = dead.len() > size;
        dead.truncate(size);
        let logged = db.on_read(&At(dead.iter().map(|dead| dead.position).collect())).await?;
        let next_cursor = logged.last().filter(|_| more).map(|logged| logged.id);
        let letter = |logged: crate::store::events::Logged| {
            let dead: &Dead = dead.iter().find(|dead| dead.position == logged.position)?;
            Some(DeadLetter {
                event: logged.event?,
                attempts: dead.attempts.unsigned_abs(),
                error: dead.error.clone().unwrap_or_default(),
                failed_at: dead.failed_at,
            })
        };
        Ok(DeadLetterPage { letters: logged.into_iter().filter_map(letter).collect(), next_cursor })
    }
}

impl IntoFuture for ListDeadLetters {
    type Output = Result<DeadLetterPage>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.list())
    }
}

struct CreateSubscription {
    name: String,
    position: i64,
}

impl Operation for CreateSubscription {
    type Output = ();

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<()>> {
        // Another process may have been quicker.
        let created = subscriptions::create(&mut work.conn, &self.name, LANES, self.position, work.now).await?;
        tracing::debug!(subscription = self.name, created, position = self.position, "subscribing");
        Ok(Verdict::Commit(()))
    }

    fn changes_users(&self) -> bool {
        false
    }
}

/// Deletes a subscription; created by [`AuthFort::delete_subscription`].
#[derive(Debug, Clone)]
pub struct DeleteSubscription(String);

impl Operation for DeleteSubscription {
    type Output = ();

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<()>> {
        if self.0.starts_with(OF_WEBHOOK) {
            return Err(Error::invalid("name", "not_allowed", "belongs to a webhook; delete the webhook"));
        }
        if subscriptions::delete(&mut work.conn, &self.0).await? {
            Ok(Verdict::Commit(()))
        } else {
            Err(Error::SubscriptionNotFound)
        }
    }

    fn changes_users(&self) -> bool {
        false
    }
}

/// Delivers a dead letter again; created by [`AuthFort::replay_dead_letter`].
#[derive(Debug, Clone)]
pub struct ReplayDeadLetter {
    name: String,
    event: EventId,
}

impl Operation for ReplayDeadLetter {
    type Output = ();

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<()>> {
        let dead = find(&mut work.conn, &self.name, self.event).await?;
        if deliveries::replay(&mut work.conn, &self.name, &[dead]).await? == 0 {
            return Err(Error::DeadLetterNotFound);
        }
        Ok(Verdict::Commit(()))
    }

    fn changes_users(&self) -> bool {
        false
    }
}

/// Delivers dead letters again; created by [`AuthFort::replay_dead_letters`].
#[derive(Debug, Clone)]
pub struct ReplayDeadLetters(String);

impl Operation for ReplayDeadLetters {
    type Output = u64;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<u64>> {
        let name = self.0.as_str();
        if !subscriptions::exists(&mut work.conn, name).await? {
            return Err(Error::SubscriptionNotFound);
        }
        let dead = crate::db::ReadQuery::run(&DeadAfter { name, after: -1, limit: REPLAYED }, &mut work.conn).await?;
        Ok(Verdict::Commit(deliveries::replay(&mut work.conn, name, &dead).await?))
    }

    fn changes_users(&self) -> bool {
        false
    }
}

/// Gives a dead letter up; created by [`AuthFort::drop_dead_letter`].
#[derive(Debug, Clone)]
pub struct DropDeadLetter {
    name: String,
    event: EventId,
}

impl Operation for DropDeadLetter {
    type Output = ();

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<()>> {
        let dead = find(&mut work.conn, &self.name, self.event).await?;
        // Else its owner could add an event behind this one meanwhile, which would wait for ever.
        subscriptions::lock_lane(&mut work.conn, &self.name, dead.lane).await?;
        // It may have been replayed or dropped while this waited.
        deliveries::dead(&mut work.conn, &self.name, dead.position).await?.ok_or(Error::DeadLetterNotFound)?;
        deliveries::delete(&mut work.conn, &self.name, &[dead.position]).await?;
        deliveries::promote(&mut work.conn, &self.name, dead.user_id, true).await?;
        Ok(Verdict::Commit(()))
    }

    fn changes_users(&self) -> bool {
        false
    }
}

async fn find(conn: &mut Conn<'_>, name: &str, event: EventId) -> Result<Dead> {
    if !subscriptions::exists(conn, name).await? {
        return Err(Error::SubscriptionNotFound);
    }
    let position =
        crate::db::ReadQuery::run(&PositionOf(event), conn).await?.flatten().ok_or(Error::DeadLetterNotFound)?;
    deliveries::dead(conn, name, position).await?.ok_or(Error::DeadLetterNotFound)
}
