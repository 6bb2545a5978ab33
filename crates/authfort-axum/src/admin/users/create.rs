//! `POST /users`

use authfort::User;
use axum::Json as Answer;
use axum::extract::OriginalUri;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::admin::Admin;
use crate::admin::etag::etag;
use crate::openapi::ErrorBody;
use crate::{Json, Query, Rejection};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateUser {
    email: String,
    /// Without one, the user cannot sign in by password until one is set.
    #[serde(default)]
    #[schema(format = Password, min_length = 8, max_length = 1024)]
    password: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    avatar_url: Option<String>,
    #[serde(default)]
    phone: Option<String>,
    #[serde(default)]
    email_verified: Option<bool>,
    #[serde(default)]
    roles: Option<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<HashMap<String, Value>>)]
    metadata: Option<Map<String, Value>>,
}

/// Creates a user, without a session.
#[utoipa::path(
    post, path = "/users", operation_id = "create_user", tag = "users", request_body = CreateUser, security(("bearer" = [])),
    responses(
        (status = 201, body = User, headers(("Location", description = "The user."), ("ETag", description = "Its version."))),
        (status = 409, description = "`user_exists`", body = ErrorBody),
        (status = 422, description = "`validation_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn create(
    admin: Admin,
    OriginalUri(uri): OriginalUri,
    Query(()): Query<()>,
    Json(body): Json<CreateUser>,
) -> Result<impl IntoResponse, Rejection> {
    let mut call = admin
        .auth
        .create_user(body.email)
        .email_verified(body.email_verified.unwrap_or_default())
        .metadata(body.metadata.unwrap_or_default());
    if let Some(password) = body.password {
        call = call.password(password);
    }
    if let Some(name) = body.name {
        call = call.name(name);
    }
    if let Some(url) = body.avatar_url {
        call = call.avatar_url(url);
    }
    if let Some(phone) = body.phone {
        call = call.phone(phone);
    }
    for role in body.roles.unwrap_or_default() {
        call = call.role(role);
    }
    let user = call.await?;
    // Relative to the path where the router is mounted.
    let location = format!("{}/{}", uri.path().trim_end_matches('/'), user.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], etag(&user), Answer(user)))
}
