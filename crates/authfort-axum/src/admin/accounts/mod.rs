//! `/users/{id}/accounts`

pub(super) mod link;
pub(super) mod list;
pub(super) mod unlink;

use authfort::UserId;
use serde::Deserialize;
use utoipa::IntoParams;

/// Identifies a user's account at a provider.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct AccountPath {
    id: UserId,
    provider: String,
}
