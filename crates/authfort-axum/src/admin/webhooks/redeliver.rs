//! `POST /webhooks/{id}/deliveries/{event_id}/redeliver`

use authfort::{EventId, WebhookId};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

/// Identifies a webhook and an event of the log.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct DeliveryPath {
    id: WebhookId,
    event_id: EventId,
}

/// Sends an event of the log again, or for the first time, within seconds.
#[utoipa::path(
    post, path = "/webhooks/{id}/deliveries/{event_id}/redeliver", operation_id = "redeliver_webhook", tag = "webhooks",
    params(DeliveryPath), security(("bearer" = [])),
    responses(
        (status = 202, description = "It will be sent."),
        (status = 404, description = "`webhook_not_found`, `event_not_found`", body = ErrorBody),
    )
)]
pub(crate) async fn redeliver(
    admin: Admin,
    Path(DeliveryPath { id, event_id }): Path<DeliveryPath>,
    Query(()): Query<()>,
) -> Result<StatusCode, Rejection> {
    admin.auth.redeliver_webhook(id, event_id).await?;
    Ok(StatusCode::ACCEPTED)
}
