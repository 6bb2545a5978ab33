//! The core on both engines. Each file is a topic; each test is a sentence.
#![cfg(test)]

mod events;
mod list;
mod raw;
mod roles;
mod statements;
mod support;
mod users;
