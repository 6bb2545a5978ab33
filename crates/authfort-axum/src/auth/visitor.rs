//! Somebody who is not signed in yet, or does not have to be.

use std::net::IpAddr;

use authfort::secrecy::SecretString;
use authfort::{AuthFort, Result};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::layer::Caller;
use crate::{Action, Query, Rejection};

/// Who comes to sign up, log in, refresh or log out.
///
/// In cookie mode these routes hand out or read cookies, so a page of another site may not use them either: it could
/// sign its visitor in as somebody else.
pub(crate) struct Visitor {
    pub caller: Caller,
    /// The service, with the client's address for the events.
    pub auth: AuthFort,
    pub limits: Limits,
    /// The refresh token of the cookie. One that cannot be read is a fault for who asks for it, and for nobody else: a
    /// cookie that somebody planted keeps nobody from signing in.
    pub refresh_cookie: Result<Option<SecretString>>,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let caller = Caller::of(parts)?;
        let mut refresh_cookie = Ok(None);
        if let Some(cookies) = &caller.shared.cookies {
            caller.check_site(parts)?;
            refresh_cookie = cookies.refresh(&parts.headers).map(|token| token.map(SecretString::from));
        }
        let Query(()) = Query::from_request_parts(parts, state).await?;
        let auth = caller.act(parts, None, None);
        let limits = Limits::of(&caller, parts);
        Ok(Self { caller, auth, limits, refresh_cookie })
    }
}

/// The counters, for the client of this request.
#[derive(Clone)]
pub(crate) struct Limits {
    limits: crate::RateLimits,
    client: Option<IpAddr>,
}

impl Limits {
    fn of(caller: &Caller, parts: &Parts) -> Self {
        Self { limits: caller.shared.limits.clone(), client: caller.shared.proxies.client_of(parts) }
    }

    /// Takes one attempt of the client.
    pub(super) fn client(&self, action: Action) -> Result<()> {
        self.limits.check_client(action, self.client)
    }

    /// Takes one attempt at the account.
    pub(super) fn account(&self, action: Action, account: &str) -> Result<()> {
        self.limits.check_account(action, self.client, account)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Limits {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self::of(&Caller::of(parts)?, parts))
    }
}
