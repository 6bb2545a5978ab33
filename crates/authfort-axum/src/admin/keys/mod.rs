//! `/keys`

pub(super) mod list;
pub(super) mod rotate;
