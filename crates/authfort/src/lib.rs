//! User management on SQLite and PostgreSQL.

// The database parts call these.
#[allow(dead_code, unused_imports)]
mod crypto;
mod error;
#[allow(dead_code, unused_imports)]
mod passwords;

#[allow(dead_code, unused_imports)]
mod tokens;

pub use error::{Error, FieldError, Result};
