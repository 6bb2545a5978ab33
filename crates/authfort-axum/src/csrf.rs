//! Checks whether a request that is authenticated by cookie came from a page of this site.
//!
//! A browser attaches cookies to requests that other sites make. It also sends headers that say where a request comes
//! from and that a page cannot forge, so forms need no token. The algorithm is that of Go's `CrossOriginProtection`
//! (Filippo Valsorda, "Cross-Site Request Forgery", <https://words.filippo.io/csrf/>), which tower-http's `csrf` layer
//! also implements. That layer checks every request; this module checks only requests that a cookie authenticates,
//! because a browser never attaches a bearer token by itself.
//!
//! The rules, in this order, for methods other than GET, HEAD and OPTIONS:
//!
//! | what the request says | result |
//! |---|---|
//! | `Origin` is one of the allowed origins | passes |
//! | `Sec-Fetch-Site` is `same-origin`, or `none` (the user typed the address) | passes |
//! | `Sec-Fetch-Site` is anything else: `cross-site`, `same-site`, unknown | refused |
//! | no `Sec-Fetch-Site`, and `Origin` has the host and port that the request was sent to | passes |
//! | no `Sec-Fetch-Site`, and another `Origin`, or `null` | refused |
//! | neither header | passes: not sent by a browser |
//!
//! `same-site` is refused, because a sub-domain may be controlled by somebody else. Allow its origin explicitly where
//! it is needed. A header that is repeated is refused, whatever its values.
//!
//! The host is taken from the request, so a proxy in front must leave `Host` unchanged, or the public origin must be
//! allowed by name. `X-Forwarded-Host` is not read.

use std::collections::BTreeSet;

use authfort::Error;
use axum::http::{
    HeaderMap, HeaderName, Method, Uri,
    header::{HOST, ORIGIN},
    uri::Authority,
};
use tower_http::csrf::CsrfLayer;

use crate::Rejection;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The check, with the other origins whose pages may act for a signed-in user. None by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CrossSite {
    allowed: BTreeSet<Origin>,
}

impl CrossSite {
    /// Allows pages of this origin to act for a signed-in user. An origin is written as `https://app.example.com`, with
    /// a port unless it is the default one.
    ///
    /// # Errors
    /// - [`Error::Config`]: the text is not an origin, so no browser would ever send it
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, Error> {
        let config = |message: String| Error::Config { field: "allowed_origins", message };
        // tower-http detects every kind of invalid origin and reports which one it is.
        let _checked = CsrfLayer::new().add_trusted_origin(origin).map_err(|error| config(error.to_string()))?;
        let origin =
            Origin::parse(origin).ok_or_else(|| config(format!("`{}` is not an origin", origin.escape_debug())))?;
        self.allowed.insert(origin);
        Ok(self)
    }

    /// Checks a request that is authenticated by cookie.
    ///
    /// # Errors
    /// - 403 `cross_site_request`
    pub fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Rejection> {
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) || self.passes(uri, headers) {
            Ok(())
        } else {
            Err(Rejection::cross_site())
        }
    }

    fn passes(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let (Ok(site), Ok(origin)) = (single(headers, &SEC_FETCH_SITE), single(headers, &ORIGIN)) else {
            return false;
        };
        let origin = origin.map(Origin::parse);
        if let Some(Some(origin)) = &origin
            && self.allowed.contains(origin)
        {
            return true;
        }
        match (site, origin) {
            (Some(site), _) => site == "same-origin" || site == "none",
            (None, None) => true,
            (None, Some(None)) => false,
            (None, Some(Some(origin))) => own_host(uri, headers).is_some_and(|host| origin.is_at(&host)),
        }
    }
}

/// Returns the value of a header that may occur once; `Err` if it is repeated or is not text.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

/// Returns the host that the request was sent to: HTTP/2 sends it in the target, HTTP/1 in `Host`.
fn own_host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    match uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => single(headers, &HOST).ok()??.parse().ok(),
    }
}

/// Scheme, host and port (RFC 6454), normalized for comparison.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let https = if scheme.eq_ignore_ascii_case("https") {
            true
        } else if scheme.eq_ignore_ascii_case("http") {
            false
        } else {
            return None;
        };
        if rest.contains(['/', '?', '#', '@']) {
            return None;
        }
        let (host, port) = host_and_port(&rest.parse().ok()?, https)?;
        Some(Self { https, host, port })
    }

    /// Returns whether the origin has the request's host and port. The scheme of the request is unknown, because a
    /// proxy may have terminated TLS, so the default port of the origin's scheme is assumed.
    fn is_at(&self, own: &Authority) -> bool {
        host_and_port(own, self.https).is_some_and(|(host, port)| host == self.host && port == self.port)
    }
}

fn host_and_port(authority: &Authority, https: bool) -> Option<(String, u16)> {
    let usual = if https { 443 } else { 80 };
    let host = authority.host().to_ascii_lowercase();
    let port = match authority.port() {
        Some(port) => port.as_u16(),
        // `host:` and `host:99999` have no valid port, so they are not origins.
        None if authority.as_str().ends_with(authority.host()) => usual,
        None => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests;
