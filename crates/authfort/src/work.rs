//! The one write path.
//!
//! Begin; lock what the rule needs; check the rule; write; append the events; commit; then fan out. Each operation
//! says only what lies between begin and commit ([`Operation::apply`]); the rest is here, once.
//!
//! - What comes before the transaction runs in the caller's future: who hangs up while a password waits to be hashed
//!   gives up the place. The transaction runs in a task of its own: a client that hangs up cannot leave it open or half
//!   done.
//! - Nothing slow happens inside the transaction. Where what was prepared does not fit what is found under the locks
//!   ([`Verdict::PrepareAgain`]), it is rolled back, prepared anew and run again, a few times.
//! - The caller is asked once more under the locks of the change, and their row is kept as it is until the commit.
//! - A deadlock, a serialisation failure or a locked file runs the whole unit again, with a growing pause, a few times and
//!   for a few seconds.
//! - An operation may commit and still fail ([`Verdict::CommitAndFail`]): a detected theft is recorded before it is reported.

mod locks;

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::Instrument;

use crate::access::confirm;
use crate::clock::delta;
use crate::core::Core;
use crate::db::{Conn, PooledConn, Savepoint, Tx};
use crate::events::{Draft, Event};
use crate::model::actor::Actor;
use crate::model::standing::Bearer;
pub(crate) use locks::at_version;

use crate::{Error, EventId, Result, UserId, store};

/// What becomes of the transaction.
#[derive(Debug)]
pub enum Verdict<T> {
    /// Commit, and succeed.
    Commit(T),
    /// Commit, and fail with this.
    CommitAndFail(Error),
    /// Roll back, prepare anew, and run again: what was prepared is out of date. Nothing was written yet.
    PrepareAgain,
}

/// A change that [`Write`] can make. Each type of change says here what it answers; only this library implements it.
///
/// ```
/// fn answers<O: authfort::Operation<Output = authfort::DeleteReceipt>>() {}
/// answers::<authfort::DeleteUser>();
/// ```
pub trait Operation: Send + Sync + 'static {
    /// What the call answers.
    type Output: Send + 'static;

    /// Checks and slow work before the transaction, such as hashing a password.
    #[doc(hidden)]
    fn prepare(&mut self, _before: &mut Before<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// What happens between begin and commit. It may run more than once.
    #[doc(hidden)]
    fn apply(&self, work: &mut Work<'_>) -> impl Future<Output = Result<Verdict<Self::Output>>> + Send;

    /// What the answer still lacks and takes no connection, such as a signature: once the one writer is free again.
    #[doc(hidden)]
    fn finish(&self, _core: &Core, _output: &mut Self::Output) -> Result<()> {
        Ok(())
    }

    /// Whose rows the change removes: where the application's rows do not let them go, their table is looked for.
    #[doc(hidden)]
    fn removes(&self) -> Option<UserId> {
        None
    }

    /// What follows the commit; not run inside the application's transaction, whose commit is not seen.
    #[doc(hidden)]
    fn committed(&self, _core: &Core) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A change that can take part in the application's transaction, by [`Write::in_tx`]. Signing in and refreshing cannot:
/// they write down a failure that they also report (a wrong password, a refresh token that comes back), and a rollback
/// would take that back.
///
/// ```compile_fail,E0277
/// # async fn example(auth: authfort::AuthFort, pool: authfort::sqlx::SqlitePool) -> authfort::Result<()> {
/// let mut tx = pool.begin().await?;
/// auth.refresh("afr_…").in_tx(&mut tx).await?;
/// # Ok(()) }
/// ```
pub trait Joinable: Operation {}

/// Whether to go on, asked of whoever keeps limits once the input is known to be acceptable.
pub(crate) type RateCheck = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// Takes the question: it is asked once, not again when the change is prepared again.
pub(crate) fn check_rate(ask: &mut Option<RateCheck>) -> Result<()> {
    ask.take().map_or(Ok(()), |ask| ask())
}

/// What an operation has before its transaction: a look at the database, through the application's transaction where it
/// joins one. What that wrote must be seen, and its connection may be the only one.
#[derive(Debug)]
pub struct Before<'a> {
    pub(crate) core: &'a Core,
    /// The version that the user must be at, where the caller demands one.
    pub(crate) if_version: Option<i64>,
    joined: Option<Conn<'a>>,
}

impl Before<'_> {
    /// A connection to read by. To be dropped before anything slow.
    pub(crate) async fn read(&mut self) -> Result<Lease<'_>> {
        match &mut self.joined {
            Some(conn) => Ok(Lease::Joined(conn.reborrow())),
            None => Ok(Lease::Pooled(self.core.db().read().await?)),
        }
    }

    /// The connection of the application's transaction, where there is one.
    pub(crate) fn joined(&mut self) -> Option<Conn<'_>> {
        self.joined.as_mut().map(Conn::reborrow)
    }
}

