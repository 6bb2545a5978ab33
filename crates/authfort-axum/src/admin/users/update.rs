//! `PATCH /users/{id}`

use authfort::{FieldError, User};
use axum::Json as Answer;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::admin::etag::{IfMatch, IfMatchHeader, etag};
use crate::admin::{Admin, UserPath};
use crate::openapi::ErrorBody;
use crate::{Field, Json, Path, Query, Rejection};

/// A JSON merge patch (RFC 7396): an absent member is unchanged, a null member is cleared.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateUser {
    #[serde(default)]
    #[schema(value_type = String, required = false)]
    email: Field<String>,
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    email_verified: Field<bool>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    name: Field<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    avatar_url: Field<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    phone: Field<String>,
    #[serde(default)]
    #[schema(value_type = Option<HashMap<String, Value>>)]
    metadata: Field<Map<String, Value>>,
}

/// Changes a user.
#[utoipa::path(
    patch, path = "/users/{id}", operation_id = "update_user", tag = "users", security(("bearer" = [])),
    request_body(content((UpdateUser = "application/merge-patch+json"), (UpdateUser = "application/json"))),
    params(UserPath, IfMatchHeader),
    responses(
        (status = 200, body = User, headers(("ETag", description = "Its version."))),
        (status = 404, description = "`user_not_found`", body = ErrorBody),
        (status = 409, description = "`user_exists`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
        (status = 422, description = "`validation_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn update(
    admin: Admin,
    Path(UserPath { id }): Path<UserPath>,
    if_match: IfMatch,
    Query(()): Query<()>,
    Json(body): Json<UpdateUser>,
) -> Result<impl IntoResponse, Rejection> {
    let not_null = |field| Rejection::validation(vec![FieldError::new(field, "null", "cannot be cleared")]);
    let mut call = admin.auth.update_user(id);
    call = match body.email {
        Field::Absent => call,
        Field::Null => return Err(not_null("email")),
        Field::Value(email) => call.email(email),
    };
    call = match body.email_verified {
        Field::Absent => call,
        Field::Null => return Err(not_null("email_verified")),
        Field::Value(verified) => call.email_verified(verified),
    };
    call = match body.name {
        Field::Absent => call,
        Field::Null => call.clear_name(),
        Field::Value(name) => call.name(name),
    };
    call = match body.avatar_url {
        Field::Absent => call,
        Field::Null => call.clear_avatar_url(),
        Field::Value(url) => call.avatar_url(url),
    };
    call = match body.phone {
        Field::Absent => call,
        Field::Null => call.clear_phone(),
        Field::Value(phone) => call.phone(phone),
    };
    call = match body.metadata {
        Field::Absent => call,
        Field::Null => call.metadata(Map::new()),
        Field::Value(patch) => call.merge_metadata(patch),
    };
    let user = if_match.bind(&admin.auth, id, call).await?.await?;
    Ok((etag(&user), Answer(user)))
}
