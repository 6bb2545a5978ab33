//! `DELETE /users/{id}`

use authfort::{DeleteMode, UserId};
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::Admin;
use crate::admin::etag::{IfMatch, IfMatchHeader};
use crate::openapi::ErrorBody;
use crate::{FromParams, Params, Path, Query, Rejection};

pub(crate) struct Mode(DeleteMode);

impl FromParams for Mode {
    fn from_params(params: &mut Params) -> Result<Self, Rejection> {
        let modes = [("delete", DeleteMode::Delete), ("anonymize", DeleteMode::Anonymize)];
        Ok(Self(params.choice("mode", &modes)?.unwrap_or(DeleteMode::Delete)))
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Deleted {
    pub deleted: bool,
}

/// Deletes a user and all that hangs on it, or erases the person and keeps row and id.
#[utoipa::path(
    delete, path = "/users/{id}", operation_id = "delete_user", tag = "users", security(("bearer" = [])),
    params(
        ("id" = UserId, Path), ("mode" = Option<String>, Query, description = "`delete` (default) or `anonymize`."),
        IfMatchHeader,
    ),
    responses(
        (status = 200, body = Deleted),
        (status = 404, description = "`user_not_found`", body = ErrorBody),
        (status = 409, description = "`cannot_act_on_self`, `last_admin`, `blocked_by_reference`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn delete(
    admin: Admin,
    Path(id): Path<UserId>,
    if_match: IfMatch,
    Query(mode): Query<Mode>,
) -> Result<Json<Deleted>, Rejection> {
    admin.not_on_self(id)?;
    let mut call = admin.auth.delete_user(id);
    if mode.0 == DeleteMode::Anonymize {
        call = call.anonymize();
    }
    if_match.bind(&admin.auth, id, call).await?.await?;
    Ok(Json(Deleted { deleted: true }))
}
