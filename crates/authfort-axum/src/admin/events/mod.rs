//! `/events`

pub(super) mod list;
