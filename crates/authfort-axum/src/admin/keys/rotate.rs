//! `POST /keys/rotate`

use authfort::KeyInfo;
use axum::Json;

use crate::admin::Admin;
use crate::{Query, Rejection};

/// Publishes a new key, which signs once every verifier can know it; the old one signs until then. While one waits, that
/// one is answered.
#[utoipa::path(
    post, path = "/keys/rotate", operation_id = "rotate_keys", tag = "keys", security(("bearer" = [])), responses((status = 200, body = KeyInfo))
)]
pub(crate) async fn rotate(admin: Admin, Query(()): Query<()>) -> Result<Json<KeyInfo>, Rejection> {
    Ok(Json(admin.auth.rotate_keys().await?))
}
