//! The two cookies of cookie mode: their names, and how they are set, read and cleared.
//!
//! - `HttpOnly`, `Secure`, `SameSite=Lax`, `Path=/`, and no `Domain`, unless configured otherwise.
//! - If they are `Secure` and have no `Domain`, their names begin with `__Host-`. A browser then rejects such a cookie
//!   from a sub-domain or over plain HTTP, so an attacker cannot plant one (RFC 6265bis, section 4.1.3).
//! - They are cleared with the attributes they were set with; otherwise a browser would keep them.
//! - A browser may send a cookie twice: one left over from other attributes, or planted by a page of a parent path or a
//!   sub-domain. Their order does not say who set them, so every value is a candidate, up to [`CANDIDATES`], and the
//!   caller uses the valid one.

use std::time::Duration;

use authfort::{Error, Result};
use axum::http::{HeaderMap, HeaderValue, header};
use axum_extra::extract::cookie::Cookie;

/// Which cross-site requests carry the cookies.
///
/// ```
/// use authfort_axum::{CookieOptions, SameSite};
/// let options = CookieOptions::default().same_site(SameSite::Strict);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SameSite {
    /// Top-level navigation only: a user who follows a link from another site is signed in.
    #[default]
    Lax,
    /// None: a user who follows a link from another site appears signed out.
    Strict,
    /// All. Requires `Secure`. Only the check of `Origin` and `Sec-Fetch-Site` then blocks forms on other sites.
    None,
}

/// The cookie options, for [`AuthLayer::cookies`](crate::AuthLayer::cookies).
///
/// ```
/// use authfort_axum::{CookieOptions, SameSite};
///
/// let options = CookieOptions::default().names("at", "rt").same_site(SameSite::Strict); // __Host-at, __Host-rt
/// options.check()?;
/// # Ok::<_, authfort::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct CookieOptions {
    access_name: String,
    refresh_name: String,
    secure: bool,
    same_site: SameSite,
    domain: Option<String>,
}

impl Default for CookieOptions {
    fn default() -> Self {
        Self {
            access_name: "access_token".to_owned(),
            refresh_name: "refresh_token".to_owned(),
            secure: true,
            same_site: SameSite::Lax,
            domain: None,
        }
    }
}

impl CookieOptions {
    /// Validates the options; [`AuthLayer::cookies`](crate::AuthLayer::cookies) does so too.
    ///
    /// ```
    /// use authfort_axum::CookieOptions;
    /// assert!(CookieOptions::default().check().is_ok());
    /// assert!(CookieOptions::default().names("a b", "refresh").check().is_err());
    /// ```
    ///
    /// # Errors
    /// - [`Error::Config`] names the invalid option.
    pub fn check(&self) -> Result<()> {
        Cookies::new(self.clone()).map(|_| ())
    }

    /// Sets the names of the cookies, without prefix; `access_token` and `refresh_token` by default.
    pub fn names(mut self, access: impl Into<String>, refresh: impl Into<String>) -> Self {
        self.access_name = access.into();
        self.refresh_name = refresh.into();
        self
    }

    /// Sends the cookies over plain HTTP too, without the `__Host-` prefix. For development on a machine without TLS.
    pub fn insecure_allow_http(mut self) -> Self {
        self.secure = false;
        self
    }

    /// Sets which cross-site requests carry the cookies.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Shares the cookies with all sub-domains and drops the `__Host-` prefix: whoever controls a sub-domain can then
    /// plant cookies.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }
}

/// The validated cookie options; the headers made from them are well formed.
#[derive(Debug, Clone)]
pub(crate) struct Cookies {
    access_name: String,
    refresh_name: String,
    options: CookieOptions,
}

impl Default for Cookies {
    fn default() -> Self {
        Self::named(CookieOptions::default())
    }
}

impl Cookies {
    /// Validates the options.
    ///
    /// # Errors
    /// - [`Error::Config`]: a name that is not a cookie name, that has a prefix of its own, or that is used twice; an
    ///   invalid domain; `SameSite=None` without `Secure`, which no browser accepts
    pub fn new(options: CookieOptions) -> Result<Self> {
        let wrong = |field, message: String| Err(Error::Config { field, message });
        for name in [&options.access_name, &options.refresh_name] {
            if name.is_empty() || !name.bytes().all(is_token) {
                return wrong("cookie_name", format!("`{}` is not a cookie name", name.escape_debug()));
            }
            if name.starts_with("__") {
                return wrong(
                    "cookie_name",
                    format!("`{name}` must come without a prefix; it is added where it holds"),
                );
            }
        }
        if options.access_name.eq_ignore_ascii_case(&options.refresh_name) {
            return wrong("cookie_name", "the two cookies need different names".to_owned());
        }
        if let Some(domain) = &options.domain {
            let label =
                |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if !domain.split('.').all(label) {
                return wrong("cookie_domain", format!("`{}` is not a domain", domain.escape_debug()));
            }
        }
        if options.same_site == SameSite::None && !options.secure {
            return wrong("cookie_same_site", "SameSite=None needs Secure".to_owned());
        }
        Ok(Self::named(options))
    }

