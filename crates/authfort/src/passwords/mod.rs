//! Passwords: which ones are accepted, how they are kept, how they are checked.
//!
//! - [`PasswordPolicy`] decides by length alone, as NIST SP 800-63B-4 asks: no rules about kinds of characters, nothing
//!   is cut off, nothing is refused for being a space or an emoji.
//! - [`BreachGuard`] asks a hook of the application whether a password is known to attackers.
//! - [`PasswordHasher`] keeps and checks them with Argon2id, off the async runtime and no more at once than configured.
//!
//! Both setting and checking apply NFKC first, so a password typed composed on one keyboard and decomposed on another
//! is the same password.
//!
//! A password lives in memory as a [`SecretString`](secrecy::SecretString) that is cleared when dropped; it is in no
//! error, no event and no log line.

mod breach;
mod hash;
mod policy;

pub use breach::{BreachCheck, BreachFuture, OnFailure};
pub use hash::Hashing;
pub use policy::PasswordPolicy;

pub(crate) use breach::BreachGuard;
pub(crate) use hash::{PasswordHasher, Verdict};
pub(crate) use policy::NormalisedPassword;
