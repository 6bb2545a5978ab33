//! `POST /webhooks`

use authfort::Webhook;
use authfort::secrecy::ExposeSecret;
use axum::Json as Answer;
use axum::extract::OriginalUri;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::Admin;
use crate::admin::events::list::EventType;
use crate::openapi::ErrorBody;
use crate::{Json, Query, Rejection};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateWebhook {
    /// Where events are sent to: an `https` URL.
    url: String,
    /// Which types of events are sent; all if there are none.
    #[serde(default)]
    #[schema(inline, value_type = Option<Vec<EventType>>)]
    types: Option<Vec<String>>,
    /// What it is for.
    #[serde(default)]
    description: Option<String>,
    /// Whether anything is sent; `true` by default.
    #[serde(default)]
    enabled: Option<bool>,
}

/// A webhook, and what its requests are signed with.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewWebhook {
    #[serde(flatten)]
    webhook: Webhook,
    /// `whsec_` and base64. It is not shown again.
    secret: String,
}

/// Creates a webhook: from now on, each event is sent to a URL.
///
/// The requests are signed as the Standard Webhooks specification says. The answer has the secret.
#[utoipa::path(
    post, path = "/webhooks", operation_id = "create_webhook", tag = "webhooks", request_body = CreateWebhook,
    security(("bearer" = [])),
    responses(
        (status = 201, body = NewWebhook, headers(("Location", description = "The webhook."))),
        (status = 422, description = "`validation_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn create(
    admin: Admin,
    OriginalUri(uri): OriginalUri,
    Query(()): Query<()>,
    Json(body): Json<CreateWebhook>,
) -> Result<impl IntoResponse, Rejection> {
    let mut call = admin.auth.create_webhook(body.url).enabled(body.enabled.unwrap_or(true));
    for name in body.types.unwrap_or_default() {
        call = call.r#type(name);
    }
    if let Some(text) = body.description {
        call = call.description(text);
    }
    let new = call.await?;
    // Relative to the path where the router is mounted.
    let location = format!("{}/{}", uri.path().trim_end_matches('/'), new.webhook.id);
    let answer = NewWebhook { webhook: new.webhook, secret: new.secret.expose_secret().to_owned() };
    Ok((StatusCode::CREATED, [(LOCATION, location)], Answer(answer)))
}
