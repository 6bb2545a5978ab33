//! `DELETE /users/{id}/sessions/{session_id}`

use authfort::{SessionId, UserId};
use axum::Json;

use super::Revoked;
use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

/// Ends one session.
#[utoipa::path(
    delete, path = "/users/{id}/sessions/{session_id}", operation_id = "revoke_session", tag = "sessions", security(("bearer" = [])),
    params(("id" = UserId, Path), ("session_id" = SessionId, Path)),
    responses(
        (status = 200, body = Revoked),
        (status = 404, description = "`user_not_found`, `session_not_found`", body = ErrorBody),
    )
)]
pub(crate) async fn revoke(
    admin: Admin,
    Path((id, session)): Path<(UserId, SessionId)>,
    Query(()): Query<()>,
) -> Result<Json<Revoked>, Rejection> {
    Ok(Json(Revoked { revoked: admin.auth.revoke_session(id, session).await? }))
}
