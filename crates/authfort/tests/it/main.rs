//! The core on both engines. Each file is a topic; each test is a sentence.
#![cfg(test)]

mod accounts;
mod actors;
mod addresses;
mod bans;
mod broken;
mod cost;
mod database;
mod deletion;
mod events;
mod faults;
mod file;
mod joined;
mod keys;
mod list;
mod orders;
mod outage;
mod pages;
mod passwords;
mod raw;
mod references;
mod refresh;
mod replicas;
mod roles;
mod searches;
mod sessions;
mod start;
mod statements;
mod support;
mod tokens;
mod tools;
mod totals;
mod totals_under_load;
mod update;
mod users;
mod verification;
