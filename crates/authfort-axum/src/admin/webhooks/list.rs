//! `GET /webhooks`

use authfort::Webhook;
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::Admin;
use crate::{Query, Rejection};

#[derive(Serialize, ToSchema)]
pub(crate) struct Webhooks {
    /// The webhooks, the oldest first.
    webhooks: Vec<Webhook>,
}

/// Lists the webhooks.
#[utoipa::path(
    get, path = "/webhooks", operation_id = "list_webhooks", tag = "webhooks", security(("bearer" = [])),
    responses((status = 200, body = Webhooks))
)]
pub(crate) async fn list(admin: Admin, Query(()): Query<()>) -> Result<Json<Webhooks>, Rejection> {
    Ok(Json(Webhooks { webhooks: admin.auth.list_webhooks().await? }))
}
