//! Where media may be fetched from.

use std::str::FromStr;

use emporium_sdk::address::{NotPublic, check_public};
use url::Url;

/// The places media may come from, and whether they may be private.
#[derive(Clone, Debug)]
pub(crate) struct Allowed {
    pub(crate) origins: Origins,
    pub(crate) private: bool,
}

/// Origins, each with a path that what is fetched must be below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origins(Vec<Url>);

/// An item of the list is no absolute `http` or `https` URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no absolute `http` or `https` URL")]
pub(crate) struct InvalidOrigin(String);

/// A list such as `https://a.example/pictures/, https://b.example`.
impl FromStr for Origins {
    type Err = InvalidOrigin;

    fn from_str(list: &str) -> Result<Self, InvalidOrigin> {
        let items = list
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        let origins = items.map(|item| {
            Url::parse(item)
                .ok()
                .filter(|url| is_http(url) && url.host().is_some())
                .ok_or_else(|| InvalidOrigin(item.to_owned()))
        });
        Ok(Self(origins.collect::<Result<_, _>>()?))
    }
}

/// Why a URL is not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Prohibited {
    #[error("it is no absolute `http` or `https` URL")]
    NotHttp,
    #[error("it carries a user name")]
    WithUser,
    #[error("it is at none of the allowed origins")]
    Elsewhere,
    #[error(transparent)]
    NotPublic(NotPublic),
}

impl Allowed {
    /// Check a URL before anything is sent there.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Prohibited> {
        if !is_http(url) {
            return Err(Prohibited::NotHttp);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Prohibited::WithUser);
        }
        if !self.private {
            check_public(url).map_err(Prohibited::NotPublic)?;
        }
        match self.origins.0.iter().any(|origin| is_below(origin, url)) {
            true => Ok(()),
            false => Err(Prohibited::Elsewhere),
        }
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// Origins are compared as such, not as texts: `https://a.example.evil` begins
/// with `https://a.example`.
fn is_below(origin: &Url, url: &Url) -> bool {
    let folder = origin.path().trim_end_matches('/');
    url.origin() == origin.origin()
        && url
            .path()
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origins: &str, private: bool, url: &str) -> Result<(), Prohibited> {
        let origins = origins.parse().unwrap_or(Origins(Vec::new()));
        let url = Url::parse(url).map_err(|_| Prohibited::NotHttp)?;
        Allowed { origins, private }.check(&url)
    }

    #[test]
    fn only_what_is_below_an_origin_is_fetched() {
        let origins = "https://a.example/PokeAPI/, https://b.example";
        for (url, expected) in [
            ("https://a.example/PokeAPI/1.png", Ok(())),
            ("https://b.example/x", Ok(())),
            ("https://b.example:443/x", Ok(())),
            (
                "https://a.example/PokeAPIs/1.png",
                Err(Prohibited::Elsewhere),
            ),
            ("https://a.example/PokeAPI/../x", Err(Prohibited::Elsewhere)),
            (
                "https://a.example/PokeAPI/%2e%2e/x",
                Err(Prohibited::Elsewhere),
            ),
            (
                "https://a.example.evil/PokeAPI/",
                Err(Prohibited::Elsewhere),
            ),
            ("https://b.example:8443/x", Err(Prohibited::Elsewhere)),
            ("http://b.example/x", Err(Prohibited::Elsewhere)),
            ("https://b.example@evil.example/", Err(Prohibited::WithUser)),
            ("file:///etc/passwd", Err(Prohibited::NotHttp)),
            ("data:image/png;base64,", Err(Prohibited::NotHttp)),
            ("relative.png", Err(Prohibited::NotHttp)),
        ] {
            assert_eq!(check(origins, false, url), expected, "{url}");
        }
    }

    #[test]
    fn a_private_address_needs_permission_though_it_is_an_origin() {
        let origins = "http://127.0.0.1:8080, http://169.254.169.254";
        let loopback = "http://127.0.0.1:8080/a.png";
        assert!(matches!(
            check(origins, false, loopback),
            Err(Prohibited::NotPublic(NotPublic("loopback")))
        ));
        assert_eq!(check(origins, true, loopback), Ok(()));
        let other = "http://127.0.0.1:9090/a.png";
        assert_eq!(check(origins, true, other), Err(Prohibited::Elsewhere));
    }

    #[test]
    fn an_origin_is_a_url() {
        for wrong in ["a.example", "ftp://a.example", "https://a.example, b"] {
            assert!(wrong.parse::<Origins>().is_err(), "{wrong}");
        }
    }
}
