//! The part of a URL that decides whether a component may connect to it.

use std::borrow::Cow;
use std::fmt;

use url::{Host, Url};

use super::default_port;

/// Where a component wants to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutboundUrl {
    pub(crate) scheme: String,
    pub(crate) host: Host,
    pub(crate) port: Option<u16>,
}

impl OutboundUrl {
    /// Parse a URL, or an authority that is meant as one of `scheme`.
    pub(crate) fn parse(url: &str, scheme: &str) -> Result<Self, url::ParseError> {
        let url = with_plain_userinfo(url);
        let parsed = match Url::parse(&url) {
            Ok(parsed) if parsed.has_host() => parsed,
            // `localhost:80` alone parses as a URL of the scheme `localhost`.
            Ok(_) => Url::parse(&format!("{scheme}://{url}"))?,
            Err(error) => Url::parse(&format!("{scheme}://{url}")).map_err(|_| error)?,
        };
        let host = parsed.host_str().ok_or(url::ParseError::EmptyHost)?;
        Ok(Self {
            scheme: parsed.scheme().to_owned(),
            // Of an unknown scheme, the URL parser leaves `127.1` as a domain.
            host: Host::parse(host)?,
            port: parsed.port(),
        })
    }

    /// The port, or the one that the scheme means.
    pub(crate) fn port_or_default(&self) -> Option<u16> {
        self.port.or_else(|| default_port(&self.scheme))
    }
}

/// As an item of `allowed_outbound_hosts` that would allow it; without the user
/// name and password.
impl fmt::Display for OutboundUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Escape the user name and password, so that a `#` or `?` in a password does
/// not end the authority before its host.
fn with_plain_userinfo(url: &str) -> Cow<'_, str> {
    let (prefix, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url),
    };
    let Some((userinfo, host)) = rest.split_once('@') else {
        return url.into();
    };
    if userinfo.contains('/') {
        return url.into();
    }
    let userinfo: String = url::form_urlencoded::byte_serialize(userinfo.as_bytes()).collect();
    match prefix {
        Some(scheme) => format!("{scheme}://{userinfo}@{host}").into(),
        None => format!("{userinfo}@{host}").into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(url: &str) -> String {
        OutboundUrl::parse(url, "https")
            .expect(url)
            .host
            .to_string()
    }

    #[test]
    fn a_user_name_is_not_a_host() {
        for url in [
            "https://example.com/file@0.1.0.json",
            "https://user:password@example.com/file@0.1.0.json",
            "https://user:pass#word@example.com/file@0.1.0.json",
            "https://user:pass?word@example.com",
            "https://user:password@example.com",
            "user:password@example.com",
        ] {
            assert_eq!(host(url), "example.com", "{url}");
        }
    }

    #[test]
    fn an_authority_gets_the_scheme_it_is_meant_in() {
        let url = OutboundUrl::parse("localhost:6379", "redis").expect("url");
        assert_eq!((url.scheme.as_str(), url.port), ("redis", Some(6379)));
    }

    #[test]
    fn other_notations_of_an_address_are_that_address() {
        for notation in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.0.0.1.",
        ] {
            for scheme in ["http", "redis"] {
                assert_eq!(
                    host(&format!("{scheme}://{notation}/")),
                    "127.0.0.1",
                    "{notation}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(url in ".*") {
            let _ = OutboundUrl::parse(&url, "http");
        }

        #[test]
        fn any_userinfo_leaves_the_host(userinfo in "[^/@]*") {
            prop_assert_eq!(host(&format!("http://{userinfo}@example.com/x")), "example.com");
        }
    }
}
