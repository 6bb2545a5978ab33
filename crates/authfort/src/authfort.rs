//! The handle.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::core::Core;
use crate::hooks::HookHandle;
use crate::model::actor::Actor;
use crate::model::events::TypedEvent;
use crate::{EventId, Result, store};

/// The user-management service: a handle on a database, cheap to clone.
///
/// Every call returns a builder that does its work when it is awaited. A call that changes something can also join the
/// application's own transaction with [`Write::in_tx`](crate::Write::in_tx).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// use authfort::AuthFort;
/// let auth = AuthFort::connect("sqlite::memory:").await?;
/// auth.create_user("jane@example.com").name("Jane").role("editor").await?;
/// let page = auth.list_users().query("JAN").banned(false).role("editor").await?;
/// assert_eq!(page.total, Some(1));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct AuthFort {
    core: Core,
}

impl fmt::Debug for AuthFort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFort").field("issuer", &self.core.config().issuer).finish_non_exhaustive()
    }
}

impl AuthFort {
    pub(crate) fn new(core: Core) -> Self {
        Self { core }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Returns the current time of the configured clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.core.now()
    }

    /// Returns the name of the admin role.
    pub fn admin_role(&self) -> &str {
        &self.core.config().admin_role
    }

    /// Returns how long an access token is valid.
    pub fn access_ttl(&self) -> std::time::Duration {
        self.core.config().access_ttl
    }

    /// Returns whether both handles belong to the same service.
    pub fn is_same(&self, other: &Self) -> bool {
        self.core.is_same(&other.core)
    }

    /// Returns a handle that acts on behalf of an actor: every event that a call writes names them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let admin = auth.create_user("admin@example.com").role("admin").await?.id;
    /// let id = auth.create_user("jane@example.com").await?.id;
    /// let user = auth.by(admin).ban_user(id).reason("spam").await?;
    /// assert_eq!(user.banned_by, Some(admin));
    /// # Ok(()) }
    /// ```
    #[must_use = "the handle that it was called on stays as it is"]
    pub fn by(&self, actor: impl Into<Actor>) -> Self {
        Self::new(self.core.by(actor.into()))
    }

    /// Runs a hook after each event of one type: after the commit, in its own task, separate from the call. A hook that
    /// is slow or panics affects neither the call nor other hooks. It sees the events of a user in the order of their
    /// commits. Hooks live in this process and are lost with it; [`HookHandle::unsubscribe`] removes one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// use authfort::events::UserDeleted;
    /// let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    /// auth.on(move |e: UserDeleted| {
    ///     let sender = sender.clone();
    ///     async move { sender.send((e.user_id, e.email)).unwrap() }
    /// });
    /// let id = auth.create_user("jane@example.com").await?.id;
    /// auth.delete_user(id).await?;
    /// assert_eq!(receiver.recv().await, Some((id, "jane@example.com".to_owned())));
    /// # Ok(()) }
    /// ```
    pub fn on<E, F, Fut>(&self, hook: F) -> HookHandle
    where
        E: TypedEvent,
        F: Fn(E) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.core.hooks().on(EventId::new(self.core.now()), hook)
    }

    /// Checks that the database answers, on a connection like those of lists; returns within `acquire_timeout`.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable).
    pub async fn ping(&self) -> Result<()> {
        self.core.db().on_read(&store::Ping).await
    }

    /// Closes the connections once running calls have finished. Later calls fail. Ends the open
    /// [streams](Self::follow_events), and waits for at most five seconds until the hooks have run for what was committed before
    /// and the [subscribers](Self::subscribe) have finished what they were working on.
    pub async fn close(&self) {
        self.core.tail().end_streams();
        tokio::join!(self.core.delivery().stop(), self.core.hooks().finish());
        self.core.db().close().await;
        // Those that were opened meanwhile.
        self.core.tail().end_streams();
    }
}
