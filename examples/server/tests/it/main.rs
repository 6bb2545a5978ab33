//! The built program, run as its operator runs it, and asked over HTTP.
#![cfg(test)]

mod demo;
mod settings;
mod slow;
mod start;
mod support;
