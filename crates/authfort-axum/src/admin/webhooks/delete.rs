//! `DELETE /webhooks/{id}`

use axum::Json;

use super::WebhookPath;
use crate::admin::Admin;
use crate::admin::users::delete::Deleted;
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

/// Deletes a webhook, with its place in the log and what is known of its deliveries.
#[utoipa::path(
    delete, path = "/webhooks/{id}", operation_id = "delete_webhook", tag = "webhooks", params(WebhookPath), security(("bearer" = [])),
    responses((status = 200, body = Deleted), (status = 404, description = "`webhook_not_found`", body = ErrorBody))
)]
pub(crate) async fn delete(
    admin: Admin,
    Path(WebhookPath { id }): Path<WebhookPath>,
    Query(()): Query<()>,
) -> Result<Json<Deleted>, Rejection> {
    admin.auth.delete_webhook(id).await?;
    Ok(Json(Deleted { deleted: true }))
}