    fn named(options: CookieOptions) -> Self {
        let prefix = if options.secure && options.domain.is_none() { "__Host-" } else { "" };
        Self {
            access_name: format!("{prefix}{}", options.access_name),
            refresh_name: format!("{prefix}{}", options.refresh_name),
            options,
        }
    }

    /// Returns the two `Set-Cookie` headers; each cookie expires with its token.
    ///
    /// # Errors
    /// - [`Error::Internal`]: a token with a character that a cookie cannot carry, which none of our tokens has, or a
    ///   lifetime that is too long for a cookie
    pub fn set(&self, access: (&str, Duration), refresh: (&str, Duration)) -> Result<[HeaderValue; 2]> {
        Ok([
            self.header(&self.access_name, access.0, access.1)?,
            self.header(&self.refresh_name, refresh.0, refresh.1)?,
        ])
    }

    /// Returns the two `Set-Cookie` headers that make a browser delete both cookies.
    ///
    /// # Errors
    /// None with validated options; the type is that of [`set`](Self::set).
    pub fn clear(&self) -> Result<[HeaderValue; 2]> {
        Ok([self.header(&self.access_name, "", Duration::ZERO)?, self.header(&self.refresh_name, "", Duration::ZERO)?])
    }

    fn header(&self, name: &str, value: &str, lives: Duration) -> Result<HeaderValue> {
        if !value.bytes().all(is_cookie_octet) {
            return Err(Error::Internal("a token has a character that a cookie cannot carry".into()));
        }
        let mut cookie = Cookie::build((name, value))
            .http_only(true)
            .secure(self.options.secure)
            .path("/")
            .same_site(match self.options.same_site {
                SameSite::Lax => axum_extra::extract::cookie::SameSite::Lax,
                SameSite::Strict => axum_extra::extract::cookie::SameSite::Strict,
                SameSite::None => axum_extra::extract::cookie::SameSite::None,
            })
            .max_age(lives.try_into().map_err(|_| Error::Internal("a token lives too long for a cookie".into()))?);
        if let Some(domain) = &self.options.domain {
            cookie = cookie.domain(domain);
        }
        HeaderValue::from_str(&cookie.build().to_string()).map_err(|error| Error::Internal(error.into()))
    }

    /// Returns the distinct values of the access token's cookie in a request, in their order, at most four. Empty if
    /// there is no such cookie or its value is empty.
    ///
    /// # Errors
    /// - [`Error::TokenInvalid`]: the cookie is present, and none of its values is well formed
    pub fn access<'h>(&self, headers: &'h HeaderMap) -> Result<Vec<&'h str>> {
        read(headers, &self.access_name).map_err(|Unreadable| Error::TokenInvalid)
    }

    /// Returns the values of the refresh token's cookie in a request, as [`access`](Self::access) does.
    ///
    /// # Errors
    /// - [`Error::RefreshTokenInvalid`]: the cookie is present, and none of its values is well formed
    pub fn refresh<'h>(&self, headers: &'h HeaderMap) -> Result<Vec<&'h str>> {
        read(headers, &self.refresh_name).map_err(|Unreadable| Error::RefreshTokenInvalid)
    }
}

/// The maximum number of values of one cookie that are tried: each may cost a database query.
const CANDIDATES: usize = 4;

struct Unreadable;

/// Parses the bytes itself: a cookie jar keeps only the last of two cookies with the same name, and drops a whole line
/// for one foreign cookie that is not ASCII.
fn read<'h>(headers: &'h HeaderMap, name: &str) -> std::result::Result<Vec<&'h str>, Unreadable> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let values = pairs.filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = pair.split_at_checked(at)?;
        (key.trim_ascii() == name.as_bytes()).then(|| value.strip_prefix(b"=").unwrap_or_default().trim_ascii())
    });
    let (mut readable, mut unreadable) = (Vec::new(), false);
    for value in values.filter(|value| !value.is_empty()) {
        match std::str::from_utf8(value) {
            Ok(text) if value.iter().copied().all(is_cookie_octet) => {
                if readable.len() < CANDIDATES && !readable.contains(&text) {
                    readable.push(text);
                }
            }
            _ => unreadable = true,
        }
    }
    if unreadable && readable.is_empty() { Err(Unreadable) } else { Ok(readable) }
}

