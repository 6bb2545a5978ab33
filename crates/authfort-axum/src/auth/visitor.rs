//! Somebody who is not signed in yet, or does not have to be.

use std::net::IpAddr;

use authfort::AuthFort;
use authfort::secrecy::SecretString;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::Rejection;
use crate::layer::Caller;

/// Who comes to sign up, log in, refresh or log out.
///
/// In cookie mode these routes hand out or read cookies, so a page of another site may not use them either: it could
/// sign its visitor in as somebody else.
pub(crate) struct Visitor {
    pub caller: Caller,
    /// The service, with the client's address for the events.
    pub auth: AuthFort,
    pub address: Option<IpAddr>,
    /// The refresh token of the cookie.
    pub refresh_cookie: Option<SecretString>,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let caller = Caller::of(parts)?;
        let mut refresh_cookie = None;
        if let Some(cookies) = &caller.shared.cookies {
            caller.check_site(parts)?;
            refresh_cookie = cookies.refresh(&parts.headers)?.map(SecretString::from);
        }
        let auth = caller.act(parts, None, None);
        let address = caller.shared.proxies.client_of(parts);
        Ok(Self { caller, auth, address, refresh_cookie })
    }
}
