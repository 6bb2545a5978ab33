//! `PATCH /webhooks/{id}`

use authfort::{FieldError, Webhook};
use axum::Json as Answer;
use serde::Deserialize;
use utoipa::ToSchema;

use super::WebhookPath;
use crate::admin::Admin;
use crate::admin::events::list::EventType;
use crate::openapi::ErrorBody;
use crate::{Field, Json, Path, Query, Rejection};

/// A JSON merge patch (RFC 7396): an absent member is unchanged, a null member is cleared.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateWebhook {
    #[serde(default)]
    #[schema(value_type = String, required = false)]
    url: Field<String>,
    #[serde(default)]
    #[schema(inline, value_type = Vec<EventType>, required = false)]
    types: Field<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Field<String>,
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    enabled: Field<bool>,
}

/// Changes a webhook. Switched on again, it goes on with the first event that it has not sent.
#[utoipa::path(
    patch, path = "/webhooks/{id}", operation_id = "update_webhook", tag = "webhooks", params(WebhookPath), security(("bearer" = [])),
    request_body(content((UpdateWebhook = "application/merge-patch+json"), (UpdateWebhook = "application/json"))),
    responses(
        (status = 200, body = Webhook),
        (status = 404, description = "`webhook_not_found`", body = ErrorBody),
        (status = 422, description = "`validation_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn update(
    admin: Admin,
    Path(WebhookPath { id }): Path<WebhookPath>,
    Query(()): Query<()>,
    Json(body): Json<UpdateWebhook>,
) -> Result<Answer<Webhook>, Rejection> {
    let not_null = |field| Rejection::validation(vec![FieldError::new(field, "null", "cannot be cleared")]);
    let mut call = admin.auth.update_webhook(id);
    call = match body.url {
        Field::Absent => call,
        Field::Null => return Err(not_null("url")),
        Field::Value(url) => call.url(url),
    };
    call = match body.types {
        Field::Absent => call,
        Field::Null => return Err(not_null("types")),
        Field::Value(types) => call.types(types),
    };
    call = match body.description {
        Field::Absent => call,
        Field::Null => call.clear_description(),
        Field::Value(text) => call.description(text),
    };
    call = match body.enabled {
        Field::Absent => call,
        Field::Null => return Err(not_null("enabled")),
        Field::Value(on) => call.enabled(on),
    };
    Ok(Answer(call.await?))
}
