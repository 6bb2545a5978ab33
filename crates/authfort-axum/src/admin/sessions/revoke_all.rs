//! `DELETE /users/{id}/sessions`

use authfort::SessionId;
use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Revoked;
use crate::admin::etag::{IfMatch, IfMatchHeader};
use crate::admin::{Admin, UserPath};
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Except {
    /// The session to keep.
    except: Option<SessionId>,
}

/// Ends all sessions of a user, or all but one.
#[utoipa::path(
    delete, path = "/users/{id}/sessions", operation_id = "revoke_sessions", tag = "sessions", security(("bearer" = [])),
    params(UserPath, Except, IfMatchHeader),
    responses(
        (status = 200, body = Revoked),
        (status = 404, description = "`user_not_found`, `session_not_found`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn revoke_all(
    admin: Admin,
    Path(UserPath { id }): Path<UserPath>,
    if_match: IfMatch,
    Query(query): Query<Except>,
) -> Result<Json<Revoked>, Rejection> {
    let mut call = admin.auth.revoke_sessions(id);
    if let Some(session) = query.except {
        call = call.except(session);
    }
    Ok(Json(Revoked { revoked: if_match.bind(&admin.auth, id, call).await?.await? }))
}
