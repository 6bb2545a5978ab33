//! `/ui/users/{id}/roles`: gives a role.

use askama::Template;
use authfort::{FieldError, User};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::acts::{done, version};
use crate::Rejection;
use crate::admin::UserPath;
use crate::extract::Path;
use crate::ui::frame::{Frame, Staff, page};
use crate::ui::params::{Form, Params};
use crate::ui::step_up::StepUp;
use crate::ui::words;

#[derive(Template)]
#[template(path = "ui/grant.html")]
struct Grant {
    frame: Frame,
    user: User,
    admin_role: String,
    /// The roles that there are and the user does not have.
    roles: Vec<String>,
    needs_password: bool,
}

pub(in crate::ui) async fn form(staff: Staff, Path(UserPath { id }): Path<UserPath>) -> Result<Response, Rejection> {
    let user = staff.admin.auth.get_user(id).await?;
    let needs_password = staff.needs_password().await?;
    let admin_role = staff.admin.auth.admin_role().to_owned();
    let mut roles = staff.admin.auth.list_role_names().await?;
    roles.retain(|role| !user.has_role(role) && staff.admin.auth.is_role(role));
    page(StatusCode::OK, &Grant { frame: staff.frame, user, admin_role, roles, needs_password })
}

/// Refuses a role that nobody has, unless the form says that it is new: it may be a slip of the keys.
pub(super) async fn check_role(staff: &Staff, form: &Params) -> Result<(), Rejection> {
    let role = form.get("role").unwrap_or_default().trim();
    let auth = &staff.admin.auth;
    if form.get("new_role").is_some()
        || !auth.is_role(role)
        || auth.list_role_names().await?.iter().any(|name| name == role)
    {
        return Ok(());
    }
    let message = "is one that nobody has yet: correct it, or say that it is new";
    Err(Rejection::validation(vec![FieldError::new("role", "not_allowed", message)]))
}

pub(in crate::ui) async fn grant(
    step_up: StepUp,
    Path(UserPath { id }): Path<UserPath>,
    Form(mut form): Form,
) -> Result<Response, Rejection> {
    let version = version(&form)?;
    check_role(&step_up.staff, &form).await?;
    let (auth, cookies) = step_up.confirm(&mut form).await?;
    let role = form.get("role").unwrap_or_default().trim();
    let outcome = auth.add_role(id, role).if_version(version).await.map_err(Rejection::from);
    Ok((cookies, outcome.map(|_| done(&step_up.staff, id, "role_added"))).into_response())
}
