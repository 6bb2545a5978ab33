//! `/ui/users/{id}/ban`

use askama::Template;
use authfort::{Error, FieldError, User};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{NaiveDateTime, TimeDelta};

use super::acts::{done, version};
use crate::Rejection;
use crate::admin::UserPath;
use crate::extract::Path;
use crate::ui::frame::{Frame, Staff, page};
use crate::ui::params::Form;
use crate::ui::words;

/// The choices of the form, in hours.
const HOURS: [i64; 4] = [1, 24, 168, 720];

#[derive(Template)]
#[template(path = "ui/ban.html")]
struct Ban {
    frame: Frame,
    user: User,
    /// Why it cannot be done.
    obstacle: Option<&'static str>,
    /// Whether somebody else has changed the person since the form was read.
    is_changed: bool,
    reason: String,
    lasts: String,
    until: String,
}

impl Ban {
    /// The form as the ban is now.
    fn of(staff: Staff, user: User) -> Self {
        let obstacle = (staff.admin.user.user_id == user.id).then_some("This is you.");
        let until = user.ban_expires_at.map_or_else(String::new, |at| at.format("%Y-%m-%dT%H:%M").to_string());
        let lasts = if until.is_empty() { "forever" } else { "until" }.to_owned();
        let reason = user.ban_reason.clone().unwrap_or_default();
        Self { frame: staff.frame, user, obstacle, is_changed: false, reason, lasts, until }
    }
}

pub(in crate::ui) async fn form(staff: Staff, Path(UserPath { id }): Path<UserPath>) -> Result<Response, Rejection> {
    let user = staff.admin.auth.get_user(id).await?;
    page(StatusCode::OK, &Ban::of(staff, user))
}

pub(in crate::ui) async fn ban(
    staff: Staff,
    Path(UserPath { id }): Path<UserPath>,
    Form(form): Form,
) -> Result<Response, Rejection> {
    staff.admin.not_on_self(id)?;
    let mut call = staff.admin.auth.ban_user(id).if_version(version(&form)?);
    if let Some(reason) = form.get("reason").map(str::trim).filter(|reason| !reason.is_empty()) {
        call = call.reason(reason);
    }
    let fault = |code, message| Rejection::validation(vec![FieldError::new("until", code, message)]);
    // A time that was written and would not count: which of the two is meant?
    let written = form.get("until").filter(|until| Some(*until) != form.get("until_was"));
    if written.is_some() && form.get("lasts") != Some("until") {
        return Err(fault(
            "not_allowed",
            "is written, and another choice is made: choose “until this time”, or empty it",
        ));
    }
    let end = match form.get("lasts") {
        None | Some("forever") => None,
        // The field has no seconds: who leaves it as it is means the end that the ban has.
        Some("until") if form.get("until").is_some() && written.is_none() => {
            staff.admin.auth.get_user(id).await?.ban_expires_at
        }
        Some("until") => {
            let until = form.get("until").ok_or_else(|| fault("required", "is missing"))?;
            // A browser leaves the seconds out if they are zero.
            let time = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
                .iter()
                .find_map(|f| NaiveDateTime::parse_from_str(until, f).ok());
            Some(time.ok_or_else(|| fault("invalid", "is not a time"))?.and_utc())
        }
        Some(hours) => {
            let hours = HOURS.into_iter().find(|choice| choice.to_string() == hours);
            let hours = hours.ok_or_else(|| fault("not_allowed", "is not one of the choices"))?;
            Some(staff.admin.auth.now() + TimeDelta::hours(hours))
        }
    };
    if let Some(end) = end {
        call = call.expires_at(end);
    }
    match call.await {
        Err(Error::PreconditionFailed) => {
            // Shown again with what was typed, for whoever has seen what it is now.
            let user = staff.admin.auth.get_user(id).await?;
            let text = |name| form.get(name).unwrap_or_default().to_owned();
            let (reason, lasts, until) = (text("reason"), text("lasts"), text("until"));
            let ban = Ban { is_changed: true, reason, lasts, until, ..Ban::of(staff, user) };
            page(StatusCode::PRECONDITION_FAILED, &ban)
        }
        outcome => {
            outcome?;
            Ok(done(&staff, id, "user_banned"))
        }
    }
}
