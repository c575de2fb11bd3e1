//! Which addresses are on the Internet, and which lead into somebody's network.
//!
//! For a component that fetches what others name. It sees what a URL says; what a
//! name resolves to is known to the host alone, which has a guard of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The host of a URL is not on the Internet. The text is the kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it leads to a {0} address")]
pub struct NotPublic(pub &'static str);

/// Check that the host of a URL is not known to be private.
///
/// The parser of URLs has understood decimal, octal, hexadecimal and shortened
/// notations by now, as a browser does: what is left is an address or a name.
pub fn check_public(url: &Url) -> Result<(), NotPublic> {
    let kind = match url.host() {
        Some(Host::Ipv4(address)) => special_ipv4(address),
        Some(Host::Ipv6(address)) => special_ipv6(address),
        Some(Host::Domain(name)) => special_name(name),
        None => Some("missing"),
    };
    kind.map_or(Ok(()), |kind| Err(NotPublic(kind)))
}

/// Check an address, as [`check_public`] does.
pub fn check_address(address: IpAddr) -> Result<(), NotPublic> {
    let kind = match address {
        IpAddr::V4(address) => special_ipv4(address),
        IpAddr::V6(address) => special_ipv6(address),
    };
    kind.map_or(Ok(()), |kind| Err(NotPublic(kind)))
}

/// RFC 6890 and its successors in IANA's registry.
fn special_ipv4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    Some(match (a, b, c) {
        (0, ..) => "unspecified",
        (127, ..) => "loopback",
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => "private",
        (169, 254, _) => "link-local",
        (100, 64..=127, _) => "carrier-grade NAT",
        (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) | (198, 18 | 19, _) => "reserved",
        (192, 88, 99) => "relay",
        (224..=239, ..) => "multicast",
        (240..=255, ..) => "reserved",
        _ => return None,
    })
}

fn special_ipv6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some(carried) = carried_ipv4(address) {
        return special_ipv4(carried);
    }
    let [first, second, ..] = address.segments();
    Some(match (first, second) {
        _ if address.is_loopback() => "loopback",
        _ if address.is_unspecified() => "unspecified",
        (0xfc00..=0xfdff, _) => "private",
        (0xfe80..=0xfeff, _) => "link-local",
        (0xff00..=0xffff, _) => "multicast",
        (0x2001, 0..=0x01ff | 0x0db8) | (0x3fff, 0..=0x0fff) => "reserved",
        // Only this eighth is in use for the Internet.
        (0x2000..=0x3fff, _) => return None,
        _ => "reserved",
    })
}

/// The IPv4 address that an IPv6 address is another way to write, or that a
/// translator makes of it.
fn carried_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let carried = match (a, b, c, d, e, f) {
        // `::` and `::1` are addresses of their own.
        (0, 0, 0, 0, 0, 0) if high == 0 && low <= 1 => return None,
        // Compatible, mapped, translated; NAT64.
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => {
            (high, low)
        }
        // 6to4.
        (0x2002, ..) => (b, c),
        _ => return None,
    };
    let (high, low) = carried;
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

/// Names that are never on the Internet (RFC 6761, RFC 6762, RFC 9476), or that
/// lead to other components.
fn special_name(name: &str) -> Option<&'static str> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    match last {
        "localhost" => Some("loopback"),
        "local" | "internal" | "lan" | "home" | "intranet" | "alt" => Some("private"),
        // A name without a dot is looked up in the network of the host.
        _ if !name.contains('.') => Some("private"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(url: &str) -> Option<&'static str> {
        match Url::parse(url) {
            Ok(url) => check_public(&url).err().map(|NotPublic(kind)| kind),
            Err(_) => Some("unreadable"),
        }
    }

    #[test]
    fn private_addresses_are_found_in_every_notation() {
        for (url, expected) in [
            ("http://127.0.0.1/", "loopback"),
            ("http://127.1/", "loopback"),
            ("http://2130706433/", "loopback"),
            ("http://0x7f000001/", "loopback"),
            ("http://0177.0.0.1/", "loopback"),
            ("http://0x7f.1/", "loopback"),
            ("http://1２7.0.0.1/", "loopback"),
            ("http://[::1]/", "loopback"),
            ("http://[::ffff:127.0.0.1]/", "loopback"),
            ("http://[::ffff:7f00:1]/", "loopback"),
            ("http://[::127.0.0.1]/", "loopback"),
            ("http://[64:ff9b::10.0.0.1]/", "private"),
            ("http://[2002:c0a8:1::]/", "private"),
            ("http://0.0.0.0/", "unspecified"),
            ("http://[::]/", "unspecified"),
            ("http://10.1.2.3/", "private"),
            ("http://172.31.255.255/", "private"),
            ("http://192.168.0.1/", "private"),
            ("http://100.64.0.1/", "carrier-grade NAT"),
            ("http://169.254.169.254/latest/meta-data/", "link-local"),
            ("http://[fe80::1]/", "link-local"),
            ("http://[fd00:ec2::254]/", "private"),
            ("http://224.0.0.1/", "multicast"),
            ("http://255.255.255.255/", "reserved"),
            ("http://localhost/", "loopback"),
            ("http://LOCALHOST./", "loopback"),
            ("http://a.localhost/", "loopback"),
            ("http://printer/", "private"),
            ("http://media.spin.internal/", "private"),
            ("http://metadata.google.internal/", "private"),
            ("http://self.alt/", "private"),
        ] {
            assert_eq!(kind(url), Some(expected), "{url}");
        }
    }

    #[test]
    fn public_hosts_pass() {
        for url in [
            "https://raw.githubusercontent.com/a.png",
            "http://1.1.1.1/",
            "http://172.32.0.1/",
            "http://100.128.0.1/",
            "http://[2606:4700:4700::1111]/",
            "http://[::ffff:1.1.1.1]/",
        ] {
            assert_eq!(kind(url), None, "{url}");
        }
    }
}
