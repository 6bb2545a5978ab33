//! Plain types, and rules that need no database, no clock and no network.
//!
//! | file | holds |
//! |---|---|
//! | `user`, `actor`, `principal` | a user; on whose behalf a call is made; an authenticated caller |
//! | `filter`, `page`, `cursor` | which users, in which order, from which position |
//! | `delete` | what a deletion leaves |
//! | `events` | the types of events, each with its data |
//! | `json` | JSON from outside, read strictly |
//! | `claims`, `standing` | the claims of an access token, and whether it is valid |
//! | `role`, `validate` | the rules for a role's name, an address, a name … |

pub(crate) mod actor;
pub(crate) mod claims;
pub(crate) mod cursor;
pub(crate) mod delete;
pub mod events;
pub(crate) mod filter;
pub(crate) mod json;
pub(crate) mod page;
pub(crate) mod principal;
pub(crate) mod role;
pub(crate) mod standing;
pub(crate) mod user;
pub(crate) mod validate;
