//! A fresh database for each test, on both engines.
//!
//! A test that uses the database is written once, with [`both_engines!`], and runs on SQLite and on PostgreSQL. A
//! missing engine fails the test and is never skipped, so that a partial run does not look like a complete one.
//!
//! | engine | one test's database | where |
//! |---|---|---|
//! | SQLite | a file in a directory of its own | the system's temporary directory |
//! | PostgreSQL | `authfort_test_<unique>` | the server of [`POSTGRES_URL_VARIABLE`] |
//!
//! [`Cluster`] is a PostgreSQL server that can be stopped, or have a replica. [`SmallDisk`] is a file system that can be
//! filled up. [`Relay`] is a network connection that can stop forwarding.
//!
//! The database is empty; the test runs the migrations. The database is removed when its [`TestDatabase`] is dropped,
//! also if the test panics. Only a killed process leaves a database behind; `scripts/test` removes those too, because
//! it discards the whole server.
#![expect(clippy::expect_used, clippy::panic, reason = "a test helper fails the test that called it")]

mod both_engines;
#[cfg(unix)]
mod cluster;
mod database;
mod relay;
#[cfg(unix)]
mod small_disk;

pub use both_engines::run;
#[cfg(unix)]
pub use cluster::Cluster;
pub use database::{Engine, POSTGRES_URL_VARIABLE, TestDatabase};
pub use relay::Relay;
#[cfg(unix)]
pub use small_disk::{Ballast, SmallDisk};
