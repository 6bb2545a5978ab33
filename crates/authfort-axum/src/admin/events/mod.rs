//! `/events`

pub(super) mod list;
pub(crate) mod stream;
