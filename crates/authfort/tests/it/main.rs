//! The core on both engines. Each file is a topic; each test is a sentence.
#![cfg(test)]

mod raw;
mod support;
mod users;

mod accounts;
mod faults;
mod passwords;
mod sessions;
mod tokens;
mod tools;
mod verification;
