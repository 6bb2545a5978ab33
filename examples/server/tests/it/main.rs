//! Runs the built program as an operator does, and sends it HTTP requests.
#![cfg(test)]

mod demo;
mod metrics;
mod settings;
mod slow;
mod start;
mod support;
