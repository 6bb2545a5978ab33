//! `/ui/subscriptions`: who gets the events, and how far they are; and the dead letters of one subscription.

use askama::Template;
use authfort::{DeadLetter, EventId, FieldError, SubscriptionStatus};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::frame::{Frame, Staff, page};
use super::log::{Entry, entries};
use super::params::{Form, Params};
use super::step_up::StepUp;
use super::words;
use crate::Rejection;
use crate::extract::Path;

/// What is written in another way in a path: names have little of it.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b':');
/// How the subscriptions of webhooks are called, which have pages of their own.
const OF_WEBHOOK: &str = "webhook:";

#[derive(Template)]
#[template(path = "ui/subscriptions.html")]
struct List {
    frame: Frame,
    /// None if this program sends none.
    webhooks: Option<Vec<Webhook>>,
    /// Each with the path of its page.
    subscriptions: Vec<(String, SubscriptionStatus)>,
    /// Whether a webhook was just deleted.
    is_deleted: bool,
}

/// A webhook in the list.
pub(super) struct Webhook {
    pub address: String,
    pub url: String,
    pub description: Option<String>,
    pub state: (&'static str, &'static str),
    pub lag: u64,
    pub waiting: u64,
    pub dead: u64,
}

pub(super) async fn list(staff: Staff, params: Params) -> Result<Response, Rejection> {
    let is_deleted = params.get("done") == Some("webhook_deleted") && has_deleted(&staff).await?;
    let mut subscriptions = staff.admin.auth.list_subscriptions().await?;
    // Without pages of their own they are listed, since another program may send them.
    subscriptions.retain(|subscription| cfg!(not(feature = "webhooks")) || !subscription.name.starts_with(OF_WEBHOOK));
    let subscriptions = subscriptions.into_iter();
    let subscriptions = subscriptions.map(|one| (staff.frame.path(&address(&one.name)), one)).collect();
    let webhooks = webhooks(&staff).await?;
    page(StatusCode::OK, &List { frame: staff.frame, webhooks, subscriptions, is_deleted })
}

async fn has_deleted(staff: &Staff) -> Result<bool, Rejection> {
    let newest = staff.admin.auth.list_events().r#type("webhook_deleted").limit(1).await?.events.pop();
    Ok(newest.is_some_and(|event| staff.has_just_done(&event)))
}

#[cfg(feature = "webhooks")]
async fn webhooks(staff: &Staff) -> Result<Option<Vec<Webhook>>, Rejection> {
    super::webhooks::rows(staff).await.map(Some)
}

#[cfg(not(feature = "webhooks"))]
#[expect(clippy::unused_async, reason = "there is nothing to wait for without webhooks")]
async fn webhooks(_: &Staff) -> Result<Option<Vec<Webhook>>, Rejection> {
    Ok(None)
}

#[derive(Template)]
#[template(path = "ui/dead_letters.html")]
struct DeadLetters {
    frame: Frame,
    subscription: SubscriptionStatus,
    /// The path of this page, and of the one that leads here.
    address: String,
    back: String,
    letters: Vec<(Entry, DeadLetter)>,
    next: Option<String>,
    is_first: bool,
    /// What was just asked for.
    asked: Option<&'static str>,
}

/// Identifies a subscription.
#[derive(Deserialize)]
pub(super) struct NamePath {
    name: String,
}

/// Returns the page of a subscription.
pub(super) fn address(name: &str) -> String {
    format!("/ui/subscriptions/{}", utf8_percent_encode(name, IN_PATH))
}

pub(super) async fn show(
    staff: Staff,
    Path(NamePath { name }): Path<NamePath>,
    params: Params,
) -> Result<Response, Rejection> {
    let auth = &staff.admin.auth;
    let found = auth.list_subscriptions().await?.into_iter().find(|subscription| subscription.name == name);
    let subscription = found.ok_or(authfort::Error::SubscriptionNotFound)?;
    let address = staff.frame.path(&self::address(&name));
    let after = params.parsed::<EventId>("after");
    let mut call = auth.list_dead_letters(&name);
    if let Some(after) = after {
        call = call.after(after);
    }
    let found = match call.await {
        // A saved link whose event was deleted from the log: from the beginning.
        Err(authfort::Error::Validation(_)) if after.is_some() => return Ok(Redirect::to(&address).into_response()),
        found => found?,
    };
    let events = found.letters.iter().map(|letter| letter.event.clone()).collect();
    let letters = entries(&staff, events).await?.into_iter().zip(found.letters).collect();
    let next = found.next_cursor.map(|after| format!("{address}?after={after}"));
    let asked = match params.get("done") {
        Some("replayed") => {
            Some("What was chosen was to be delivered again: within seconds, if a process works for the subscription.")
        }
        Some("dropped") => {
            Some("The event was to be dropped: it is never delivered, and what waited behind it goes on.")
        }
        _ => None,
    };
    let back = match name.strip_prefix(OF_WEBHOOK).filter(|_| cfg!(feature = "webhooks")) {
        Some(id) => format!("/ui/webhooks/{id}"),
        None => "/ui/subscriptions".to_owned(),
    };
    let (back, is_first) = (staff.frame.path(&back), after.is_none());
    page(
        StatusCode::OK,
        &DeadLetters { frame: staff.frame, subscription, address, back, letters, next, is_first, asked },
    )
}

/// Delivers a dead letter again, or the oldest five hundred.
pub(super) async fn replay(
    staff: Staff,
    Path(NamePath { name }): Path<NamePath>,
    Form(form): Form,
) -> Result<Response, Rejection> {
    if form.get("all").is_some() {
        staff.admin.auth.replay_dead_letters(&name).await?;
    } else {
        staff.admin.auth.replay_dead_letter(&name, event(&form)?).await?;
    }
    Ok(done(&staff, &name, "replayed"))
}

#[derive(Template)]
#[template(path = "ui/drop.html")]
struct DropLetter {
    frame: Frame,
    /// The path of the subscription.
    address: String,
    event: EventId,
    needs_password: bool,
}

pub(super) async fn drop_form(
    staff: Staff,
    Path(NamePath { name }): Path<NamePath>,
    params: Params,
) -> Result<Response, Rejection> {
    let event = event(&params)?;
    let address = staff.frame.path(&address(&name));
    let needs_password = staff.needs_password().await?;
    page(StatusCode::OK, &DropLetter { frame: staff.frame, address, event, needs_password })
}

pub(super) async fn drop_letter(
    step_up: StepUp,
    Path(NamePath { name }): Path<NamePath>,
    Form(mut form): Form,
) -> Result<Response, Rejection> {
    let event = event(&form)?;
    let (auth, cookies) = step_up.confirm(&mut form).await?;
    let outcome = auth.drop_dead_letter(&name, event).await.map_err(Rejection::from);
    Ok((cookies, outcome.map(|()| done(&step_up.staff, &name, "dropped"))).into_response())
}

/// The event that a form names.
pub(super) fn event(form: &Params) -> Result<EventId, Rejection> {
    let fault = || Rejection::validation(vec![FieldError::new("event", "invalid", "must be the id of an event")]);
    form.parsed("event").ok_or_else(fault)
}

fn done(staff: &Staff, name: &str, what: &str) -> Response {
    Redirect::to(&staff.frame.path(&format!("{}?done={what}", address(name)))).into_response()
}
