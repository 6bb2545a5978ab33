//! `DELETE /users/{id}/sessions`

use authfort::{SessionId, UserId};
use axum::Json;

use super::Revoked;
use crate::admin::Admin;
use crate::admin::etag::{IfMatch, IfMatchHeader};
use crate::openapi::ErrorBody;
use crate::{FromParams, Params, Path, Query, Rejection};

pub(crate) struct Except(Option<SessionId>);

impl FromParams for Except {
    fn from_params(params: &mut Params) -> Result<Self, Rejection> {
        Ok(Self(params.uuid("except")?.map(Into::into)))
    }
}

/// Ends all sessions of a user, or all but one.
#[utoipa::path(
    delete, path = "/users/{id}/sessions", operation_id = "revoke_sessions", tag = "sessions", security(("bearer" = [])),
    params(
        ("id" = UserId, Path), ("except" = Option<SessionId>, Query, description = "The session that lives on."),
        IfMatchHeader,
    ),
    responses(
        (status = 200, body = Revoked),
        (status = 404, description = "`user_not_found`, `session_not_found`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn revoke_all(
    admin: Admin,
    Path(id): Path<UserId>,
    if_match: IfMatch,
    Query(except): Query<Except>,
) -> Result<Json<Revoked>, Rejection> {
    let mut call = admin.auth.revoke_sessions(id);
    if let Some(session) = except.0 {
        call = call.except(session);
    }
    Ok(Json(Revoked { revoked: if_match.bind(&admin.auth, id, call).await?.await? }))
}
