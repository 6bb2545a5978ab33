//! A unit of work: the connection inside its transaction, the time, the events to write, and the caller, who is
//! reauthorized under its locks.

use chrono::{DateTime, Utc};

use crate::access::confirm;
use crate::clock::delta;
use crate::core::Core;
use crate::db::Conn;
use crate::events::{Draft, Event};
use crate::model::actor::Actor;
use crate::{Error, EventId, Result, UserId, store};

/// What an operation works with: the connection inside its transaction, the time, and the events to write.
#[derive(Debug)]
pub struct Work<'a> {
    pub(crate) core: &'a Core,
    pub(crate) conn: Conn<'a>,
    /// When the change happens: updated after each lock, so that the times of two changes follow their order.
    pub(crate) now: DateTime<Utc>,
    /// The version that the user must be at, if the caller requires one; checked under the lock.
    pub(crate) if_version: Option<i64>,
    pub(super) events: Vec<Event>,
    reauthorized: bool,
    /// Whether it revokes access tokens or sessions.
    pub(crate) revokes: bool,
}

impl<'a> Work<'a> {
    pub(super) fn new(core: &'a Core, conn: Conn<'a>, if_version: Option<i64>) -> Self {
        Self { core, now: core.now(), conn, if_version, events: Vec::new(), reauthorized: false, revokes: false }
    }

    pub(crate) fn actor(&self) -> &Actor {
        self.core.actor()
    }

    /// Locks a user's row until the transaction ends, and the caller's row against changes: a ban or a demotion of the
    /// caller either comes first and is seen, or waits for this commit. Rows are locked in the order of their ids, so
    /// that two callers who act on each other do not deadlock.
    pub(crate) async fn lock_row(&mut self, id: UserId) -> Result<()> {
        let caller = self.to_reauthorize().filter(|caller| *caller != id);
        if let Some(caller) = caller.filter(|caller| *caller < id) {
            store::users::keep(&mut self.conn, caller).await?;
        }
        store::users::lock(&mut self.conn, id).await?;
        if let Some(caller) = caller.filter(|caller| *caller > id) {
            store::users::keep(&mut self.conn, caller).await?;
        }
        self.locked();
        self.reauthorize().await
    }

    /// Updates the time. Call it after waiting for a lock.
    pub(crate) fn locked(&mut self) {
        self.now = self.core.now();
    }

    /// Reauthorizes the caller where the change locked no user.
    pub(super) async fn reauthorize_caller(&mut self) -> Result<()> {
        if let Some(caller) = self.to_reauthorize() {
            store::users::keep(&mut self.conn, caller).await?;
            self.locked();
        }
        self.reauthorize().await
    }

    /// Returns the caller if they still have to be reauthorized.
    fn to_reauthorize(&self) -> Option<UserId> {
        let actor = self.actor();
        let asked = actor.bearer.is_some() || actor.must_hold.is_some();
        actor.user_id.filter(|_| asked && !self.reauthorized)
    }

    /// Repeats the guard's check. Time may have passed since the request came in: a client can delay the body, and a
    /// lock can take long to acquire.
    async fn reauthorize(&mut self) -> Result<()> {
        let Some(user) = self.to_reauthorize() else { return Ok(()) };
        let actor = self.core.actor();
        let role = actor.must_hold.as_deref();
        match &actor.bearer {
            Some(bearer) => {
                if bearer.expires_at + delta(self.core.config().leeway) <= self.now {
                    return Err(Error::TokenExpired);
                }
                let caller = confirm(&mut self.conn, bearer, self.now).await?;
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
        self.reauthorized = true;
        Ok(())
    }

    /// Returns the client's address and user agent, for the events that name them.
    pub(crate) fn client(&self) -> (Option<String>, Option<String>) {
        (self.actor().ip_address.clone(), self.actor().user_agent.clone())
    }

    /// Adds an event, which is written at the end of the transaction.
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
