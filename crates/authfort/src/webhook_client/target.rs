//! Which URLs and addresses events may be sent to.
//!
//! An administrator names the URL, but the requests come from inside the application's network. So nothing is sent to
//! addresses that are not reachable from everywhere: neither this machine, nor its network, nor a cloud's metadata service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::FieldError;
use crate::model::validate::Checked;

const URL_BYTES: usize = 2048;

/// Checks a URL that somebody enters, and returns it in its normal form.
pub(crate) fn check(url: &str, allow_private: bool) -> Checked<String> {
    let url = url.trim();
    if url.len() > URL_BYTES {
        return Err(FieldError::new("url", "too_long", format!("must have at most {URL_BYTES} bytes")));
    }
    parse(url, allow_private).map(String::from).map_err(|fault| FieldError::new("url", "invalid_url", fault))
}

/// Reads a URL that may be sent to, as far as it can be said before its name is resolved.
pub(super) fn parse(url: &str, allow_private: bool) -> Result<Url, &'static str> {
    let url = Url::parse(url).map_err(|_| "must be an https URL")?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        _ => return Err("must be an https URL"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user or a password; receivers check the signature");
    }
    if url.fragment().is_some() {
        return Err("must not contain a fragment");
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) => None,
        None => return Err("must have a host"),
    };
    if address.is_some_and(|address| !allow_private && !is_public(address)) {
        return Err("must not lead to a private, loopback or link-local address");
    }
    Ok(url)
}

/// Returns scheme, host and port of a URL: what may be shown of it.
pub(crate) fn origin(url: &str) -> String {
    Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

/// Returns whether an address is one of the public internet, by the registries of special addresses (RFC 6890).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// The blocks of IPv4 that are not public: the first address, and how many bits the block has in common.
const SPECIAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    SPECIAL_V4.iter().all(|(block, bits)| (address.to_bits() ^ block.to_bits()) >> (32 - bits) != 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, fourth, fifth, sixth, high, low] = address.segments();
    let embedded = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (first, second) {
        // An IPv4 address: as such (::ffff:0:0/96), or behind NAT64 (64:ff9b::/96).
        (0, 0) if (third, fourth, fifth, sixth) == (0, 0, 0, 0xffff) => is_public_v4(embedded),
        (0x64, 0xff9b) if (third, fourth, fifth, sixth) == (0, 0, 0, 0) => is_public_v4(embedded),
        // Protocol assignments with Teredo, documentation, 6to4, documentation.
        (0x2001, second) if second < 0x200 => false,
        (0x2001, 0x0db8) | (0x2002, _) | (0x3fff, 0..0x1000) => false,
        // Only this eighth of all addresses is assigned to the internet.
        _ => first >> 13 == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001:830::200e",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
            "64:ff9b::8.8.8.8",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }

    #[test]
    fn a_url_is_refused_with_what_is_wrong_with_it() {
        assert_eq!(check(" HTTPS://Example.com/hook?a=b ", false).unwrap(), "https://example.com/hook?a=b");
        assert!(check("https://1.1.1.1:8443/", false).is_ok());
        for (url, says) in [
            ("", "https"),
            ("example.com", "https"),
            ("http://example.com/", "https"),
            ("ftp://example.com/", "https"),
            ("https://user@example.com/", "password"),
            ("https://user:password@example.com/", "password"),
            ("https://example.com/#part", "fragment"),
            ("https://127.0.0.1/", "loopback"),
            ("https://127.1/", "loopback"),
            ("https://2130706433/", "loopback"),
            ("https://0x7f.0.0.1/", "loopback"),
            ("https://017700000001/", "loopback"),
            ("https://[::1]/", "loopback"),
            ("https://[::ffff:10.0.0.1]/", "loopback"),
            ("https://169.254.169.254/latest/meta-data", "loopback"),
        ] {
            let fault = check(url, false).unwrap_err();
            assert!(fault.message.contains(says), "{url}: {}", fault.message);
        }
        assert_eq!(check(&format!("https://example.com/{}", "a".repeat(2_048)), false).unwrap_err().code, "too_long");
        assert!(check("http://127.0.0.1:3000/", true).is_ok());
        assert!(check("file:///etc/passwd", true).is_err());
    }

    #[test]
    fn an_origin_shows_no_path() {
        assert_eq!(origin("https://hooks.example.com:8443/services/secret?token=x"), "https://hooks.example.com:8443");
    }
}
