//! `DELETE /users/{id}`

use authfort::DeleteMode;
use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::etag::{IfMatch, IfMatchHeader};
use crate::admin::{Admin, UserPath};
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Mode {
    /// What to do with the user: `delete` (default) or `anonymize`.
    #[param(inline)]
    mode: Option<DeleteMode>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Deleted {
    pub deleted: bool,
}

/// Deletes a user and everything that belongs to them, or anonymizes the user and keeps the row and the id.
#[utoipa::path(
    delete, path = "/users/{id}", operation_id = "delete_user", tag = "users", security(("bearer" = [])),
    params(UserPath, Mode, IfMatchHeader),
    responses(
        (status = 200, body = Deleted),
        (status = 404, description = "`user_not_found`", body = ErrorBody),
        (status = 409, description = "`cannot_act_on_self`, `last_admin`, `blocked_by_reference`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn delete(
    admin: Admin,
    Path(UserPath { id }): Path<UserPath>,
    if_match: IfMatch,
    Query(query): Query<Mode>,
) -> Result<Json<Deleted>, Rejection> {
    admin.not_on_self(id)?;
    let mut call = admin.auth.delete_user(id);
    if query.mode == Some(DeleteMode::Anonymize) {
        call = call.anonymize();
    }
    if_match.bind(&admin.auth, id, call).await?.await?;
    Ok(Json(Deleted { deleted: true }))
}
