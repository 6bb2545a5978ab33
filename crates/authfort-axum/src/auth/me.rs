//! `GET /me`

use axum::Json;

use super::answer::Me;
use crate::openapi::ErrorBody;
use crate::{Auth, CurrentUser, Query, Rejection};

/// Returns the caller's own user.
#[utoipa::path(
    get, path = "/me", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = Me), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody))
)]
pub(crate) async fn me(caller: CurrentUser, Auth(auth): Auth, Query(()): Query<()>) -> Result<Json<Me>, Rejection> {
    let user = auth.get_user(caller.user_id).await?;
    Ok(Json(Me::new(user, caller.session_id)))
}
