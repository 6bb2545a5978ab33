//! Determines the network address of the client.
//!
//! Only the address of the connection cannot be forged. Any client can send `X-Forwarded-For`, so the header is read
//! only if the connection comes from a declared proxy, and then from right to left: every proxy appends the address it
//! saw, so everything to the left of the first address that is not a declared proxy was written by the client. The
//! right-most address that is not a declared proxy is the client. The left-most one, which many programs use, is
//! whatever the client sent.
//!
//! - No proxy is trusted unless it is declared, and networks that cover all addresses cannot be declared.
//! - All lines of the header are read as one list, in their order.
//! - An address that cannot be parsed ends the search at the last proxy that could be parsed. It is never skipped,
//!   because the addresses to its left cannot be trusted.
//! - `Forwarded` (RFC 7239), `X-Real-IP` and similar headers are not read.
//!
//! The peer's address is known only if the application is served with
//! `into_make_service_with_connect_info::<SocketAddr>()`. Otherwise all clients are treated as one unknown client.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Once,
};

use authfort::Error;
use axum::{
    extract::{ConnectInfo, connect_info::MockConnectInfo},
    http::{HeaderMap, HeaderName, request::Parts},
};
use ipnet::{IpNet, Ipv4Net};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies in front of the application whose `X-Forwarded-For` is trusted. Empty by default.
///
/// ```
/// use authfort_axum::TrustedProxies;
/// use axum::http::HeaderMap;
///
/// let proxies = TrustedProxies::parse(["10.0.0.0/8", "2001:db8::1"])?;
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", "1.2.3.4, 203.0.113.7, 10.0.0.9".parse().unwrap());
///
/// let client = proxies.client_ip(Some("10.0.0.1:40000".parse().unwrap()), &headers);
/// assert_eq!(client, Some("203.0.113.7".parse().unwrap()));
/// # Ok::<_, authfort::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
}

impl TrustedProxies {
    /// Trusts no proxy: the client is the peer of the connection.
    pub fn none() -> Self {
        Self::default()
    }

    /// Trusts loopback and the private networks (RFC 1918, RFC 4193), for a proxy on the same machine or in the same
    /// cluster.
    ///
    /// Use it only if no client can reach the application from such an address without passing the proxy.
    ///
    /// ```
    /// use authfort_axum::TrustedProxies;
    /// use axum::http::HeaderMap;
    /// let mut headers = HeaderMap::new();
    /// headers.insert("x-forwarded-for", "203.0.113.7".parse().unwrap());
    /// let proxies = TrustedProxies::private_networks();
    /// let client = proxies.client_ip("192.168.0.1:40000".parse().ok(), &headers);
    /// assert_eq!(client, "203.0.113.7".parse().ok());
    /// ```
    pub fn private_networks() -> Self {
        let networks = ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"];
        Self { networks: networks.iter().filter_map(|network| network.parse().ok()).collect() }
    }

