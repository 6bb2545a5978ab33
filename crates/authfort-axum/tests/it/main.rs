//! The routers, guards and extractors on both engines. Each file is a topic; each test is a sentence.
#![cfg(test)]

mod admin_routes;
mod admin_subroutes;
mod auth_routes;
mod axum_extractors;
mod bad_input;
mod bad_parameters;
mod cookies;
mod guards;
mod heavy;
mod http;
mod limits;
mod load;
mod openapi;
mod own_account;
mod own_routes;
#[cfg(feature = "ui")]
mod panels;
mod secrets;
mod streams;
mod support;
mod trace;
mod walk;
mod webhooks;
