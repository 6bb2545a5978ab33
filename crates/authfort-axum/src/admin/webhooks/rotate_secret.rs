//! `POST /webhooks/{id}/rotate-secret`

use authfort::secrecy::ExposeSecret;
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::WebhookPath;
use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

#[derive(Serialize, ToSchema)]
pub(crate) struct NewSecret {
    /// `whsec_` and base64. It is not shown again.
    secret: String,
}

/// Replaces the secret. For 24 hours the requests are signed with both.
#[utoipa::path(
    post, path = "/webhooks/{id}/rotate-secret", operation_id = "rotate_webhook_secret", tag = "webhooks", params(WebhookPath),
    security(("bearer" = [])),
    responses((status = 200, body = NewSecret), (status = 404, description = "`webhook_not_found`", body = ErrorBody))
)]
pub(crate) async fn rotate_secret(
    admin: Admin,
    Path(WebhookPath { id }): Path<WebhookPath>,
    Query(()): Query<()>,
) -> Result<Json<NewSecret>, Rejection> {
    let secret = admin.auth.rotate_webhook_secret(id).await?;
    Ok(Json(NewSecret { secret: secret.expose_secret().to_owned() }))
}
