//! `/users`

pub(super) mod ban;
pub(super) mod count;
pub(super) mod create;
pub(super) mod delete;
mod filter;
pub(super) mod get;
pub(super) mod list;
pub(super) mod password;
pub(super) mod unban;
pub(super) mod update;
