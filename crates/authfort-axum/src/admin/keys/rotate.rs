//! `POST /keys/rotate`

use authfort::KeyInfo;
use axum::Json;

use crate::admin::Admin;
use crate::{Query, Rejection};

/// Makes a new key that signs from now on; the old one verifies for as long as its tokens live.
#[utoipa::path(
    post, path = "/keys/rotate", operation_id = "rotate_keys", tag = "keys", security(("bearer" = [])), responses((status = 200, body = KeyInfo))
)]
pub(crate) async fn rotate(admin: Admin, Query(()): Query<()>) -> Result<Json<KeyInfo>, Rejection> {
    Ok(Json(admin.auth.rotate_keys().await?))
}
