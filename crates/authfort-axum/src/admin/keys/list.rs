//! `GET /keys`

use authfort::KeyInfo;
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::Admin;
use crate::{Query, Rejection};

#[derive(Serialize, ToSchema)]
pub(crate) struct Keys {
    /// The signing keys, newest first.
    keys: Vec<KeyInfo>,
}

/// Lists the signing keys, without their private parts.
#[utoipa::path(
    get, path = "/keys", operation_id = "list_keys", tag = "keys", security(("bearer" = [])), responses((status = 200, body = Keys))
)]
pub(crate) async fn list(admin: Admin, Query(()): Query<()>) -> Result<Json<Keys>, Rejection> {
    Ok(Json(Keys { keys: admin.auth.list_keys().await? }))
}
