//! `/webhooks`

pub(super) mod create;
pub(super) mod delete;
pub(super) mod deliveries;
pub(super) mod get;
pub(super) mod list;
pub(super) mod redeliver;
pub(super) mod rotate_secret;
pub(super) mod test;
pub(super) mod update;

use authfort::WebhookId;
use serde::Deserialize;
use utoipa::IntoParams;

/// Identifies a webhook.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct WebhookPath {
    pub(crate) id: WebhookId,
}