    /// Trusts the listed addresses and networks. Whitespace around each is ignored.
    ///
    /// ```
    /// use authfort_axum::TrustedProxies;
    /// let proxies = TrustedProxies::parse(["10.0.0.0/8", "2001:db8::1"])?;
    /// assert!(TrustedProxies::parse(["0.0.0.0/0"]).is_err());
    /// assert!(TrustedProxies::parse(["0.0.0.0/1", "128.0.0.0/1"]).is_err());
    /// # Ok::<_, authfort::Error>(())
    /// ```
    ///
    /// # Errors
    /// - [`Error::Config`] names the entry that is neither an address nor a network, or the networks that together
    ///   cover every public address of IPv4 or of IPv6: if every hop were a proxy, a client could choose its own
    ///   address
    pub fn parse<I>(networks: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let networks: Vec<_> =
            networks.into_iter().map(|text| parse_network(text.as_ref())).collect::<Result<_, _>>()?;
        refuse_everybody(&networks)?;
        Ok(Self { networks })
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Returns the client's address, or `None` if the peer's address is unknown.
    ///
    /// IPv4-mapped IPv6 addresses (`::ffff:192.0.2.1`) are returned as IPv4.
    ///
    /// ```
    /// use authfort_axum::TrustedProxies;
    /// let client = TrustedProxies::none().client_ip("[::ffff:192.0.2.1]:40000".parse().ok(), &Default::default());
    /// assert_eq!(client, "192.0.2.1".parse().ok());
    /// ```
    pub fn client_ip(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let mut client = peer?.ip().to_canonical();
        if !self.trusts(client) {
            return Some(client);
        }
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        let from_the_right = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        for hop in from_the_right {
            // Empty list elements are ignored (RFC 9110, section 5.6.1.2).
            if hop.trim_ascii().is_empty() {
                continue;
            }
            let Some(address) = parse_hop(hop) else { break };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        Some(client)
    }

    /// Returns the client's address for a request that axum serves; see [`client_ip`](Self::client_ip).
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use authfort_axum::TrustedProxies;
    /// use axum::{extract::ConnectInfo, http::Request};
    /// let peer: SocketAddr = "192.0.2.1:40000".parse().unwrap();
    /// let (parts, ()) = Request::builder().extension(ConnectInfo(peer)).body(()).unwrap().into_parts();
    /// assert_eq!(TrustedProxies::none().client_of(&parts), Some(peer.ip()));
    /// ```
    pub fn client_of(&self, parts: &Parts) -> Option<IpAddr> {
        let real = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
        let peer = real.or_else(|| parts.extensions.get::<MockConnectInfo<SocketAddr>>().map(|mock| mock.0));
        if peer.is_none() {
            // Logged once: it is a configuration mistake that affects every request.
            static WARNED: Once = Once::new();
            WARNED.call_once(|| {
                tracing::warn!(
                    "client addresses are unknown, so all clients share one rate limit; \
                     serve with into_make_service_with_connect_info::<SocketAddr>()"
                );
            });
        }
        self.client_ip(peer, &parts.headers)
    }
}

fn parse_network(text: &str) -> Result<IpNet, Error> {
    let text = text.trim();
    let network = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| refusal(format!("`{text}` is neither an address nor a network")))?;
    Ok(canonical(network))
}

/// Networks from which no client connects over the internet: this network, loopback, private, link-local, multicast and
/// reserved.
const NO_CLIENTS: [&str; 10] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
    "::/3",
    "4000::/2",
    "8000::/1",
];

/// Refuses networks that leave no public address, however they are split: together with [`NO_CLIENTS`] they aggregate
/// to one network of all addresses.
fn refuse_everybody(networks: &[IpNet]) -> Result<(), Error> {
    let nobody = NO_CLIENTS.iter().filter_map(|network| network.parse().ok());
    let whole = IpNet::aggregate(&nobody.chain(networks.iter().copied()).collect());
    let Some(all) = whole.iter().find(|network| network.prefix_len() == 0) else { return Ok(()) };
    let family = |network: &&IpNet| network.addr().is_ipv4() == all.addr().is_ipv4();
    let named: Vec<_> = networks.iter().filter(family).map(|network| format!("`{network}`")).collect();
    Err(refusal(format!("{} would let every client choose its own address", named.join(", "))))
}

fn refusal(message: String) -> Error {
    Error::Config { field: "trusted_proxies", message }
}

/// Addresses are compared in their IPv4 form if they have one, so networks must be in that form too.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let (Some(v4), Some(prefix)) = (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) else {
        return network;
    };
    Ipv4Net::new(v4, prefix).map_or(network, IpNet::V4)
}

/// Parses `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` and `[2001:db8::1]:80`; proxies write all of
/// these.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop.trim_ascii()).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?;
    Some(IpAddr::to_canonical(&address))
}

/// Identifies the client whose attempts are counted together.
///
/// One IPv4 address is one client. An IPv6 client is a /64, which is what a single household or server is assigned; a
/// limit per address would have no effect. All clients without a known address are one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey(Network);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Network {
    V4([u8; 4]),
    V6([u16; 4]),
    Unknown,
}

impl From<Option<IpAddr>> for ClientKey {
    fn from(address: Option<IpAddr>) -> Self {
        Self(match address.map(|address| address.to_canonical()) {
            None => Network::Unknown,
            Some(IpAddr::V4(v4)) => Network::V4(v4.octets()),
            Some(IpAddr::V6(v6)) => {
                let [a, b, c, d, ..] = v6.segments();
                Network::V6([a, b, c, d])
            }
        })
    }
}

