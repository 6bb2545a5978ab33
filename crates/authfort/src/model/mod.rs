//! Plain types, and rules that ask nobody: no database, no clock, no network.
//!
//! | file | holds |
//! |---|---|
//! | `user`, `actor`, `principal` | a user; who a call is made for; a caller who proved who they are |
//! | `filter`, `page`, `cursor` | which users, in which order, from where on |
//! | `delete` | what a deletion leaves |
//! | `events` | what happened, each type with its data |
//! | `claims`, `standing` | what an access token says, and whether it counts |
//! | `role`, `validate` | what a role's name, an address, a name … is |

pub(crate) mod actor;
pub(crate) mod claims;
pub(crate) mod cursor;
pub(crate) mod delete;
pub mod events;
pub(crate) mod filter;
pub(crate) mod page;
pub(crate) mod principal;
pub(crate) mod role;
pub(crate) mod standing;
pub(crate) mod user;
pub(crate) mod validate;
