//! What a button on a person's page does at once: it can be taken back, or harms nobody.

use authfort::{Error, SessionId, UserId};
use axum::response::{IntoResponse, Redirect, Response};

use crate::Rejection;
use crate::admin::UserPath;
use crate::extract::Path;
use crate::ui::frame::Staff;
use crate::ui::params::{Form, Params};

/// Leads back to the person, where the log confirms the act.
pub(super) fn done(staff: &Staff, id: UserId, event: &str) -> Response {
    Redirect::to(&staff.frame.path(&format!("/ui/users/{id}?done={event}"))).into_response()
}

/// Returns the version that the form was made from.
pub(super) fn version(form: &Params) -> Result<i64, Rejection> {
    form.parsed("version").ok_or_else(|| Rejection::invalid_request("`version` is missing."))
}

pub(in crate::ui) async fn remove_role(
    staff: Staff,
    Path(UserPath { id }): Path<UserPath>,
    Form(form): Form,
) -> Result<Response, Rejection> {
    let role = form.get("role").unwrap_or_default();
    if role == staff.admin.auth.admin_role() {
        staff.admin.not_on_self(id)?;
    }
    staff.admin.auth.remove_role(id, role).if_version(version(&form)?).await?;
    Ok(done(&staff, id, "role_removed"))
}

pub(in crate::ui) async fn unban(
    staff: Staff,
    Path(UserPath { id }): Path<UserPath>,
    Form(form): Form,
) -> Result<Response, Rejection> {
    staff.admin.auth.unban_user(id).if_version(version(&form)?).await?;
    Ok(done(&staff, id, "user_unbanned"))
}

/// Ends one session, or all of them but the administrator's own.
pub(in crate::ui) async fn end_sessions(
    staff: Staff,
    Path(UserPath { id }): Path<UserPath>,
    Form(form): Form,
) -> Result<Response, Rejection> {
    if form.get("all").is_none() {
        let session = form.parsed::<SessionId>("session").ok_or(Error::SessionNotFound)?;
        staff.admin.auth.revoke_session(id, session).await?;
        return Ok(done(&staff, id, "session_revoked"));
    }
    let mut call = staff.admin.auth.revoke_sessions(id);
    if staff.admin.user.user_id == id {
        call = call.except(staff.admin.user.session_id);
    }
    call.await?;
    Ok(done(&staff, id, "session_revoked"))
}
