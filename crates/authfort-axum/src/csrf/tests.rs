use super::*;

fn check() -> CrossSite {
    CrossSite::default().allow_origin("https://app.example.org").unwrap()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn passes(pairs: &[(&'static str, &str)]) -> bool {
    let mut all = vec![("host", "example.com")];
    all.extend_from_slice(pairs);
    let answer = check().check(&Method::POST, &Uri::from_static("/auth/logout"), &headers(&all));
    if let Err(rejection) = &answer {
        assert_eq!((rejection.status().as_u16(), rejection.code()), (403, "cross_site_request"));
    }
    answer.is_ok()
}

#[test]
fn what_the_browser_calls_its_own_passes_and_nothing_else() {
    assert!(passes(&[("sec-fetch-site", "same-origin")]));
    assert!(passes(&[("sec-fetch-site", "none")]));
    for site in ["cross-site", "same-site", "", "Same-Origin", "same-origin, cross-site", "x"] {
        assert!(!passes(&[("sec-fetch-site", site)]), "{site}");
        assert!(!passes(&[("sec-fetch-site", site), ("origin", "https://example.com")]), "{site}");
    }
}

#[test]
fn without_that_word_the_origin_must_be_our_own() {
    for origin in [
        "https://example.com",
        "http://example.com",
        "https://EXAMPLE.com",
        "https://example.com:443",
        "http://example.com:80",
    ] {
        assert!(passes(&[("origin", origin)]), "{origin}");
    }
    for origin in [
        "null",
        "",
        "https://evil.com",
        "https://example.com.evil.com",
        "https://evil.com/example.com",
        "https://evilexample.com",
        "https://sub.example.com",
        "https://example.com:8443",
        "https://example.com:80",
        "https://example.com:",
        "https://example.com:99999",
        "https://user@example.com",
        "file://example.com",
        "chrome-extension://example.com",
        "example.com",
        "https://example.com https://evil.com",
    ] {
        assert!(!passes(&[("origin", origin)]), "{origin}");
    }
}

#[test]
fn a_port_of_our_own_counts() {
    let passes = |host: &str, origin: &str| {
        let headers = headers(&[("host", host), ("origin", origin)]);
        CrossSite::default().check(&Method::POST, &Uri::from_static("/"), &headers).is_ok()
    };
    assert!(passes("localhost:3000", "http://localhost:3000"));
    assert!(passes("example.com:443", "https://example.com"));
    assert!(passes("[::1]:3000", "http://[::1]:3000"));
    assert!(!passes("localhost:3000", "http://localhost:3001"));
    assert!(!passes("localhost:3000", "http://localhost"));
    assert!(!passes("[::1]:3000", "http://[::2]:3000"));
    assert!(!passes("", "http://localhost"));
    assert!(!passes("a b", "http://a b"));
}

#[test]
fn neither_header_means_that_no_browser_made_the_request() {
    assert!(passes(&[]));
}

#[test]
fn an_allowed_origin_passes_whatever_the_browser_calls_it() {
    for site in [None, Some("cross-site"), Some("same-site")] {
        let mut pairs = vec![("origin", "https://app.example.org")];
        pairs.extend(site.map(|site| ("sec-fetch-site", site)));
        assert!(passes(&pairs), "{site:?}");
    }
    assert!(!passes(&[("origin", "http://app.example.org"), ("sec-fetch-site", "cross-site")]));
    assert!(!passes(&[("origin", "https://app.example.org:8443"), ("sec-fetch-site", "cross-site")]));
}

#[test]
fn a_header_that_comes_twice_is_refused() {
    assert!(!passes(&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")]));
    assert!(!passes(&[("origin", "https://example.com"), ("origin", "https://example.com")]));
    assert!(!passes(&[("origin", "https://example.com"), ("host", "example.com")]));
}

#[test]
fn a_forwarded_host_is_not_our_own() {
    assert!(!passes(&[
        ("origin", "https://evil.com"),
        ("x-forwarded-host", "evil.com"),
        ("forwarded", "host=evil.com")
    ]));
}

#[test]
fn the_target_of_the_request_counts_before_its_host_header() {
    let headers = headers(&[("host", "evil.com"), ("origin", "https://evil.com")]);
    let uri = Uri::from_static("https://example.com/auth/logout");
    assert!(check().check(&Method::POST, &uri, &headers).is_err());
}

#[test]
fn methods_that_change_nothing_pass_and_all_others_are_judged() {
    let headers = headers(&[("sec-fetch-site", "cross-site")]);
    let judged = |method: Method| check().check(&method, &Uri::from_static("/"), &headers).is_err();
    assert!(![Method::GET, Method::HEAD, Method::OPTIONS].map(judged).contains(&true));
    let unsafe_methods = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::from_bytes(b"X").unwrap()];
    assert!(!unsafe_methods.map(judged).contains(&false));
}

#[test]
fn what_is_not_an_origin_cannot_be_allowed() {
    for text in [
        "",
        "*",
        "null",
        "example.com",
        "https://example.com/",
        "https://example.com/x",
        "https://é.com",
        "ftp://example.com",
        "https://a@b.c",
    ] {
        let error = CrossSite::default().allow_origin(text).unwrap_err();
        assert!(error.to_string().starts_with("allowed_origins: "), "{error}");
    }
    let loose = CrossSite::default().allow_origin("HTTPS://App.Example.org:443").unwrap();
    assert_eq!(loose, check());
}
