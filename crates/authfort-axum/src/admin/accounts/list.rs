//! `GET /users/{id}/accounts`

use authfort::OauthAccount;
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::{Admin, UserPath};
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

#[derive(Serialize, ToSchema)]
pub(crate) struct Accounts {
    accounts: Vec<OauthAccount>,
}

/// Lists the accounts of a user at OAuth providers.
#[utoipa::path(
    get, path = "/users/{id}/accounts", operation_id = "list_accounts", tag = "accounts", params(UserPath), security(("bearer" = [])),
    responses((status = 200, body = Accounts), (status = 404, description = "`user_not_found`", body = ErrorBody))
)]
pub(crate) async fn list(
    admin: Admin,
    Path(UserPath { id }): Path<UserPath>,
    Query(()): Query<()>,
) -> Result<Json<Accounts>, Rejection> {
    Ok(Json(Accounts { accounts: admin.auth.list_accounts(id).await? }))
}
