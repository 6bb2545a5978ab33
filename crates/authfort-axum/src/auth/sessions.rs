//! `GET /sessions`, `DELETE /sessions/{id}`

use authfort::{SessionId, SessionPage};
use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::{Revoked, SessionFilter};
use crate::openapi::ErrorBody;
use crate::{Auth, CurrentUser, Path, Query, Rejection};

/// Lists the caller's own sessions.
#[utoipa::path(
    get, path = "/sessions", operation_id = "list_own_sessions", tag = "auth", security(("bearer" = [])),
    params(SessionFilter),
    responses(
        (status = 200, description = "A page of sessions, newest first.", body = SessionPage),
        (status = 401, description = "`token_missing`, `token_invalid`, `token_expired`, `token_version_mismatch`, `session_revoked`, `user_not_found`", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    user: CurrentUser,
    Auth(auth): Auth,
    Query(filter): Query<SessionFilter>,
) -> Result<Json<SessionPage>, Rejection> {
    Ok(Json(filter.list(&auth, user.user_id).await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct SessionPath {
    id: SessionId,
}

/// Ends one of the caller's own sessions. The session of another user is reported as not found.
#[utoipa::path(
    delete, path = "/sessions/{id}", operation_id = "revoke_own_session", tag = "auth", security(("bearer" = [])),
    params(SessionPath),
    responses(
        (status = 200, description = "How many ended: 1, or 0 where it had ended.", body = Revoked),
        (status = 401, description = "`token_missing`, `token_invalid`, `token_expired`, `token_version_mismatch`, `session_revoked`, `user_not_found`", body = ErrorBody),
        (status = 404, description = "`session_not_found`", body = ErrorBody),
    )
)]
pub(crate) async fn revoke(
    user: CurrentUser,
    Auth(auth): Auth,
    Path(SessionPath { id }): Path<SessionPath>,
    Query(()): Query<()>,
) -> Result<Json<Revoked>, Rejection> {
    Ok(Json(Revoked { revoked: auth.revoke_session(user.user_id, id).await? }))
}