pub(crate) enum Lease<'a> {
    Pooled(PooledConn),
    Joined(Conn<'a>),
}

impl Lease<'_> {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Pooled(conn) => conn.conn(),
            Self::Joined(conn) => conn.reborrow(),
        }
    }
}

/// What an operation works with: the connection inside its transaction, the time, and the events to write.
#[derive(Debug)]
pub struct Work<'a> {
    pub(crate) core: &'a Core,
    pub(crate) conn: Conn<'a>,
    /// When the change happens: read anew under each lock, so that the times of two changes follow their order.
    pub(crate) now: DateTime<Utc>,
    /// The version that the user must be at, where the caller demands one; asked by the lock.
    pub(crate) if_version: Option<i64>,
    events: Vec<Event>,
    confirmed: bool,
}

impl<'a> Work<'a> {
    fn new(core: &'a Core, conn: Conn<'a>, if_version: Option<i64>) -> Self {
        Self { core, now: core.now(), conn, if_version, events: Vec::new(), confirmed: false }
    }

    pub(crate) fn actor(&self) -> &Actor {
        self.core.actor()
    }

    /// Locks a user's row until the transaction ends, and the caller's against changes: a ban or a demotion of the caller
    /// either comes first and is seen, or waits for this commit. In the order of the ids, so that two callers who act on
    /// each other do not wait for each other.
    pub(crate) async fn lock_row(&mut self, id: UserId) -> Result<()> {
        let caller = self.unconfirmed().filter(|caller| *caller != id);
        if let Some(caller) = caller.filter(|caller| *caller < id) {
            store::users::keep(&mut self.conn, caller).await?;
        }
        store::users::lock(&mut self.conn, id).await?;
        if let Some(caller) = caller.filter(|caller| *caller > id) {
            store::users::keep(&mut self.conn, caller).await?;
        }
        self.locked();
        self.confirm().await
    }

    /// To be called when a lock was waited for: it is later now.
    pub(crate) fn locked(&mut self) {
        self.now = self.core.now();
    }

    /// The same where the change locks no user.
    async fn confirm_caller(&mut self) -> Result<()> {
        if let Some(caller) = self.unconfirmed() {
            store::users::keep(&mut self.conn, caller).await?;
            self.locked();
        }
        self.confirm().await
    }

    /// The caller, where they are yet to be asked about.
    fn unconfirmed(&self) -> Option<UserId> {
        let actor = self.actor();
        let asked = actor.token.is_some() || actor.must_hold.is_some();
        actor.user_id.filter(|_| asked && !self.confirmed)
    }

    /// Asks what the guard asked when the request came in, which may be a while ago: a client can hold its body back, and
    /// a lock can take its time.
    async fn confirm(&mut self) -> Result<()> {
        let Some(user) = self.unconfirmed() else { return Ok(()) };
        let actor = self.core.actor();
        let role = actor.must_hold.as_deref();
        match actor.session_id.zip(actor.token) {
            Some((session, token)) => {
                if token.expires_at + delta(self.core.config().leeway) <= self.now {
                    return Err(Error::TokenExpired);
                }
                let bearer = Bearer {
                    user_id: user,
                    session_id: session,
                    token_version: token.version,
                    expires_at: token.expires_at,
                };
                let caller = confirm(&mut self.conn, &bearer, None, self.now).await?;
                if let Some(role) = role.filter(|role| !caller.has_role(role)) {
                    return Err(Error::InsufficientRole { role: role.to_owned() });
                }
            }
            None => {
                if let Some(role) = role
                    && !store::roles::is_usable_holder(&mut self.conn, user, role, self.now).await?
                {
                    return Err(Error::InsufficientRole { role: role.to_owned() });
                }
            }
        }
        self.confirmed = true;
        Ok(())
    }

    /// The client's address and its description of itself, for the events that name them.
    pub(crate) fn client(&self) -> (Option<String>, Option<String>) {
        (self.actor().ip_address.clone(), self.actor().user_agent.clone())
    }

    /// Writes an event at the end of the transaction.
    pub(crate) fn append(&mut self, draft: Draft) {
        let actor = self.core.actor();
        let event = Event {
            id: EventId::new(self.now),
            r#type: draft.r#type.to_owned(),
            timestamp: self.now,
            user_id: draft.user_id,
            actor_id: actor.user_id,
            request_id: actor.request_id.clone(),
            data: draft.data,
            token: draft.token,
        };
        self.events.push(event);
    }
}

