//! A fresh database for each test, on both engines.
//!
//! A test that touches the database is written once, with [`both_engines!`], and runs on SQLite and on PostgreSQL. An
//! engine that is missing is a failure, never a skip: half a run must not look like a whole one.
//!
//! | engine | one test's database | where |
//! |---|---|---|
//! | SQLite | a file in a directory of its own | the system's temporary directory |
//! | PostgreSQL | `authfort_test_<unique>` | the server of [`POSTGRES_URL_VARIABLE`] |
//!
//! [`SmallDisk`] is a file system that can be filled up, [`Relay`] a network that can fall silent.
//!
//! The database is empty: migrating it is up to the test. It goes when its [`TestDatabase`] is dropped, which includes
//! a test that panics. Only a killed process leaves one behind; `scripts/test` removes those too, since it throws the
//! whole server away.
#![expect(clippy::expect_used, clippy::panic, reason = "a test helper fails the test that called it")]

mod both_engines;
mod database;
mod relay;
#[cfg(unix)]
mod small_disk;

pub use both_engines::run;
pub use database::{Engine, POSTGRES_URL_VARIABLE, TestDatabase};
pub use relay::Relay;
#[cfg(unix)]
pub use small_disk::{Ballast, SmallDisk};
