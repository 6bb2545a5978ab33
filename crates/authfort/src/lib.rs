//! User management on SQLite and PostgreSQL.

mod error;

pub use error::{Error, FieldError, Result};
