//! Somebody who is not signed in yet, or does not have to be.

use std::net::IpAddr;

use authfort::secrecy::SecretString;
use authfort::{AuthFort, Result};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::layer::{Caller, bearer};
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
    /// The refresh tokens that the cookie may mean. One that cannot be read is a fault for who asks for it, and for
    /// nobody else: a cookie that somebody planted keeps nobody from signing in.
    pub refresh_cookies: Result<Vec<SecretString>>,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let caller = Caller::of(parts)?;
        let mut refresh_cookies = Ok(Vec::new());
        if let Some(cookies) = &caller.shared.cookies {
            caller.check_site(parts)?;
            refresh_cookies = cookies.refresh(&parts.headers).map(secret);
        }
        let Query(()) = Query::from_request_parts(parts, state).await?;
        let auth = caller.act(parts, None, None);
        let limits = Limits::of(&caller, parts);
        Ok(Self { caller, auth, limits, refresh_cookies })
    }
}

/// The access tokens that came. What cannot be read is none; to leave takes no proof.
pub(crate) struct AccessTokens {
    pub cookies: Vec<SecretString>,
    /// At most one.
    pub bearer: Vec<SecretString>,
}

impl<S: Send + Sync> FromRequestParts<S> for AccessTokens {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let cookies = Caller::of(parts)?.shared.cookies.as_ref().map(|cookies| cookies.access(&parts.headers));
        let bearer = bearer(&parts.headers).ok().flatten();
        Ok(Self {
            cookies: secret(cookies.and_then(Result::ok).unwrap_or_default()),
            bearer: secret(bearer.into_iter().collect()),
        })
    }
}

fn secret(tokens: Vec<&str>) -> Vec<SecretString> {
    tokens.into_iter().map(SecretString::from).collect()
}

/// The service on behalf of whoever is signed in, or of nobody: a token that does not count is none. For routes to which
/// another secret opens the door and a session only adds to it.
pub(crate) struct Acting(pub AuthFort);

impl<S: Send + Sync> FromRequestParts<S> for Acting {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let caller = Caller::of(parts)?;
        let principal = match caller.principal(parts).await {
            // Whether somebody is signed in must be known.
            Err(rejection) if rejection.status().is_server_error() => return Err(rejection),
            other => other.ok().flatten(),
        };
        Ok(Self(caller.act(parts, principal.as_deref(), None)))
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
