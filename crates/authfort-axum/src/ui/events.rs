//! `/ui/events`: the log, newest first.

use askama::Template;
use authfort::events::EVENT_TYPES;
use authfort::{EventId, UserId};
use axum::http::StatusCode;
use axum::response::Response;

use super::LIVE_EVENTS;
use super::frame::{Frame, Staff, page};
use super::log::{Entry, entries};
use super::params::{Params, day, days, midnight};
use super::words;
use crate::Rejection;

#[derive(Template)]
#[template(path = "ui/events.html")]
struct Events {
    frame: Frame,
    types: &'static [&'static str],
    r#type: String,
    from: String,
    until: String,
    user: Option<UserId>,
    /// What was written and names nobody.
    odd: Option<String>,
    entries: Vec<Entry>,
    /// The queries of the first page, and of the next one.
    newest: String,
    next: Option<String>,
    is_first: bool,
    /// What says that there is something new; none if that would not show here.
    stream: Option<String>,
}

/// Returns whom a text names; the log also has those who were deleted, by their ids.
async fn find_user_id(staff: &Staff, text: &str) -> Result<Option<UserId>, Rejection> {
    let found = staff.admin.auth.lookup_user(text).await?;
    Ok(found.map(|user| user.id).or_else(|| text.trim().parse().ok()))
}

pub(super) async fn list(staff: Staff, params: Params) -> Result<Response, Rejection> {
    let r#type = params.get("type").filter(|wanted| EVENT_TYPES.contains(wanted)).unwrap_or_default().to_owned();
    let user = match params.get("user") {
        Some(text) => find_user_id(&staff, text).await?,
        None => None,
    };
    let odd = params.get("user").filter(|_| user.is_none()).map(str::to_owned);
    let (from, until) = (day(&params, "from"), day(&params, "until"));
    let before = params.parsed::<EventId>("before");
    let mut call = staff.admin.auth.list_events().limit(50);
    if !r#type.is_empty() {
        call = call.r#type(&r#type);
    }
    if let Some(user) = user {
        call = call.user_id(user);
    }
    let (since, end) = days(&from, &until);
    if let Some(since) = since {
        call = call.since(midnight(since));
    }
    if let Some(end) = end {
        call = call.until(midnight(end));
    }
    if let Some(before) = before {
        call = call.before(before);
    }
    // Who names nobody gets nobody's events, and not everybody's.
    let found = if odd.is_some() { None } else { Some(call.await?) };
    let (events, next) = found.map_or_else(Default::default, |found| (found.events, found.next_cursor));
    let user_id = user.map_or_else(String::new, |user| user.to_string());
    let filters = [("type", &r#type), ("user", &user_id), ("from", &from), ("until", &until)];
    let given = filters.into_iter().filter(|(_, value)| !value.is_empty());
    let newest = given.fold("?".to_owned(), |query, (name, value)| format!("{query}{name}={value}&"));
    let next = next.map(|before| format!("{newest}before={before}"));
    let entries = entries(&staff, events).await?;
    let is_first = before.is_none();
    let frame = staff.frame;
    let mut stream = format!("{}?type={}", frame.path(LIVE_EVENTS), r#type);
    if r#type.is_empty() {
        stream = format!("{}?", frame.path(LIVE_EVENTS));
    }
    if let Some(user) = user {
        stream = format!("{stream}&user_id={user}");
    }
    let stream = (is_first && odd.is_none() && until.is_empty()).then_some(stream);
    page(
        StatusCode::OK,
        &Events { frame, types: EVENT_TYPES, r#type, from, until, user, odd, entries, newest, next, is_first, stream },
    )
}
