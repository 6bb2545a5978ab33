//! `/ui/users/{id}/delete`: deletes or anonymizes.

use askama::Template;
use authfort::{DeletePreview, DeleteReceipt, FieldError, User, email_key};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::acts::version;
use crate::Rejection;
use crate::admin::UserPath;
use crate::extract::Path;
use crate::ui::frame::{Frame, Staff, page};
use crate::ui::params::Form;
use crate::ui::step_up::StepUp;
use crate::ui::words;

#[derive(Template)]
#[template(path = "ui/delete.html")]
struct Delete {
    frame: Frame,
    user: User,
    /// What would go: how many of what.
    belongings: [(&'static str, String); 5],
    /// Why it cannot be done.
    obstacle: Option<&'static str>,
    preview: DeletePreview,
    needs_password: bool,
}

pub(in crate::ui) async fn form(staff: Staff, Path(UserPath { id }): Path<UserPath>) -> Result<Response, Rejection> {
    let user = staff.admin.auth.get_user(id).deleted(true).await?;
    let preview = staff.admin.auth.preview_delete(id).await?;
    let obstacle = if staff.admin.user.user_id == id {
        Some("This is you: you cannot delete yourself.")
    } else if preview.is_last_admin {
        Some("This is the last administrator: without one, nobody could manage users.")
    } else {
        None
    };
    let needs_password = staff.needs_password().await?;
    let belongings = belongings(&preview.receipt);
    page(StatusCode::OK, &Delete { frame: staff.frame, user, belongings, obstacle, preview, needs_password })
}

fn belongings(preview: &DeleteReceipt) -> [(&'static str, String); 5] {
    [
        ("Roles", preview.roles),
        ("Sessions", preview.sessions),
        ("Refresh tokens", preview.refresh_tokens),
        ("Accounts at providers", preview.oauth_accounts),
        ("Verification tokens", preview.verification_tokens),
    ]
    .map(|(what, count)| (what, words::number(count)))
}

pub(in crate::ui) async fn delete(
    step_up: StepUp,
    Path(UserPath { id }): Path<UserPath>,
    Form(mut form): Form,
) -> Result<Response, Rejection> {
    let staff = &step_up.staff;
    staff.admin.not_on_self(id)?;
    let version = version(&form)?;
    let user = staff.admin.auth.get_user(id).deleted(true).await?;
    let typed = form.take("address").unwrap_or_default();
    if typed.trim() != user.email && email_key(&typed) != email_key(&user.email) {
        let fault = FieldError::new("address", "not_allowed", "is not the address of this person");
        return Err(Rejection::validation(vec![fault]));
    }
    let anonymizes = form.choice("mode", ["delete", "anonymize"])? == "anonymize";
    let (auth, cookies) = step_up.confirm(&mut form).await?;
    let mut call = auth.delete_user(id).if_version(version);
    if anonymizes {
        call = call.anonymize();
    }
    let outcome = call.await.map_err(Rejection::from);
    let address =
        if anonymizes { format!("/ui/users/{id}?done=user_deleted") } else { format!("/ui/users?deleted={id}") };
    Ok((cookies, outcome.map(|_| Redirect::to(&staff.frame.path(&address)))).into_response())
}
