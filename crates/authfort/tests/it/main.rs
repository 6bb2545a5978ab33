//! The core on both engines. Each file is a topic; each test is a sentence.
#![cfg(test)]

mod database;
mod events;
mod file;
mod joined;
mod list;
mod raw;
mod roles;
mod sessions;
mod statements;
mod support;
mod tools;
mod users;
