//! Events as a page shows them.

use std::collections::{HashMap, hash_map};

use authfort::{Event, UserId};
use chrono::TimeDelta;

use super::frame::Staff;
use crate::Rejection;

/// For how long an act is confirmed on a page.
const RECEIPT: TimeDelta = TimeDelta::minutes(2);

impl Staff {
    /// Returns whether the event is an act that this administrator has just done.
    pub(super) fn has_just_done(&self, event: &Event) -> bool {
        event.actor_id == Some(self.admin.user.user_id) && self.admin.auth.now() - event.timestamp < RECEIPT
    }
}

pub(super) struct Entry {
    pub event: Event,
    /// Whom it is about.
    pub user: Option<Named>,
    /// Who did it.
    pub actor: Option<Named>,
    /// What the event says beside its type.
    pub facts: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
pub(super) struct Named {
    pub id: UserId,
    /// None for a user who was deleted.
    pub email: Option<String>,
}

/// Adds the addresses of today: an event has ids, and a user may have another address since.
pub(super) async fn entries(staff: &Staff, events: Vec<Event>) -> Result<Vec<Entry>, Rejection> {
    let ids = events.iter().flat_map(|event| [event.user_id, event.actor_id]).flatten().collect();
    let named = Names::read(staff, ids).await?;
    let entry = |event: Event| Entry {
        user: event.user_id.map(|id| named.of(id)),
        actor: event.actor_id.map(|id| named.of(id)),
        facts: facts(&event),
        event,
    };
    Ok(events.into_iter().map(entry).collect())
}

/// The addresses of users.
pub(super) struct Names(HashMap<UserId, Option<String>>);

impl Names {
    pub(super) async fn read(staff: &Staff, ids: Vec<UserId>) -> Result<Self, Rejection> {
        let mut known = HashMap::new();
        for id in ids {
            if let hash_map::Entry::Vacant(unknown) = known.entry(id) {
                unknown.insert(staff.admin.auth.find_user(id).deleted(true).await?.map(|user| user.email));
            }
        }
        Ok(Self(known))
    }

    pub(super) fn of(&self, id: UserId) -> Named {
        Named { id, email: self.0.get(&id).cloned().flatten() }
    }
}

fn facts(event: &Event) -> Vec<(String, String)> {
    let told = event.data.iter().filter(|(_, value)| !value.is_null());
    told.map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name.replace('_', " "), text)
    })
    .collect()
}
