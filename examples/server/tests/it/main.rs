//! Runs the built program as an operator does, and sends it HTTP requests.
#![cfg(test)]

mod browser;
mod demo;
mod metrics;
mod settings;
mod slow;
mod start;
mod support;
mod ui;
mod ui_acts;
mod ui_bulk;
mod ui_deliveries;
