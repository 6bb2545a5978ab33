//! The core on both engines. Each file is a topic; each test is a sentence.
#![cfg(test)]

mod file;
mod joined;
mod raw;
mod support;
mod users;

mod sessions;
mod tools;
