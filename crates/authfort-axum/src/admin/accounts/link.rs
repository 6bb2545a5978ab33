//! `PUT /users/{id}/accounts/{provider}`

use authfort::OauthAccount;
use axum::Json as Answer;
use serde::Deserialize;
use utoipa::ToSchema;

use super::AccountPath;
use crate::admin::Admin;
use crate::admin::etag::{IfMatch, IfMatchHeader};
use crate::openapi::ErrorBody;
use crate::{Json, Path, Query, Rejection};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkAccount {
    provider_account_id: String,
}

/// Links an account at an OAuth provider to a user; it replaces the user's current account at that provider.
#[utoipa::path(
    put, path = "/users/{id}/accounts/{provider}", operation_id = "link_account", tag = "accounts", request_body = LinkAccount,
    params(AccountPath, IfMatchHeader), security(("bearer" = [])),
    responses(
        (status = 200, body = OauthAccount),
        (status = 404, description = "`user_not_found`", body = ErrorBody),
        (status = 409, description = "`account_linked_elsewhere`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
        (status = 422, description = "`validation_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn link(
    admin: Admin,
    Path(AccountPath { id, provider }): Path<AccountPath>,
    if_match: IfMatch,
    Query(()): Query<()>,
    Json(body): Json<LinkAccount>,
) -> Result<Answer<OauthAccount>, Rejection> {
    let call = admin.auth.link_account(id, provider, body.provider_account_id);
    Ok(Answer(if_match.bind(&admin.auth, id, call).await?.await?))
}
