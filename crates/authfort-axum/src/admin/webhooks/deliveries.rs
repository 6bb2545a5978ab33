//! `GET /webhooks/{id}/deliveries`

use authfort::{EventId, WebhookDeliveryPage};
use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::WebhookPath;
use crate::admin::Admin;
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Only events before this one.
    before: Option<EventId>,
    /// The maximum number of deliveries, 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Lists what came of the events that a webhook tried to send in the last 30 days, the newest event first.
#[utoipa::path(
    get, path = "/webhooks/{id}/deliveries", operation_id = "list_webhook_deliveries", tag = "webhooks", params(WebhookPath, Page),
    security(("bearer" = [])),
    responses(
        (status = 200, body = WebhookDeliveryPage),
        (status = 400, body = ErrorBody),
        (status = 404, description = "`webhook_not_found`", body = ErrorBody),
        (status = 422, body = ErrorBody),
    )
)]
pub(crate) async fn list(
    admin: Admin,
    Path(WebhookPath { id }): Path<WebhookPath>,
    Query(page): Query<Page>,
) -> Result<Json<WebhookDeliveryPage>, Rejection> {
    let mut call = admin.auth.list_webhook_deliveries(id);
    if let Some(id) = page.before {
        call = call.before(id);
    }
    if let Some(limit) = page.limit {
        call = call.limit(limit);
    }
    Ok(Json(call.await?))
}
