//! `DELETE /users/{id}/sessions/{session_id}`

use authfort::{SessionId, UserId};
use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Revoked;
use crate::admin::Admin;
use crate::admin::etag::{IfMatch, IfMatchHeader};
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

/// Identifies a session of a user.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct SessionPath {
    id: UserId,
    session_id: SessionId,
}

/// Ends one session.
#[utoipa::path(
    delete, path = "/users/{id}/sessions/{session_id}", operation_id = "revoke_session", tag = "sessions", security(("bearer" = [])),
    params(SessionPath, IfMatchHeader),
    responses(
        (status = 200, body = Revoked),
        (status = 404, description = "`user_not_found`, `session_not_found`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn revoke(
    admin: Admin,
    Path(SessionPath { id, session_id }): Path<SessionPath>,
    if_match: IfMatch,
    Query(()): Query<()>,
) -> Result<Json<Revoked>, Rejection> {
    let call = admin.auth.revoke_session(id, session_id);
    Ok(Json(Revoked { revoked: if_match.bind(&admin.auth, id, call).await?.await? }))
}
