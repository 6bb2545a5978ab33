//! `POST /webhooks/{id}/test`

use authfort::WebhookAttempt;
use axum::Json;

use super::WebhookPath;
use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

/// Sends an event of the type `webhook_test`, once, also if the webhook is switched off, and says what came of it.
#[utoipa::path(
    post, path = "/webhooks/{id}/test", operation_id = "test_webhook", tag = "webhooks", params(WebhookPath), security(("bearer" = [])),
    responses((status = 200, body = WebhookAttempt), (status = 404, description = "`webhook_not_found`", body = ErrorBody))
)]
pub(crate) async fn test(
    admin: Admin,
    Path(WebhookPath { id }): Path<WebhookPath>,
    Query(()): Query<()>,
) -> Result<Json<WebhookAttempt>, Rejection> {
    Ok(Json(admin.auth.test_webhook(id).await?))
}