/// A change that happens when it is awaited, or inside the application's transaction by [`in_tx`](Write::in_tx).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use authfort::{Algorithm, AuthFort};
/// let pool = authfort::sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
/// let auth = AuthFort::builder().algorithm(Algorithm::EdDsa).from_pool(pool.clone()).await?;
///
/// let mut tx = pool.begin().await?;
/// auth.create_user("jane@example.com").in_tx(&mut tx).await?;
/// tx.rollback().await?;
/// assert!(auth.find_user_by_email("jane@example.com").await?.is_none());
/// # Ok(()) }
/// ```
#[must_use = "a call does nothing until it is awaited"]
pub struct Write<O> {
    pub(crate) core: Core,
    pub(crate) op: O,
    if_version: Option<i64>,
    prepared: bool,
}

impl<O> std::fmt::Debug for Write<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Operations may hold passwords and tokens.
        f.write_str(std::any::type_name::<O>())
    }
}

/// A change of one user, which can be bound to a version: see [`Write::if_version`]. It locks the user before it does
/// anything, and the lock asks for the version.
///
/// ```
/// fn can_be_bound<O: authfort::Conditional>() {}
/// can_be_bound::<authfort::DeleteUser>();
/// ```
pub trait Conditional: Operation {}

impl<O: Conditional> Write<O> {
    /// Only if the user is still at this [`version`](crate::User::version), also where nothing would change. It is asked
    /// under the lock, so of several who read one version and write at once one succeeds.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let seen = auth.create_user("jane@example.com").await?;
    /// auth.add_role(seen.id, "editor").await?;
    /// let error = auth.delete_user(seen.id).if_version(seen.version).await.unwrap_err();
    /// assert_eq!(error.code(), "precondition_failed");
    /// # Ok(()) }
    /// ```
    ///
    /// The call then fails with [`Error::PreconditionFailed`], and has done nothing.
    pub fn if_version(mut self, version: i64) -> Self {
        self.if_version = Some(version);
        self
    }
}

const ATTEMPTS: u32 = 6;
/// No attempt begins after this: the caller waits, and each attempt may itself have waited for a lock.
const RETRY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a change is prepared: once, and again for as many others as changed what it was prepared for.
const ROUNDS: u32 = 4;

impl<O: Operation> Write<O> {
    pub(crate) fn new(core: &Core, op: O) -> Self {
        Self { core: core.clone(), op, if_version: None, prepared: false }
    }

    /// Does beforehand what needs no transaction: it checks the input and hashes a password. The call is then awaited, or
    /// joins a transaction, without spending that time once more: on SQLite nobody else writes while one is open.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use authfort::{Algorithm, AuthFort};
    /// # let pool = authfort::sqlx::SqlitePool::connect("sqlite::memory:").await?;
    /// # let auth = AuthFort::builder().algorithm(Algorithm::EdDsa).from_pool(pool.clone()).await?;
    /// let sign_up = auth.sign_up("jane@example.com", "correct horse battery").prepare().await?;
    /// let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    /// let signed_in = sign_up.in_tx(&mut tx).await?;
    /// tx.commit().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// What it finds is asked again under the locks where it may have changed: waiting between the two is no danger.
    ///
    /// # Errors
    /// Those of the operation that the input causes, such as [`Error::Validation`].
    pub async fn prepare(mut self) -> Result<Self> {
        if !self.prepared {
            self.op.prepare(&mut Before { core: &self.core, if_version: self.if_version, joined: None }).await?;
            self.prepared = true;
        }
        Ok(self)
    }

    async fn run(mut self) -> Result<O::Output> {
        for _ in 0..ROUNDS {
            self = self.prepare().await?;
            // A task of its own: dropping the caller's future does not cancel it between begin and commit.
            // In the caller's span still: what is logged on the way belongs to the request.
            let unit = tokio::spawn(async move { (commit(&self).await, self) }.in_current_span());
            let (outcome, write) = unit.await.map_err(Error::internal)?;
            match outcome? {
                Some(output) => return Ok(output),
                None => self = Self { prepared: false, ..write },
            }
        }
        Err(Error::Overloaded)
    }
}

