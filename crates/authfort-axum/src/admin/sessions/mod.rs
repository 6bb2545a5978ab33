//! `/users/{id}/sessions`

pub(super) mod list;
pub(super) mod revoke;
pub(super) mod revoke_all;

pub(crate) use list::SessionFilter;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub(crate) struct Revoked {
    /// The number of sessions that were ended.
    pub revoked: u64,
}
