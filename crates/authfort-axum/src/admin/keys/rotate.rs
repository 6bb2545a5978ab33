//! `POST /keys/rotate`

use authfort::KeyInfo;
use axum::Json;

use crate::admin::Admin;
use crate::{Query, Rejection};

/// Publishes a new signing key.
///
/// The new key signs once every verifier can know it; the old key signs until then. If a new key is already waiting,
/// that key is returned and none is created.
#[utoipa::path(
    post, path = "/keys/rotate", operation_id = "rotate_keys", tag = "keys", security(("bearer" = [])), responses((status = 200, body = KeyInfo))
)]
pub(crate) async fn rotate(admin: Admin, Query(()): Query<()>) -> Result<Json<KeyInfo>, Rejection> {
    Ok(Json(admin.auth.rotate_keys().await?))
}
