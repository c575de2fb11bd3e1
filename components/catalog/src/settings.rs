//! Configuration: where the catalogue comes from, and how politely it is read.

use std::{str::FromStr, sync::Arc, time::Duration};

use emporium_sdk::{
    outbound,
    variables::{InvalidVariables, Kept, Variables},
};
use url::Url;

use crate::relay;

/// The variables, read and checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where the species come from.
    pub(crate) pokeapi: Source,
    /// Where the products come from.
    pub(crate) openfoodfacts: Source,
    /// The most pages of products that one ingest may ask for.
    pub(crate) page_limit: u32,
    pub(crate) relay: relay::Settings,
}

/// The origin of a source: an absolute `http` or `https` URL without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source(Url);

/// Why a URL is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidSource {
    #[error("it is no absolute `http` or `https` URL")]
    NotHttp,
    #[error("it has a path, a query or a user")]
    MoreThanOrigin,
}

impl FromStr for Source {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        let url = Url::parse(text).map_err(|_| InvalidSource::NotHttp)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(InvalidSource::NotHttp);
        }
        let plain = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        match plain {
            true => Ok(Self(url)),
            false => Err(InvalidSource::MoreThanOrigin),
        }
    }
}

impl Source {
    /// A resource of it, by the parts of its path.
    pub(crate) fn resource(&self, parts: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(parts);
        }
        url
    }

    /// A resource that an answer of the source names. `None` if it is elsewhere.
    pub(crate) fn named(&self, url: &str) -> Option<Url> {
        let url = Url::parse(url).ok()?;
        (url.origin() == self.0.origin()).then_some(url)
    }
}

impl Settings {
    /// The settings, read at the first use in this instance.
    pub(crate) async fn get() -> Result<Arc<Self>, InvalidVariables> {
        static SETTINGS: Kept<Settings> = Kept::new();
        SETTINGS.get(Self::read()).await
    }

    async fn read() -> Result<Self, InvalidVariables> {
        let mut variables = Variables::new();
        let pokeapi = variables.get("pokeapi_url").await;
        let openfoodfacts = variables.get("openfoodfacts_url").await;
        let page_limit = variables.get("page_limit").await;
        let lifetime = variables.get("relay_lifetime").await;
        let negative = variables.get("relay_negative_lifetime").await;
        let stale = variables.get("relay_stale_for").await;
        let rate = variables.get("relay_rate").await;
        let timeout = variables.get("relay_timeout").await;
        let read = || {
            Some(Self {
                pokeapi: pokeapi?,
                openfoodfacts: openfoodfacts?,
                page_limit: page_limit?,
                relay: relay::Settings {
                    lifetime: Duration::from_secs(lifetime?),
                    negative_lifetime: Duration::from_secs(negative?),
                    stale_for: Duration::from_secs(stale?),
                    per_second: rate?,
                    limits: outbound::Limits {
                        time: Duration::from_secs(timeout?),
                        bytes: ANSWER_LIMIT,
                    },
                },
            })
        };
        let read = read();
        variables.finish(read)
    }
}

/// The most bytes of an answer of upstream: several times the largest of PokeAPI,
/// and a page of a hundred products.
const ANSWER_LIMIT: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_origin() {
        for (text, parsed) in [
            ("https://pokeapi.co", None),
            ("http://127.0.0.1:8080/", None),
            ("pokeapi.co", Some(InvalidSource::NotHttp)),
            ("ftp://pokeapi.co", Some(InvalidSource::NotHttp)),
            (
                "https://pokeapi.co/api",
                Some(InvalidSource::MoreThanOrigin),
            ),
            ("https://me@pokeapi.co", Some(InvalidSource::MoreThanOrigin)),
        ] {
            assert_eq!(text.parse::<Source>().err(), parsed, "{text}");
        }
    }

    #[test]
    fn what_an_answer_names_elsewhere_is_not_followed() -> Result<(), InvalidSource> {
        let source: Source = "https://pokeapi.co".parse()?;
        assert!(
            source
                .named("https://pokeapi.co/api/v2/pokemon/1/")
                .is_some()
        );
        for elsewhere in [
            "https://evil.example/api/v2/pokemon/1/",
            "http://pokeapi.co/api/v2/pokemon/1/",
            "https://pokeapi.co.evil.example/",
            "/api/v2/pokemon/1/",
        ] {
            assert_eq!(source.named(elsewhere), None, "{elsewhere}");
        }
        Ok(())
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_the_path() -> Result<(), InvalidSource> {
        let source: Source = "https://pokeapi.co".parse()?;
        let url = source.resource(&["api", "v2", "pokemon", "a/../b?c"]);
        assert_eq!(
            url.as_str(),
            "https://pokeapi.co/api/v2/pokemon/a%2F..%2Fb%3Fc"
        );
        Ok(())
    }
}
