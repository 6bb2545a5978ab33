//! Whether a request that a cookie authenticates came from a page of this site.
//!
//! A browser attaches cookies to requests that other sites make. It also says where they come from, in headers that a
//! page cannot forge; so no token in a form is needed. The algorithm is the one of Go's `CrossOriginProtection`
//! (Filippo Valsorda, "Cross-Site Request Forgery", <https://words.filippo.io/csrf/>), which tower-http's `csrf` layer
//! follows too. That layer judges every request; this judges only those that a cookie authenticates, since a bearer
//! token is nothing a browser would attach by itself.
//!
//! In this order, for a method other than GET, HEAD and OPTIONS:
//!
//! | what the request says | answer |
//! |---|---|
//! | `Origin` is one of the allowed origins | passes |
//! | `Sec-Fetch-Site` is `same-origin`, or `none` (the user typed it) | passes |
//! | `Sec-Fetch-Site` is anything else: `cross-site`, `same-site`, unknown | refused |
//! | no `Sec-Fetch-Site`, and `Origin` has the host and port the request was sent to | passes |
//! | no `Sec-Fetch-Site`, and another `Origin`, or `null` | refused |
//! | neither header | passes: no browser made it |
//!
//! `same-site` is refused: a sub-domain in other hands is another site as far as cookies are concerned. Allow its
//! origin where it is wanted. A header that comes twice is refused whatever it says.
//!
//! The host is the one the request names, so a proxy in front must leave `Host` as it is, or the public origin must be
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

/// The check, with the foreign origins that may act for a signed-in user. None, unless allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CrossSite {
    allowed: BTreeSet<Origin>,
}

impl CrossSite {
    /// Lets pages of this origin act for a signed-in user: `https://app.example.com`, with a port if it is not the
    /// usual one.
    ///
    /// # Errors
    /// - [`Error::Config`]: it is not an origin, so no browser would ever send it
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, Error> {
        let config = |message: String| Error::Config { field: "allowed_origins", message };
        // tower-http knows every way to write an origin wrongly, and says which it was.
        let _checked = CsrfLayer::new().add_trusted_origin(origin).map_err(|error| config(error.to_string()))?;
        let origin =
            Origin::parse(origin).ok_or_else(|| config(format!("`{}` is not an origin", origin.escape_debug())))?;
        self.allowed.insert(origin);
        Ok(self)
    }

    /// Judges a request that a cookie authenticates.
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

/// The value of a header that may come once; `Err` if it comes twice or is not text.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

/// Where the request was sent: HTTP/2 says it in the target, HTTP/1 in `Host`.
fn own_host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    match uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => single(headers, &HOST).ok()??.parse().ok(),
    }
}

/// Scheme, host and port (RFC 6454), in the one form in which they compare.
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

    /// The request does not say which scheme it came by, a proxy may have taken the TLS off; the usual port of the
    /// origin's own is assumed.
    fn is_at(&self, own: &Authority) -> bool {
        host_and_port(own, self.https).is_some_and(|(host, port)| host == self.host && port == self.port)
    }
}

fn host_and_port(authority: &Authority, https: bool) -> Option<(String, u16)> {
    let usual = if https { 443 } else { 80 };
    let host = authority.host().to_ascii_lowercase();
    let port = match authority.port() {
        Some(port) => port.as_u16(),
        // `host:` and `host:99999` have no port that could be read, and are no origin.
        None if authority.as_str().ends_with(authority.host()) => usual,
        None => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests;
