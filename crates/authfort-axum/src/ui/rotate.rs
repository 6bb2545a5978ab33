//! `/ui/keys/rotate`: a new signing key.

use askama::Template;
use authfort::AuthFort;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::frame::{Frame, Staff, page};
use super::params::Form;
use super::step_up::StepUp;
use crate::Rejection;

/// What the overview is told if nothing was done, because a key waits to sign.
pub(super) const PENDING: &str = "key_pending";

#[derive(Template)]
#[template(path = "ui/rotate.html")]
struct Rotate {
    frame: Frame,
    needs_password: bool,
}

pub(super) async fn form(staff: Staff) -> Result<Response, Rejection> {
    let needs_password = staff.needs_password().await?;
    page(StatusCode::OK, &Rotate { frame: staff.frame, needs_password })
}

pub(super) async fn rotate(step_up: StepUp, Form(mut form): Form) -> Result<Response, Rejection> {
    let revokes = form.choice("mode", ["rotate", "revoke"])? == "revoke";
    let (auth, cookies) = step_up.confirm(&mut form).await?;
    let outcome = new_key(&auth, revokes).await.map_err(Rejection::from);
    let done = |is_new: bool| if is_new { "key_rotated" } else { PENDING };
    let overview = |is_new| step_up.staff.frame.path(&format!("/ui/overview?done={}", done(is_new)));
    Ok((cookies, outcome.map(|is_new| Redirect::to(&overview(is_new)))).into_response())
}

/// Returns whether there is a new key; none is made while one waits to sign.
async fn new_key(auth: &AuthFort, revokes: bool) -> authfort::Result<bool> {
    let before = auth.list_keys().await?;
    let mut call = auth.rotate_keys();
    if revokes {
        call = call.revoke_old_tokens();
    }
    let newest = call.await?;
    Ok(before.iter().all(|key| key.kid != newest.kid))
}
