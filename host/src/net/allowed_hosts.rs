//! The grammar of `allowed_outbound_hosts`: `<scheme>://<host>[:<port>]`.
//!
//! It accepts and means what Spin's does, oddities included: an application that
//! one of the two hosts confines must be confined by the other in the same way.

use std::ops::Range;

use ip_network::IpNetwork;
use url::Host;

use super::{INTERNAL_SUFFIX, OutboundUrl, default_port};

/// Why an item of `allowed_outbound_hosts` is not well-formed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidAllowedHost {
    #[error(
        "{0:?} has no scheme: write `<scheme>://<host>[:<port>]`, such as `https://example.com`"
    )]
    NoScheme(String),
    #[error("the scheme of {0:?} is neither `*` nor made of letters only")]
    Scheme(String),
    #[error("{0:?} needs a port: its scheme has no default one")]
    NoPort(String),
    #[error("the port of {0:?} is neither `*`, a number nor a range such as `8000..9000`")]
    Port(String),
    #[error("{0:?} has a path; hosts are allowed or not as a whole")]
    Path(String),
    #[error("the host of {0:?} has a `*` elsewhere than as its first label or whole")]
    Wildcard(String),
    #[error("the host of {0:?} is not a host name, an address or a network")]
    Host(String),
}

/// The hosts a component may connect to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AllowedHosts(Vec<AllowedHost>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct AllowedHost {
    scheme: Scheme,
    host: HostPattern,
    port: Port,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    Any,
    Named(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    Any,
    /// Ends with this, which begins with a dot.
    Subdomain(String),
    /// The application itself.
    ToSelf,
    Literal(Host),
    Network(IpNetwork),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Port {
    Any,
    One(u16),
    Range(Range<u16>),
}

impl AllowedHosts {
    /// Parse the items of one component.
    ///
    /// `*.spin.internal` stands for the components listed and for nothing else.
    pub(crate) fn parse(
        items: &[String],
        components: &[String],
    ) -> Result<Self, InvalidAllowedHost> {
        let mut hosts = Vec::with_capacity(items.len());
        for item in items {
            let host = AllowedHost::parse(item)?;
            if host.host != HostPattern::Subdomain(INTERNAL_SUFFIX.into()) {
                hosts.push(host);
                continue;
            }
            hosts.extend(components.iter().map(|component| AllowedHost {
                host: HostPattern::Literal(Host::Domain(format!("{component}{INTERNAL_SUFFIX}"))),
                ..host.clone()
            }));
        }
        Ok(Self(hosts))
    }

    /// Whether the component may connect to this URL.
    pub(crate) fn allows(&self, url: &OutboundUrl) -> bool {
        self.0.iter().any(|allowed| allowed.allows(url))
    }

    /// Whether the component may send HTTP requests to the application itself.
    pub(crate) fn allows_self(&self) -> bool {
        self.0.iter().any(|allowed| {
            let http = allowed.scheme.allows("http") || allowed.scheme.allows("https");
            http && matches!(allowed.host, HostPattern::Any | HostPattern::ToSelf)
        })
    }

    /// Whether the manifest names the host of this URL, rather than letting it
    /// through with a pattern.
    ///
    /// That is the operator's word that a private address is meant. A name with
    /// dots does not count, unless its top-level domain is never delegated:
    /// whoever runs its DNS could point it at a private address later.
    pub(crate) fn names(&self, url: &OutboundUrl) -> bool {
        self.0
            .iter()
            .filter(|allowed| allowed.allows(url))
            .any(|allowed| match &allowed.host {
                HostPattern::Any | HostPattern::Subdomain(_) | HostPattern::ToSelf => false,
                HostPattern::Literal(Host::Domain(domain)) => is_private_name(domain),
                HostPattern::Literal(Host::Ipv4(_) | Host::Ipv6(_)) => true,
                // Everything is not a network anybody means.
                HostPattern::Network(network) => network.netmask() > 0,
            })
    }
}

fn is_private_name(domain: &str) -> bool {
    match domain.trim_end_matches('.').rsplit_once('.') {
        None => true,
        Some((_, top)) => matches!(top, "internal" | "localhost"),
    }
}

impl AllowedHost {
    fn parse(item: &str) -> Result<Self, InvalidAllowedHost> {
        let invalid = |error: fn(String) -> InvalidAllowedHost| error(item.to_owned());
        let (scheme, rest) = item
            .trim()
            .split_once("://")
            .ok_or_else(|| invalid(InvalidAllowedHost::NoScheme))?;
        let (host, port) = match rest.rsplit_once(':') {
            None => (rest, ""),
            Some((host, "")) => (host, ""),
            // The last colon may be one inside of an IPv6 address.
            Some(_) if HostPattern::parse(rest).is_ok() => (rest, ""),
            Some((host, tail)) => match tail.split_once('/') {
                None => (host, tail),
                Some((port, "")) => (host, port),
                Some(_) => return Err(invalid(InvalidAllowedHost::Path)),
            },
        };
        let port = match port {
            "" => default_port(scheme)
                .map(Port::One)
                .ok_or_else(|| invalid(InvalidAllowedHost::NoPort))?,
            port => Port::parse(port).ok_or_else(|| invalid(InvalidAllowedHost::Port))?,
        };
        let scheme = match scheme {
            "*" => Scheme::Any,
            scheme if scheme.chars().all(char::is_alphabetic) => Scheme::Named(scheme.to_owned()),
            _ => return Err(invalid(InvalidAllowedHost::Scheme)),
        };
        Ok(Self {
            scheme,
            host: HostPattern::parse(host).map_err(invalid)?,
            port,
        })
    }

    fn allows(&self, url: &OutboundUrl) -> bool {
        let port = url.port.or_else(|| default_port(&url.scheme));
        self.scheme.allows(&url.scheme) && self.host.allows(&url.host) && self.port.allows(port)
    }
}

impl Scheme {
    fn allows(&self, scheme: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Named(named) => named == scheme,
        }
    }
}

