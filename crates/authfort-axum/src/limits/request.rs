//! The rate limits, bound to the client of a request.

use std::net::IpAddr;

use authfort::Result;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::{Action, RateLimits};
use crate::Rejection;
use crate::layer::Caller;

/// The rate limits for the client of this request.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    limits: RateLimits,
    client: Option<IpAddr>,
}

impl Limits {
    pub(crate) fn of(caller: &Caller, parts: &Parts) -> Self {
        Self { limits: caller.shared.limits.clone(), client: caller.shared.proxies.client_of(parts) }
    }

    /// Takes one attempt from the client's counters.
    pub(crate) fn client(&self, action: Action) -> Result<()> {
        self.limits.check_client(action, self.client)
    }

    /// Takes one attempt from the account's counters.
    pub(crate) fn account(&self, action: Action, account: &str) -> Result<()> {
        self.limits.check_account(action, self.client, account)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Limits {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self::of(Caller::of(parts)?, parts))
    }
}
