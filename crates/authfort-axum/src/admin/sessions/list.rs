//! `GET /users/{id}/sessions`

use authfort::{Session, UserId};
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{FromParams, Params, Path, Query, Rejection};

pub(crate) struct ActiveOnly(bool);

impl FromParams for ActiveOnly {
    fn from_params(params: &mut Params) -> Result<Self, Rejection> {
        Ok(Self(params.bool("active_only")?.unwrap_or_default()))
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Sessions {
    /// Newest first.
    sessions: Vec<Session>,
}

/// The sessions of a user.
#[utoipa::path(
    get, path = "/users/{id}/sessions", operation_id = "list_sessions", tag = "sessions", security(("bearer" = [])),
    params(("id" = UserId, Path), ("active_only" = Option<bool>, Query, description = "Only those that live.")),
    responses((status = 200, body = Sessions), (status = 404, description = "`user_not_found`", body = ErrorBody))
)]
pub(crate) async fn list(
    admin: Admin,
    Path(id): Path<UserId>,
    Query(active): Query<ActiveOnly>,
) -> Result<Json<Sessions>, Rejection> {
    Ok(Json(Sessions { sessions: admin.auth.list_sessions(id).active_only(active.0).await? }))
}
