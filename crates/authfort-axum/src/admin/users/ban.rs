//! `POST /users/{id}/ban`

use authfort::User;
use axum::Json;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::etag::{IfMatch, IfMatchHeader, etag};
use crate::admin::{Admin, UserPath};
use crate::openapi::ErrorBody;
use crate::{OptionalJson, Path, Query, Rejection};

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ban {
    #[serde(default)]
    reason: Option<String>,
    /// When the ban ends; by default it does not end.
    #[serde(default, deserialize_with = "crate::rfc3339")]
    expires_at: Option<DateTime<Utc>>,
}

/// Bans a user and ends their sessions.
#[utoipa::path(
    post, path = "/users/{id}/ban", operation_id = "ban_user", tag = "users", request_body = Ban, params(UserPath, IfMatchHeader),
    security(("bearer" = [])),
    responses(
        (status = 200, body = User),
        (status = 404, description = "`user_not_found`", body = ErrorBody),
        (status = 409, description = "`cannot_act_on_self`, `last_admin`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn ban(
    admin: Admin,
    Path(UserPath { id }): Path<UserPath>,
    if_match: IfMatch,
    Query(()): Query<()>,
    OptionalJson(body): OptionalJson<Ban>,
) -> Result<impl IntoResponse, Rejection> {
    admin.not_on_self(id)?;
    let mut call = admin.auth.ban_user(id);
    if let Some(reason) = body.reason {
        call = call.reason(reason);
    }
    if let Some(at) = body.expires_at {
        call = call.expires_at(at);
    }
    let user = if_match.bind(&admin.auth, id, call).await?.await?;
    Ok((etag(&user), Json(user)))
}
