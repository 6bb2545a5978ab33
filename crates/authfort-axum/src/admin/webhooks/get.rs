//! `GET /webhooks/{id}`

use authfort::Webhook;
use axum::Json;

use super::WebhookPath;
use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

/// Returns a webhook.
#[utoipa::path(
    get, path = "/webhooks/{id}", operation_id = "get_webhook", tag = "webhooks", params(WebhookPath), security(("bearer" = [])),
    responses((status = 200, body = Webhook), (status = 404, description = "`webhook_not_found`", body = ErrorBody))
)]
pub(crate) async fn get(
    admin: Admin,
    Path(WebhookPath { id }): Path<WebhookPath>,
    Query(()): Query<()>,
) -> Result<Json<Webhook>, Rejection> {
    Ok(Json(admin.auth.get_webhook(id).await?))
}