impl HostPattern {
    fn parse(host: &str) -> Result<Self, fn(String) -> InvalidAllowedHost> {
        let host = host.trim();
        match host {
            "*" => return Ok(Self::Any),
            "self" | "self.alt" => return Ok(Self::ToSelf),
            // Spin keeps the brace for lists, and the URL parser takes it.
            _ if host.starts_with('{') => return Err(InvalidAllowedHost::Host),
            _ => {}
        }
        if let Ok(network) = IpNetwork::from_str_truncate(host) {
            return Ok(Self::Network(network));
        }
        let host = host.strip_suffix('/').unwrap_or(host);
        if host.contains('/') {
            return Err(InvalidAllowedHost::Path);
        }
        let (subdomain, name) = match host.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, host),
        };
        if name.contains('*') {
            return Err(InvalidAllowedHost::Wildcard);
        }
        match (
            subdomain,
            Host::parse(name).map_err(|_| InvalidAllowedHost::Host as fn(_) -> _)?,
        ) {
            (true, Host::Domain(domain)) => Ok(Self::Subdomain(format!(".{domain}"))),
            (true, Host::Ipv4(_) | Host::Ipv6(_)) => Err(InvalidAllowedHost::Wildcard),
            (false, host) => Ok(Self::Literal(host)),
        }
    }

    fn allows(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Subdomain(suffix), Host::Domain(domain)) => domain.ends_with(suffix.as_str()),
            (Self::Literal(literal), host) => literal == host,
            (Self::Network(network), Host::Ipv4(address)) => network.contains(*address),
            (Self::Network(network), Host::Ipv6(address)) => network.contains(*address),
            (Self::Subdomain(_) | Self::Network(_) | Self::ToSelf, _) => false,
        }
    }
}

impl Port {
    /// The end of a range is not part of it.
    fn parse(port: &str) -> Option<Self> {
        if port == "*" {
            return Some(Self::Any);
        }
        match port.split_once("..") {
            Some((start, end)) => Some(Self::Range(start.parse().ok()?..end.parse().ok()?)),
            None => port.parse().ok().map(Self::One),
        }
    }

    fn allows(&self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) => true,
            (Self::One(allowed), Some(port)) => *allowed == port,
            (Self::Range(allowed), Some(port)) => allowed.contains(&port),
            (Self::One(_) | Self::Range(_), None) => false,
        }
    }
}

#[cfg(test)]
#[path = "allowed_hosts_tests.rs"]
mod tests;