/// A character of a token (RFC 9110, section 5.6.2); cookie names consist of these.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A character of a cookie's value (RFC 6265, section 4.1.1).
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn set(options: CookieOptions) -> Vec<String> {
        let cookies = Cookies::new(options).unwrap();
        let headers = cookies.set(("a.b-c_d", HOUR), ("r", HOUR * 24)).unwrap();
        headers.iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn the_defaults_are_the_strict_ones() {
        assert_eq!(
            set(CookieOptions::default()),
            [
                "__Host-access_token=a.b-c_d; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=3600",
                "__Host-refresh_token=r; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=86400",
            ]
        );
    }

    #[test]
    fn cookies_are_cleared_with_the_attributes_they_were_set_with() {
        for options in [
            CookieOptions::default(),
            CookieOptions::default().insecure_allow_http(),
            CookieOptions::default().domain("example.com").same_site(SameSite::None).names("a", "b"),
        ] {
            let cookies = Cookies::new(options).unwrap();
            let set = cookies.set(("x", HOUR), ("x", HOUR)).unwrap();
            let clear = cookies.clear().unwrap();
            for (set, clear) in set.iter().zip(&clear) {
                let expected = set.to_str().unwrap().replace("=x;", "=;").replace("Max-Age=3600", "Max-Age=0");
                assert_eq!(clear.to_str().unwrap(), expected);
            }
        }
    }

    #[test]
    fn the_prefix_goes_where_it_does_not_hold() {
        let first = |options| set(options).remove(0);
        assert_eq!(
            first(CookieOptions::default().insecure_allow_http().same_site(SameSite::Strict)),
            "access_token=a.b-c_d; HttpOnly; SameSite=Strict; Path=/; Max-Age=3600"
        );
        assert_eq!(
            first(CookieOptions::default().domain("example.com").same_site(SameSite::None)),
            "access_token=a.b-c_d; HttpOnly; SameSite=None; Secure; Path=/; Domain=example.com; Max-Age=3600"
        );
    }

    #[test]
    fn options_that_cannot_be_are_refused() {
        let defaults = CookieOptions::default;
        for options in [
            defaults().names("", "b"),
            defaults().names("a b", "b"),
            defaults().names("a", "b;c"),
            defaults().names("a", "b\r\n"),
            defaults().names("__Host-a", "b"),
            defaults().names("a", "A"),
            defaults().domain(""),
            defaults().domain(".example.com"),
            defaults().domain("example.com; Path=/x"),
            defaults().insecure_allow_http().same_site(SameSite::None),
        ] {
            assert_eq!(Cookies::new(options.clone()).unwrap_err().code(), "config", "{options:?}");
        }
    }

    #[test]
    fn a_value_that_would_break_out_of_its_header_is_not_set() {
        for value in ["a; Domain=evil", "a\r\nSet-Cookie: x=y", "a b", "a\"b", "é", "a,b"] {
            assert_eq!(Cookies::default().set((value, HOUR), ("r", HOUR)).unwrap_err().code(), "internal", "{value}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let cookies = Cookies::default();
        for lines in [
            &[b"__Host-access_token=abc".as_slice()] as &[&[u8]],
            &[b"x=1;  __Host-access_token=abc ; access_token=weak; __host-access_token=weak"],
            &[b"theme=d\xc3\xbcster; __Host-access_token=abc"],
            &[b"x=1", b"__Host-access_token=abc"],
        ] {
            assert_eq!(cookies.access(&headers(lines)).unwrap(), ["abc"]);
            assert!(cookies.refresh(&headers(lines)).unwrap().is_empty());
        }
        assert_eq!(cookies.access(&headers(&[b"__Host-access_token=a=b=="])).unwrap(), ["a=b=="]);
    }

    #[test]
    fn an_absent_or_empty_cookie_is_none() {
        let cookies = Cookies::default();
        for lines in
            [&[] as &[&[u8]], &[b""], &[b"__Host-access_token"], &[b"__Host-access_token="], &[b"access_token=weak"]]
        {
            assert!(cookies.access(&headers(lines)).unwrap().is_empty());
        }
    }

    #[test]
    fn each_value_of_a_cookie_is_a_candidate_once_and_four_at_the_most() {
        let cookies = Cookies::default();
        for (lines, values) in [
            (&[b"__Host-access_token=a; __Host-access_token=b".as_slice()] as &[&[u8]], &["a", "b"] as &[&str]),
            (&[b"__Host-access_token=b; x=1", b"__Host-access_token=a; __Host-access_token=b"], &["b", "a"]),
            (&[b"__Host-access_token=a", b"__Host-access_token="], &["a"]),
            (&[b"__Host-access_token=\xff; __Host-access_token=a"], &["a"]),
        ] {
            assert_eq!(cookies.access(&headers(lines)).unwrap(), values);
        }
        let many: Vec<String> = (0..20).map(|n| format!("__Host-refresh_token={n}")).collect();
        assert_eq!(cookies.refresh(&headers(&[many.join("; ").as_bytes()])).unwrap(), ["0", "1", "2", "3"]);
    }

    #[test]
    fn a_cookie_that_cannot_be_read_is_an_error_and_not_none() {
        let cookies = Cookies::default();
        for value in [b"\xff".as_slice(), b"a b", b"\"a\"", b"a\\"] {
            let line = [b"__Host-access_token=", value].concat();
            assert_eq!(cookies.access(&headers(&[&line])).unwrap_err().code(), "token_invalid");
            let line = [b"__Host-refresh_token=", value].concat();
            assert_eq!(cookies.refresh(&headers(&[&line])).unwrap_err().code(), "refresh_token_invalid");
        }
    }
}
