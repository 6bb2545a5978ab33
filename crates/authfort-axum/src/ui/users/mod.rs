//! Users: the list, one person, and what can be done to them.
//!
//! A form has the version of the user that it was made from: if somebody else has changed the user since, nothing is done. Each
//! act ends with a redirect to a page that reads its result, and confirms the act only if the log has it.

pub(super) mod acts;
pub(super) mod ban;
pub(super) mod bulk;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod edit;
pub(super) mod grant;
pub(super) mod list;
pub(super) mod news;
pub(super) mod password;
pub(super) mod person;
