//! Which addresses are off limits unless the operator says otherwise.
//!
//! A component that fetches what a user names must not become the user's way
//! into the network of the host. Addresses are checked after a name was resolved
//! and before a connection is made, so that neither an odd notation nor a name
//! that resolves differently a second time gets around the check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ip_network::IpNetwork;

/// Why an item of the permitted networks is not well-formed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither `private` nor a network such as `10.0.0.0/8`")]
pub(crate) struct InvalidNetwork(String);

/// Networks that every component may connect to though they are off limits by
/// default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PermittedNetworks {
    all: bool,
    networks: Vec<IpNetwork>,
    /// Off limits whatever else is said.
    blocked: Vec<IpNetwork>,
    blocks_private: bool,
}

impl PermittedNetworks {
    /// Permit every address.
    pub(crate) fn all() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// For a component whose manifest names the host: only what is blocked stays
    /// off limits.
    pub(crate) fn for_named(&self) -> Self {
        Self {
            all: true,
            ..self.clone()
        }
    }

    /// Off limits are also these: `private`, and networks such as `10.0.0.0/8`.
    pub(crate) fn without(mut self, blocked: &[String]) -> Result<Self, InvalidNetwork> {
        for item in blocked {
            match (item.as_str(), item.parse::<IpNetwork>()) {
                ("private", _) => self.blocks_private = true,
                (_, Ok(network)) => self.blocked.push(network),
                (_, Err(_)) => return Err(InvalidNetwork(item.clone())),
            }
        }
        Ok(self)
    }

    fn blocks(&self, address: IpAddr) -> bool {
        self.blocked.iter().any(|network| network.contains(address))
    }

    fn permit(&self, address: IpAddr) -> bool {
        self.all
            || self
                .networks
                .iter()
                .any(|network| network.contains(address))
    }
}

/// A list such as `10.0.0.0/8,::1`, in which `private` stands for all networks.
impl FromStr for PermittedNetworks {
    type Err = InvalidNetwork;

    fn from_str(list: &str) -> Result<Self, InvalidNetwork> {
        let mut permitted = Self::default();
        for item in list
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            match (
                item,
                IpNetwork::from_str_truncate(item),
                item.parse::<IpAddr>(),
            ) {
                ("private", ..) => permitted.all = true,
                (_, Ok(network), _) => permitted.networks.push(network),
                (_, _, Ok(address)) => permitted.networks.push(address.into()),
                (..) => return Err(InvalidNetwork(item.to_owned())),
            }
        }
        Ok(permitted)
    }
}

/// An address is off limits; the text is the kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is a {1} address")]
pub(crate) struct Prohibited(pub(crate) IpAddr, pub(crate) &'static str);

/// Check that a component may connect to `address`.
pub(crate) fn check(address: IpAddr, permitted: &PermittedNetworks) -> Result<(), Prohibited> {
    // What an IPv6 address leads to in the IPv4 network counts as that.
    let carried = match address {
        IpAddr::V6(address) => carried_ipv4(address).map(IpAddr::V4),
        IpAddr::V4(_) => None,
    };
    let target = carried.unwrap_or(address);
    if permitted.blocks(address) || permitted.blocks(target) {
        return Err(Prohibited(address, "blocked"));
    }
    let is_permitted = permitted.permit(address) || permitted.permit(target);
    if is_permitted && !permitted.blocks_private {
        return Ok(());
    }
    let kind = match target {
        IpAddr::V4(address) => prohibited_ipv4(address),
        IpAddr::V6(address) => prohibited_ipv6(address),
    };
    kind.map_or(Ok(()), |kind| Err(Prohibited(address, kind)))
}

/// The special-purpose addresses of IANA's registry for IPv4.
fn prohibited_ipv4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    Some(match (a, b, c) {
        (0, ..) => "unspecified",
        (127, ..) => "loopback",
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => "private",
        // The metadata services of most clouds are among these.
        (169, 254, _) => "link-local",
        (100, 64..=127, _) => "carrier-grade NAT",
        (192, 0, 0) | (192, 88, 99) => "protocol assignment",
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => "documentation",
        (198, 18..=19, _) => "benchmarking",
        (224..=239, ..) => "multicast",
        (240..=255, ..) => "reserved",
        _ => return None,
    })
}

/// Only `2000::/3` is in use for the Internet; all else is for special purposes.
fn prohibited_ipv6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    Some(match (segments[0], segments[1]) {
        // Azure's and AWS's metadata services have unique local addresses.
        (0xfc00..=0xfdff, _) => "unique local",
        (0xfe80..=0xfebf, _) => "link-local",
        (0xfec0..=0xfeff, _) => "site-local",
        (0xff00..=0xffff, _) => "multicast",
        (0x2001, 0..=0x01ff) => "protocol assignment",
        (0x2001, 0x0db8) | (0x3fff, 0..=0x0fff) => "documentation",
        (0x2000..=0x3fff, _) => return None,
        _ if address.is_loopback() => "loopback",
        _ if address.is_unspecified() => "unspecified",
        _ => "reserved",
    })
}

/// The IPv4 address that a router, a translator or the host's own stack would
/// send to in place of this one.
fn carried_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let ipv4 = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match address.segments() {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // IPv4-compatible, -mapped and -translated.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => ipv4(high, low),
        [0, 0, 0, 0, 0xffff, 0, high, low] => ipv4(high, low),
        // NAT64.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => ipv4(high, low),
        // 6to4.
        [0x2002, high, low, ..] => ipv4(high, low),
        // ISATAP, under any prefix.
        [.., 0 | 0x0200, 0x5efe, high, low] => ipv4(high, low),
        _ => None,
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
