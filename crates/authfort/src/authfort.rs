//! The handle.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::core::Core;
use crate::hooks::HookHandle;
use crate::model::actor::Actor;
use crate::model::events::TypedEvent;
use crate::{Result, store};

/// The user-management service: a handle on a database, cheap to clone.
///
/// Every call is a small builder that does its work when it is awaited. A call that changes something can also join the
/// application's own transaction, by [`Write::in_tx`](crate::Write::in_tx).
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

    /// The present, by the configured clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.core.now()
    }

    /// The role that administers.
    pub fn admin_role(&self) -> &str {
        &self.core.config().admin_role
    }

    /// How long an access token is good.
    pub fn access_ttl(&self) -> std::time::Duration {
        self.core.config().access_ttl
    }

    /// Whether two handles are of one service.
    pub fn is_same(&self, other: &Self) -> bool {
        self.core.is_same(&other.core)
    }

    /// The same service on behalf of somebody: every event that a call writes names them.
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

    /// Runs a hook after each event of a type: after the commit, apart from the call, in a task of its own. A hook that
    /// is slow or panics harms nobody. It sees the events of a user in the order of their commits. Hooks live in this
    /// process and are lost with it; [`HookHandle::unsubscribe`] takes one away.
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
        self.core.hooks().on(hook)
    }

    /// Asks the database for a sign of life, on a connection like those of lists; answers within `acquire_timeout`.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable).
    pub async fn ping(&self) -> Result<()> {
        self.core.db().on_read(&store::Ping).await
    }

    /// Closes the connections, once running calls are done. Calls after that fail.
    pub async fn close(&self) {
        self.core.db().close().await;
    }
}