impl<O: Joinable> Write<O> {
    /// Takes part in the application's own transaction: what this does is committed or rolled back with it. Where it
    /// fails, the transaction stays usable and holds nothing of it. Hooks run once the transaction has committed.
    ///
    /// Row locks are held until then, so keep the transaction short. On SQLite begin it with `BEGIN IMMEDIATE`.
    ///
    /// # Errors
    /// Those of the operation. [`Error::Config`] where the transaction is of another engine than the pool, or on
    /// SQLite does not keep foreign keys.
    pub async fn in_tx<'c>(mut self, tx: impl Into<Conn<'c>>) -> Result<O::Output> {
        let mut conn = tx.into();
        self.core.db().check_joined(&mut conn).await?;
        Savepoint::begin(&mut conn).await?;
        match self.join(&mut conn).await {
            Ok((mut output, events)) => {
                Savepoint::release(&mut conn).await?;
                if !self.core.hooks().is_empty() && !events.is_empty() {
                    let transaction = conn.open_transaction().await?;
                    self.core.hooks().publish_when_committed(self.core.db().clone(), transaction, events);
                }
                self.op.finish(&self.core, &mut output)?;
                Ok(output)
            }
            Err(error) => {
                // Some errors end the whole transaction. The error of the operation is the one to report.
                if let Err(second) = Savepoint::roll_back(&mut conn).await {
                    tracing::debug!(error = %second, "rolling back to the savepoint");
                    return Err(error);
                }
                Err(named(&self.op, &mut conn, error).await)
            }
        }
    }

    async fn join(&mut self, conn: &mut Conn<'_>) -> Result<(O::Output, Vec<Event>)> {
        for _ in 0..ROUNDS {
            if !std::mem::take(&mut self.prepared) {
                let joined = Some(conn.reborrow());
                self.op.prepare(&mut Before { core: &self.core, if_version: self.if_version, joined }).await?;
            }
            let mut work = Work::new(&self.core, conn.reborrow(), self.if_version);
            match execute(&self.op, &mut work).await? {
                Verdict::Commit(output) => return Ok((output, work.events)),
                Verdict::CommitAndFail(error) => return Err(error),
                Verdict::PrepareAgain => {}
            }
        }
        Err(Error::Overloaded)
    }
}

/// Runs the transaction until it is committed; `None` where it has to be prepared anew.
async fn commit<O: Operation>(write: &Write<O>) -> Result<Option<O::Output>> {
    let started = tokio::time::Instant::now();
    let mut pause = Duration::from_millis(5);
    let mut attempt = 1;
    loop {
        match attempt_once(write).await {
            Err(Error::DatabaseUnavailable(error))
                if crate::db::is_conflict(&error) && attempt < ATTEMPTS && started.elapsed() < RETRY_TIMEOUT =>
            {
                tracing::debug!(%error, attempt, "running the transaction again");
                tokio::time::sleep(pause + jitter(pause)).await;
                pause *= 2;
                attempt += 1;
            }
            Err(error @ Error::BlockedByReference { table: None }) => {
                return Err(match write.core.db().read().await {
                    Ok(mut conn) => named(&write.op, &mut conn.conn(), error).await,
                    Err(_) => error,
                });
            }
            outcome => return outcome,
        }
    }
}

/// Names the table that holds a user back, where the engine did not. It is asked once the change has been undone.
async fn named<O: Operation>(op: &O, conn: &mut Conn<'_>, error: Error) -> Error {
    match (error, op.removes()) {
        (Error::BlockedByReference { table: None }, Some(user)) => {
            let table = conn.blocking_table(user).await.unwrap_or_else(|second| {
                tracing::debug!(error = %second, "looking for the table that refers to the user");
                None
            });
            Error::BlockedByReference { table }
        }
        (error, _) => error,
    }
}

async fn attempt_once<O: Operation>(write: &Write<O>) -> Result<Option<O::Output>> {
    let Write { core, op, if_version, .. } = write;
    let mut tx: Tx = core.db().begin().await?;
    let mut work = Work::new(core, tx.conn(), *if_version);
    let verdict = execute(op, &mut work).await;
    let events = work.events;
    match verdict {
        Ok(Verdict::Commit(mut output)) => {
            let turn = core.hooks().turn();
            tx.commit().await?;
            turn.publish(events);
            op.finish(core, &mut output)?;
            op.committed(core).await;
            Ok(Some(output))
        }
        Ok(Verdict::CommitAndFail(error)) => {
            let turn = core.hooks().turn();
            tx.commit().await?;
            turn.publish(events);
            op.committed(core).await;
            Err(error)
        }
        Ok(Verdict::PrepareAgain) => {
            tx.rollback().await?;
            Ok(None)
        }
        Err(error) => {
            // The error of the operation is the one to report.
            if let Err(second) = tx.rollback().await {
                tracing::debug!(error = %second, "rolling back");
            }
            Err(error)
        }
    }
}

async fn execute<O: Operation>(op: &O, work: &mut Work<'_>) -> Result<Verdict<O::Output>> {
    let verdict = op.apply(work).await?;
    if matches!(verdict, Verdict::PrepareAgain) {
        return Ok(verdict);
    }
    work.confirm_caller().await?;
    if !work.events.is_empty() {
        store::events::append(&mut work.conn, &work.events, work.core.actor()).await?;
    }
    Ok(verdict)
}

/// Up to as much again, so that two who ran into each other do not do so once more.
fn jitter(pause: Duration) -> Duration {
    let random = crate::crypto::random::<1>().map_or(0, |[byte]| u32::from(byte));
    pause * random / 256
}

impl<O: Operation> IntoFuture for Write<O> {
    type Output = Result<O::Output>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
