//! `/users/{id}/accounts`

pub(super) mod link;
pub(super) mod list;
pub(super) mod unlink;