impl ClientKey {
    /// Encodes the key as a number without loss. A tag above the address keeps the kinds apart.
    pub(crate) fn bits(self) -> u128 {
        let tagged = |tag: u128, address: u64| tag << 64 | u128::from(address);
        match self.0 {
            Network::Unknown => 0,
            Network::V4(octets) => tagged(1, u32::from_be_bytes(octets).into()),
            Network::V6(segments) => {
                tagged(2, segments.iter().fold(0, |bits, segment| bits << 16 | u64::from(*segment)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, Request};

    use super::*;

    fn client(proxies: &TrustedProxies, peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        proxies.client_ip(Some(peer.parse().unwrap()), &headers).unwrap().to_string()
    }

    fn proxies() -> TrustedProxies {
        TrustedProxies::parse(["10.0.0.0/8", "2001:db8:1::/48", "192.0.2.10"]).unwrap()
    }

    #[test]
    fn the_header_of_a_client_is_ignored() {
        assert_eq!(client(&TrustedProxies::none(), "203.0.113.7:1", &["1.2.3.4"]), "203.0.113.7");
        assert_eq!(client(&proxies(), "203.0.113.7:1", &["1.2.3.4", "10.0.0.1"]), "203.0.113.7");
        assert_eq!(client(&proxies(), "192.0.2.11:1", &["1.2.3.4"]), "192.0.2.11");
    }

    #[test]
    fn defect_16_the_right_most_hop_that_is_no_proxy_counts() {
        assert_eq!(client(&proxies(), "10.0.0.1:1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(&proxies(), "10.0.0.1:1", &["1.2.3.4, 203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(&proxies(), "10.0.0.1:1", &["1.2.3.4, 203.0.113.7, 10.9.9.9,192.0.2.10"]), "203.0.113.7");
        assert_eq!(client(&proxies(), "[2001:db8:1::5]:1", &["10.1.1.1, 2001:db8:2::1"]), "2001:db8:2::1");
    }

    #[test]
    fn all_lines_are_one_list_in_their_order() {
        assert_eq!(client(&proxies(), "10.0.0.1:1", &["1.2.3.4", "203.0.113.7", "10.9.9.9"]), "203.0.113.7");
        assert_eq!(client(&proxies(), "10.0.0.1:1", &["203.0.113.7", "1.2.3.4"]), "1.2.3.4");
        assert_eq!(client(&proxies(), "10.0.0.1:1", &["203.0.113.7, ,", ""]), "203.0.113.7");
    }

    #[test]
    fn a_hop_that_cannot_be_read_ends_the_walk() {
        for junk in ["unknown", "1.2.3", "_hidden", "1.2.3.4.5", "\"1.2.3.4\"", "for=1.2.3.4"] {
            assert_eq!(client(&proxies(), "10.0.0.1:1", &[&format!("1.2.3.4, {junk}")]), "10.0.0.1", "{junk}");
            assert_eq!(
                client(&proxies(), "10.0.0.1:1", &[&format!("1.2.3.4, {junk}, 10.9.9.9")]),
                "10.9.9.9",
                "{junk}"
            );
        }
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, HeaderValue::from_bytes(b"1.2.3.4, \xff").unwrap());
        assert_eq!(proxies().client_ip(Some("10.0.0.1:1".parse().unwrap()), &headers).unwrap().to_string(), "10.0.0.1");
    }

    #[test]
    fn a_list_of_proxies_only_ends_at_its_left_and_no_list_at_the_peer() {
        assert_eq!(client(&proxies(), "10.0.0.1:1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(client(&proxies(), "10.0.0.1:1", &[]), "10.0.0.1");
    }

    #[test]
    fn ports_brackets_case_and_mapped_addresses_are_one_client() {
        for hop in
            ["203.0.113.7", "203.0.113.7:4711", "::ffff:203.0.113.7", "[::FFFF:203.0.113.7]:80", "::ffff:cb00:7107"]
        {
            assert_eq!(client(&proxies(), "[::ffff:10.0.0.1]:1", &[hop]), "203.0.113.7", "{hop}");
        }
        for hop in ["2001:db8::1", "[2001:DB8::1]", "[2001:db8:0:0::1]:443"] {
            assert_eq!(client(&proxies(), "10.0.0.1:1", &[hop]), "2001:db8::1", "{hop}");
        }
    }

    #[test]
    fn a_64_is_one_bucket_and_the_unknown_are_one_bucket() {
        let key = |text: &str| ClientKey::from(Some(text.parse().unwrap()));
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("::1"), ClientKey::from(None));
        assert_eq!(ClientKey::from(None), ClientKey::from(None));
        let all = ["0.0.0.0", "0.0.0.1", "::", "0:0:0:1::"].map(|text| key(text).bits());
        assert_eq!(all, [1 << 64, (1 << 64) + 1, 2 << 64, (2 << 64) + 1]);
        assert_eq!(ClientKey::from(None).bits(), 0);
    }

    #[test]
    fn a_wrong_network_is_refused_by_its_name() {
        let refusal = |text: &str| TrustedProxies::parse(["127.0.0.1", text]).unwrap_err().to_string();
        for text in ["localhost", "10.0.0.0/33", "10.0.0", "", "10.0.0.1:80", "*"] {
            assert_eq!(refusal(text), format!("trusted_proxies: `{text}` is neither an address nor a network"));
        }
    }

    #[test]
    fn networks_that_leave_no_public_address_over_are_everybody_however_they_are_cut() {
        for (texts, named) in [
            (vec!["0.0.0.0/0"], "`0.0.0.0/0`"),
            (vec!["::/0"], "`::/0`"),
            (vec!["2000::/3"], "`2000::/3`"),
            (vec!["::ffff:0:0/96"], "`0.0.0.0/0`"),
            (vec!["0.0.0.0/1", "128.0.0.0/1"], "`0.0.0.0/1`, `128.0.0.0/1`"),
            (vec!["::1", "128.0.0.0/1", "0.0.0.0/2", "64.0.0.0/2"], "`128.0.0.0/1`, `0.0.0.0/2`, `64.0.0.0/2`"),
            (vec!["::ffff:0:0/97", "::ffff:128.0.0.0/97"], "`0.0.0.0/1`, `128.0.0.0/1`"),
            (vec!["::ffff:0:0/97", "128.0.0.0/2", "192.0.0.0/3"], "`0.0.0.0/1`, `128.0.0.0/2`, `192.0.0.0/3`"),
            (vec!["::/1", "8000::/1"], "`::/1`, `8000::/1`"),
            (vec!["2000::/4", "3000::/4", "10.0.0.0/8"], "`2000::/4`, `3000::/4`"),
        ] {
            let error = TrustedProxies::parse(&texts).unwrap_err().to_string();
            assert_eq!(error, format!("trusted_proxies: {named} would let every client choose its own address"));
        }
        for most in [vec!["0.0.0.0/1", "128.0.0.0/2"], vec!["2000::/4"], vec!["::/3", "8000::/1"], vec![]] {
            assert!(TrustedProxies::parse(&most).is_ok(), "{most:?}");
        }
    }

    #[test]
    fn networks_may_be_written_loosely() {
        let loose = TrustedProxies::parse([" 10.1.2.3/8", "::ffff:192.168.0.0/112\n"]).unwrap();
        assert_eq!(client(&loose, "10.200.0.1:1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(&loose, "192.168.7.7:1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(TrustedProxies::private_networks().networks.len(), 6);
    }

    #[test]
    fn the_peer_comes_from_the_connection_and_without_it_nothing_is_believed() {
        let (mut parts, ()) = Request::builder().header(FORWARDED_FOR, "203.0.113.7").body(()).unwrap().into_parts();
        assert_eq!(proxies().client_of(&parts), None);
        parts.extensions.insert(MockConnectInfo(SocketAddr::from(([10, 0, 0, 1], 1))));
        assert_eq!(proxies().client_of(&parts).unwrap().to_string(), "203.0.113.7");
        parts.extensions.insert(ConnectInfo(SocketAddr::from(([198, 51, 100, 1], 1))));
        assert_eq!(proxies().client_of(&parts).unwrap().to_string(), "198.51.100.1");
    }
}
