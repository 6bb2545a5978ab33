//! `/users/{id}/roles`

pub(super) mod change;
pub(super) mod list;

use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub(crate) struct Roles {
    /// The names of the roles, sorted.
    roles: Vec<String>,
}
