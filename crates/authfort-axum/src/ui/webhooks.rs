//! `/ui/webhooks/…`: one webhook and what it sent, and the forms to create and change one.

use askama::Template;
use authfort::events::EVENT_TYPES;
use authfort::secrecy::{ExposeSecret, SecretString};
use authfort::{DeliveryStatus, EventId, FieldError, WebhookDelivery, WebhookId};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::frame::{Frame, Staff, page};
use super::params::{Form, Params};
use super::step_up::StepUp;
use super::subscriptions::{self, event};
use super::words;
use crate::Rejection;
use crate::extract::Path;

/// Identifies a webhook.
#[derive(Deserialize)]
pub(super) struct IdPath {
    id: WebhookId,
}

fn address(id: WebhookId) -> String {
    format!("/ui/webhooks/{id}")
}

/// The webhooks, as the list shows them.
pub(super) async fn rows(staff: &Staff) -> Result<Vec<subscriptions::Webhook>, Rejection> {
    let row = |webhook: authfort::Webhook| subscriptions::Webhook {
        address: staff.frame.path(&address(webhook.id)),
        state: state(&webhook),
        url: webhook.url,
        description: webhook.description,
        lag: webhook.lag,
        waiting: webhook.waiting,
        dead: webhook.dead,
    };
    Ok(staff.admin.auth.list_webhooks().await?.into_iter().map(row).collect())
}

/// What a webhook does, and the style of it.
fn state(webhook: &authfort::Webhook) -> (&'static str, &'static str) {
    match (webhook.enabled, webhook.disabled_reason.as_deref(), webhook.failing_since) {
        (false, Some("gone"), _) => ("Off: the receiver is gone", "bad"),
        (false, Some(_), _) => ("Off: everything failed for days", "bad"),
        (false, None, _) => ("Off", "muted"),
        (true, _, Some(_)) => ("Failing", "warn"),
        (true, ..) => ("On", "good"),
    }
}

/// How far an event is, and the style of it.
pub(super) fn delivery_state(delivery: &WebhookDelivery) -> (&'static str, &'static str) {
    match delivery.status {
        DeliveryStatus::Delivered => ("Delivered", "good"),
        DeliveryStatus::Pending => ("Waits", "warn"),
        _ => ("Given up", "bad"),
    }
}

#[derive(Template)]
#[template(path = "ui/webhook.html")]
struct Shown {
    frame: Frame,
    webhook: authfort::Webhook,
    state: (&'static str, &'static str),
    /// The path of this page, and of its dead letters.
    address: String,
    dead_letters: String,
    deliveries: Vec<WebhookDelivery>,
    next: Option<String>,
    is_first: bool,
    receipt: Option<String>,
    /// Whether an event was to be sent again.
    is_asked: bool,
    tested: Option<authfort::WebhookAttempt>,
}

pub(super) async fn show(
    staff: Staff,
    Path(IdPath { id }): Path<IdPath>,
    params: Params,
) -> Result<Response, Rejection> {
    let receipt = receipt(&staff, id, &params).await?;
    shown(staff, id, &params, receipt, None).await
}

async fn shown(
    staff: Staff,
    id: WebhookId,
    params: &Params,
    receipt: Option<String>,
    tested: Option<authfort::WebhookAttempt>,
) -> Result<Response, Rejection> {
    let auth = &staff.admin.auth;
    let webhook = auth.get_webhook(id).await?;
    let before = params.parsed::<EventId>("before");
    let mut call = auth.list_webhook_deliveries(id);
    if let Some(before) = before {
        call = call.before(before);
    }
    let found = call.await?;
    let address = staff.frame.path(&address(id));
    let shown = Shown {
        state: state(&webhook),
        dead_letters: staff.frame.path(&subscriptions::address(&webhook.subscription)),
        next: found.next_cursor.map(|before| format!("{address}?before={before}")),
        is_first: before.is_none(),
        deliveries: found.deliveries,
        frame: staff.frame,
        webhook,
        address,
        receipt,
        is_asked: params.get("done") == Some("redelivered"),
        tested,
    };
    page(StatusCode::OK, &shown)
}

