//! `/events`

pub(super) mod list;
pub(super) mod stream;
