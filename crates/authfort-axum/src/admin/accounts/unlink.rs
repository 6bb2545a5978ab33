//! `DELETE /users/{id}/accounts/{provider}`

use axum::Json;

use super::AccountPath;
use crate::admin::Admin;
use crate::admin::etag::{IfMatch, IfMatchHeader};
use crate::admin::users::delete::Deleted;
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

/// Unlinks a user's account at an OAuth provider.
#[utoipa::path(
    delete, path = "/users/{id}/accounts/{provider}", operation_id = "unlink_account", tag = "accounts", security(("bearer" = [])),
    params(AccountPath, IfMatchHeader),
    responses(
        (status = 200, body = Deleted),
        (status = 404, description = "`user_not_found`, `account_not_found`", body = ErrorBody),
        (status = 409, description = "`last_credential`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn unlink(
    admin: Admin,
    Path(AccountPath { id, provider }): Path<AccountPath>,
    if_match: IfMatch,
    Query(()): Query<()>,
) -> Result<Json<Deleted>, Rejection> {
    let call = admin.auth.unlink_account(id, provider);
    if_match.bind(&admin.auth, id, call).await?.await?;
    Ok(Json(Deleted { deleted: true }))
}
