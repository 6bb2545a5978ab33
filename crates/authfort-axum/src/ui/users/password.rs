//! `/ui/users/{id}/password`: sets a password, which ends the sessions.

use askama::Template;
use authfort::User;
use authfort::secrecy::SecretString;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::acts::version;
use crate::Rejection;
use crate::admin::UserPath;
use crate::extract::Path;
use crate::ui::frame::{Frame, Staff, page};
use crate::ui::params::Form;
use crate::ui::step_up::StepUp;
use crate::ui::words;

#[derive(Template)]
#[template(path = "ui/password.html")]
struct SetPassword {
    frame: Frame,
    user: User,
    is_self: bool,
    needs_password: bool,
}

pub(in crate::ui) async fn form(staff: Staff, Path(UserPath { id }): Path<UserPath>) -> Result<Response, Rejection> {
    let user = staff.admin.auth.get_user(id).await?;
    let (is_self, needs_password) = (staff.admin.user.user_id == id, staff.needs_password().await?);
    page(StatusCode::OK, &SetPassword { frame: staff.frame, user, is_self, needs_password })
}

pub(in crate::ui) async fn set(
    step_up: StepUp,
    Path(UserPath { id }): Path<UserPath>,
    Form(mut form): Form,
) -> Result<Response, Rejection> {
    let version = version(&form)?;
    let password = SecretString::from(form.take("password").unwrap_or_default());
    let (auth, cookies) = step_up.confirm(&mut form).await?;
    let outcome = auth.set_password(id, password).if_version(version).await.map_err(Rejection::from);
    let address = step_up.staff.frame.path(&format!("/ui/users/{id}?done=password"));
    Ok((cookies, outcome.map(|()| axum::response::Redirect::to(&address))).into_response())
}
