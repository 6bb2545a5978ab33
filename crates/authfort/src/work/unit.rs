//! A unit of work: the connection inside its transaction, the time, the events to write, and the caller, who is
//! authorized once more under its locks.

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
    /// When the change happens: read anew under each lock, so that the times of two changes follow their order.
    pub(crate) now: DateTime<Utc>,
    /// The version that the user must be at, where the caller demands one; asked by the lock.
    pub(crate) if_version: Option<i64>,
    pub(super) events: Vec<Event>,
    reauthorized: bool,
}

impl<'a> Work<'a> {
    pub(super) fn new(core: &'a Core, conn: Conn<'a>, if_version: Option<i64>) -> Self {
        Self { core, now: core.now(), conn, if_version, events: Vec::new(), reauthorized: false }
    }

    pub(crate) fn actor(&self) -> &Actor {
        self.core.actor()
    }

    /// Locks a user's row until the transaction ends, and the caller's against changes: a ban or a demotion of the caller
    /// either comes first and is seen, or waits for this commit. In the order of the ids, so that two callers who act on
    /// each other do not wait for each other.
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

    /// To be called when a lock was waited for: it is later now.
    pub(crate) fn locked(&mut self) {
        self.now = self.core.now();
    }

    /// The same where the change locks no user.
    pub(super) async fn reauthorize_caller(&mut self) -> Result<()> {
        if let Some(caller) = self.to_reauthorize() {
            store::users::keep(&mut self.conn, caller).await?;
            self.locked();
        }
        self.reauthorize().await
    }

    /// The caller, where they are yet to be asked about.
    fn to_reauthorize(&self) -> Option<UserId> {
        let actor = self.actor();
        let asked = actor.bearer.is_some() || actor.must_hold.is_some();
        actor.user_id.filter(|_| asked && !self.reauthorized)
    }

    /// Asks what the guard asked when the request came in, which may be a while ago: a client can hold its body back, and
    /// a lock can take its time.
    async fn reauthorize(&mut self) -> Result<()> {
        let Some(user) = self.to_reauthorize() else { return Ok(()) };
        let actor = self.core.actor();
        let role = actor.must_hold.as_deref();
        match &actor.bearer {
            Some(bearer) => {
                if bearer.expires_at + delta(self.core.config().leeway) <= self.now {
                    return Err(Error::TokenExpired);
                }
                let caller = confirm(&mut self.conn, bearer, None, self.now).await?;
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