/// Says that an act was done, if the log has it.
async fn receipt(staff: &Staff, id: WebhookId, params: &Params) -> Result<Option<String>, Rejection> {
    let Some(done) = params.get("done") else { return Ok(None) };
    if done != "webhook_updated" {
        return Ok(None);
    }
    let newest = staff.admin.auth.list_events().r#type(done).limit(1).await?.events.pop();
    let id = id.to_string();
    let is_own = |event: &authfort::Event| {
        staff.has_just_done(event) && event.data.get("webhook_id").and_then(|id| id.as_str()) == Some(&id)
    };
    Ok(newest.filter(is_own).map(|event| format!("Done: {}.", words::happened(&event))))
}

pub(super) async fn test(staff: Staff, Path(IdPath { id }): Path<IdPath>) -> Result<Response, Rejection> {
    let attempt = staff.admin.auth.test_webhook(id).await?;
    let address = HeaderValue::from_str(&staff.frame.path(&address(id))).map_err(|_| Rejection::internal())?;
    let shown = shown(staff, id, &Params::default(), None, Some(attempt)).await?;
    Ok(([(HeaderName::from_static("hx-replace-url"), address)], shown).into_response())
}

/// What a browser asks for that loads the page again after a test.
pub(super) async fn after_test(staff: Staff, Path(IdPath { id }): Path<IdPath>) -> Redirect {
    Redirect::to(&staff.frame.path(&address(id)))
}

/// What a form says of the webhook that it was made from.
pub(super) fn version(webhook: &authfort::Webhook) -> String {
    webhook.updated_at.timestamp_micros().to_string()
}

