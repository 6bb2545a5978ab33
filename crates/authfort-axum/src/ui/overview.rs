//! `/ui/overview`: the numbers of the service; each leads to the list that it counts.

use askama::Template;
use authfort::{DeletedFilter, KeyInfo, UserFilter};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Days, TimeDelta, Utc};

use super::frame::{Frame, Staff, page};
use super::params::{Params, midnight};
use super::rotate::PENDING;
use super::words;
use crate::Rejection;

/// How many days the chart has.
const DAYS: u64 = 30;
/// The size of the chart, in its own units.
const HEIGHT: u64 = 100;
const STEP: u64 = 20;

#[derive(Template)]
#[template(path = "ui/overview.html")]
struct Overview {
    frame: Frame,
    numbers: Vec<Number>,
    days: Vec<Day>,
    new_users: String,
    most: String,
    keys: Vec<KeyInfo>,
    now: DateTime<Utc>,
    /// What came of a rotation of the key.
    rotated: Option<&'static str>,
}

struct Number {
    what: &'static str,
    count: String,
    address: String,
}

/// A bar of the chart.
struct Day {
    /// `2026-11-30`, in UTC.
    date: String,
    count: u64,
    x: u64,
    y: u64,
    height: u64,
}

pub(super) async fn show(staff: Staff, params: Params) -> Result<Response, Rejection> {
    let (auth, frame) = (&staff.admin.auth, staff.frame.clone());
    let role = auth.admin_role();
    let filter = |change: fn(&mut UserFilter)| {
        let mut filter = UserFilter::default();
        change(&mut filter);
        filter
    };
    let mut administrators = UserFilter::default();
    administrators.roles = vec![role.to_owned()];
    let mut numbers = Vec::new();
    for (what, filter, query) in [
        ("Users", UserFilter::default(), String::new()),
        ("Administrators", administrators, format!("?role={role}")),
        ("Banned", filter(|filter| filter.banned = Some(true)), "?status=banned".into()),
        ("Not verified", filter(|filter| filter.email_verified = Some(false)), "?verified=false".into()),
        ("Anonymized", filter(|filter| filter.deleted = DeletedFilter::Only), "?status=anonymized".into()),
    ] {
        let count = words::number(auth.get_user_count().filter(filter).await?);
        numbers.push(Number { what, count, address: frame.path(&format!("/ui/users{query}")) });
    }
    numbers.push(active_sessions(&staff).await?);
    numbers.push(failing_logins(&staff).await?);
    let days = new_per_day(&staff).await?;
    let most = days.iter().map(|day| day.count).max().unwrap_or_default();
    let new_users = words::number(days.iter().map(|day| day.count).sum());
    let keys = auth.list_keys().await?;
    let rotated = match params.get("done") {
        Some("key_rotated") if has_rotated(&staff).await? => {
            Some(if keys.iter().any(|key| verifies(key, auth.now())) {
                "Done: Key rotated."
            } else {
                "Done: Key rotated. The old keys have ended."
            })
        }
        Some(PENDING) if keys.iter().any(is_pending) => Some("Nothing was done: a new key already waits to sign."),
        _ => None,
    };
    page(
        StatusCode::OK,
        &Overview { frame, numbers, days, new_users, most: words::number(most), keys, now: auth.now(), rotated },
    )
}

/// Whether an older key still counts.
fn verifies(key: &KeyInfo, now: DateTime<Utc>) -> bool {
    key.expires_at.is_some_and(|end| end > now)
}

/// What a key does, and the style of it.
pub(super) fn key_state(key: &KeyInfo, now: &DateTime<Utc>) -> (&'static str, &'static str) {
    match key.expires_at {
        Some(end) if end <= *now => ("ended", "muted"),
        _ if key.current => ("signs", "good"),
        _ if is_pending(key) => ("waits to sign", "warn"),
        _ => ("verifies", "muted"),
    }
}

/// Whether the key is the newest, and does not sign yet.
fn is_pending(key: &KeyInfo) -> bool {
    !key.current && key.expires_at.is_none()
}

async fn has_rotated(staff: &Staff) -> Result<bool, Rejection> {
    let newest = staff.admin.auth.list_events().r#type("key_rotated").limit(1).await?.events.pop();
    Ok(newest.is_some_and(|event| staff.has_just_done(&event)))
}

async fn active_sessions(staff: &Staff) -> Result<Number, Rejection> {
    let found = staff.admin.auth.count_sessions().await?;
    let more = if found.is_capped { " or more" } else { "" };
    Ok(Number {
        what: "Active sessions",
        count: format!("{}{more}", words::number(found.active)),
        address: staff.frame.path("/ui/sessions"),
    })
}

/// Failed sign-ins of today and yesterday. More than a page of them are not counted.
async fn failing_logins(staff: &Staff) -> Result<Number, Rejection> {
    let auth = &staff.admin.auth;
    let yesterday = (auth.now() - TimeDelta::days(1)).date_naive();
    let found = auth.list_events().r#type("login_failed").since(midnight(yesterday)).limit(200).await?;
    let more = if found.next_cursor.is_some() { " or more" } else { "" };
    Ok(Number {
        what: "Failed sign-ins since yesterday",
        count: format!("{}{more}", found.events.len()),
        address: staff.frame.path(&format!("/ui/events?type=login_failed&from={yesterday}")),
    })
}

async fn new_per_day(staff: &Staff) -> Result<Vec<Day>, Rejection> {
    let auth = &staff.admin.auth;
    let today = auth.now().date_naive();
    let mut counts = Vec::new();
    for back in (0..DAYS).rev() {
        let Some(day) = today.checked_sub_days(Days::new(back)) else { continue };
        let Some(next) = day.succ_opt() else { continue };
        let count = auth.get_user_count().created_after(midnight(day)).created_before(midnight(next)).await?;
        counts.push((day, count));
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or_default().max(1);
    let bar = |(index, (day, count)): (usize, (chrono::NaiveDate, u64))| {
        // A day with somebody shows at least a line.
        let height = (count * HEIGHT / most).max(u64::from(count > 0));
        let x = u64::try_from(index).unwrap_or_default() * STEP;
        Day { date: day.to_string(), count, x, y: HEIGHT - height, height }
    };
    Ok(counts.into_iter().enumerate().map(bar).collect())
}
