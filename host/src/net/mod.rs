//! Which hosts and addresses a component may reach.

mod address;
mod allowed_hosts;
pub(crate) mod client;
pub(crate) mod connector;
mod outbound_url;
pub(crate) mod tls;

pub(crate) use self::address::{PermittedNetworks, Prohibited, check};
pub(crate) use self::allowed_hosts::AllowedHosts;
pub(crate) use self::outbound_url::OutboundUrl;

/// The domain whose subdomains are the components of the application.
pub(crate) const INTERNAL_SUFFIX: &str = ".spin.internal";

/// The port that a URL of this scheme means when it names none.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "mqtt" => Some(1883),
        "mysql" => Some(3306),
        "postgres" => Some(5432),
        "redis" => Some(6379),
        _ => None,
    }
}