/// Refuses a form that was made from another state, or that is sent twice.
async fn check_version(step_up: &StepUp, id: WebhookId, form: &Params) -> Result<(), Rejection> {
    let webhook = step_up.staff.admin.auth.get_webhook(id).await?;
    if form.get("version") == Some(&version(&webhook)) {
        return Ok(());
    }
    let message = "The webhook was changed in the meantime; read it again.";
    Err(Rejection::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", message))
}

pub(super) async fn redeliver(
    staff: Staff,
    Path(IdPath { id }): Path<IdPath>,
    Form(form): Form,
) -> Result<Response, Rejection> {
    staff.admin.auth.redeliver_webhook(id, event(&form)?).await?;
    Ok(Redirect::to(&staff.frame.path(&format!("{}?done=redelivered", address(id)))).into_response())
}

#[derive(Template)]
#[template(path = "ui/webhook_form.html")]
struct Fields {
    frame: Frame,
    /// The webhook that is changed; none for a new one.
    webhook: Option<authfort::Webhook>,
    /// The types, and whether they are chosen.
    types: Vec<(&'static str, bool)>,
    back: String,
    needs_password: bool,
}

impl Fields {
    async fn of(staff: Staff, webhook: Option<authfort::Webhook>) -> Result<Response, Rejection> {
        let needs_password = staff.needs_password().await?;
        let is_chosen =
            |name: &str| webhook.as_ref().is_some_and(|webhook| webhook.types.iter().any(|r#type| r#type == name));
        let types = EVENT_TYPES.iter().map(|name| (*name, is_chosen(name))).collect();
        let back = webhook.as_ref().map_or_else(|| "/ui/subscriptions".to_owned(), |webhook| address(webhook.id));
        let back = staff.frame.path(&back);
        page(StatusCode::OK, &Self { frame: staff.frame, webhook, types, back, needs_password })
    }
}

/// The types that a form has chosen.
fn types(form: &Params) -> impl Iterator<Item = &'static str> {
    EVENT_TYPES.iter().copied().filter(|name| form.get(&format!("type_{name}")).is_some())
}

pub(super) async fn new(staff: Staff) -> Result<Response, Rejection> {
    Fields::of(staff, None).await
}

pub(super) async fn create(step_up: StepUp, Form(mut form): Form) -> Result<Response, Rejection> {
    // Whoever presses the button twice has one.
    let url = form.get("url").unwrap_or_default().trim();
    if step_up.staff.admin.auth.list_webhooks().await?.iter().any(|webhook| webhook.url == url) {
        return Err(Rejection::validation(vec![FieldError::new("url", "exists", "is that of another webhook")]));
    }
    let (auth, cookies) = step_up.confirm(&mut form).await?;
    let mut call = auth.create_webhook(form.take("url").unwrap_or_default());
    for name in types(&form) {
        call = call.r#type(name);
    }
    if let Some(text) = form.take("description").filter(|text| !text.trim().is_empty()) {
        call = call.description(text);
    }
    let outcome = call.await.map_err(Rejection::from);
    let answer = outcome.and_then(|new| secret(step_up.staff, new.webhook.id, &new.secret, true));
    Ok((cookies, answer).into_response())
}

pub(super) async fn edit_form(staff: Staff, Path(IdPath { id }): Path<IdPath>) -> Result<Response, Rejection> {
    let webhook = staff.admin.auth.get_webhook(id).await?;
    Fields::of(staff, Some(webhook)).await
}

pub(super) async fn edit(
    step_up: StepUp,
    Path(IdPath { id }): Path<IdPath>,
    Form(mut form): Form,
) -> Result<Response, Rejection> {
    check_version(&step_up, id, &form).await?;
    let (auth, cookies) = step_up.confirm(&mut form).await?;
    let mut call = auth.update_webhook(id).url(form.take("url").unwrap_or_default()).types(types(&form));
    call = match form.take("description").filter(|text| !text.trim().is_empty()) {
        Some(text) => call.description(text),
        None => call.clear_description(),
    };
    let outcome = call.await.map_err(Rejection::from);
    let to = step_up.staff.frame.path(&format!("{}?done=webhook_updated", address(id)));
    Ok((cookies, outcome.map(|_| Redirect::to(&to))).into_response())
}

/// Switches a webhook on or off, which harms nobody: nothing is lost.
pub(super) async fn switch(
    staff: Staff,
    Path(IdPath { id }): Path<IdPath>,
    Form(form): Form,
) -> Result<Response, Rejection> {
    let on = form.choice("enabled", ["true", "false"])? == "true";
    staff.admin.auth.update_webhook(id).enabled(on).await?;
    Ok(Redirect::to(&staff.frame.path(&format!("{}?done=webhook_updated", address(id)))).into_response())
}

#[derive(Template)]
#[template(path = "ui/webhook_act.html")]
struct Act {
    frame: Frame,
    webhook: authfort::Webhook,
    address: String,
    /// Whether the webhook is deleted, or gets a new secret.
    deletes: bool,
    needs_password: bool,
}

async fn act(staff: Staff, id: WebhookId, deletes: bool) -> Result<Response, Rejection> {
    let webhook = staff.admin.auth.get_webhook(id).await?;
    let needs_password = staff.needs_password().await?;
    let address = staff.frame.path(&address(id));
    page(StatusCode::OK, &Act { frame: staff.frame, webhook, address, deletes, needs_password })
}

pub(super) async fn delete_form(staff: Staff, Path(IdPath { id }): Path<IdPath>) -> Result<Response, Rejection> {
    act(staff, id, true).await
}

pub(super) async fn delete(
    step_up: StepUp,
    Path(IdPath { id }): Path<IdPath>,
    Form(mut form): Form,
) -> Result<Response, Rejection> {
    let (auth, cookies) = step_up.confirm(&mut form).await?;
    let outcome = auth.delete_webhook(id).await.map_err(Rejection::from);
    let to = step_up.staff.frame.path("/ui/subscriptions?done=webhook_deleted");
    Ok((cookies, outcome.map(|()| Redirect::to(&to))).into_response())
}

pub(super) async fn secret_form(staff: Staff, Path(IdPath { id }): Path<IdPath>) -> Result<Response, Rejection> {
    act(staff, id, false).await
}

pub(super) async fn rotate_secret(
    step_up: StepUp,
    Path(IdPath { id }): Path<IdPath>,
    Form(mut form): Form,
) -> Result<Response, Rejection> {
    check_version(&step_up, id, &form).await?;
    let (auth, cookies) = step_up.confirm(&mut form).await?;
    let outcome = auth.rotate_webhook_secret(id).await.map_err(Rejection::from);
    let answer = outcome.and_then(|new| secret(step_up.staff, id, &new, false));
    Ok((cookies, answer).into_response())
}

#[derive(Template)]
#[template(path = "ui/webhook_secret.html")]
struct ShownOnce<'a> {
    frame: Frame,
    address: String,
    secret: &'a str,
    is_new: bool,
}

/// Shows a secret, this once.
fn secret(staff: Staff, id: WebhookId, secret: &SecretString, is_new: bool) -> Result<Response, Rejection> {
    let address = staff.frame.path(&address(id));
    page(StatusCode::OK, &ShownOnce { frame: staff.frame, address, secret: secret.expose_secret(), is_new })
}
