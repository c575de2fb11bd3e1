//! How long an answer may be used again (RFC 9111, RFC 5861).

use http::{HeaderMap, header};

/// What the headers of an answer say about keeping it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// It must not be kept at all.
    pub(crate) no_store: bool,
    /// It must not be used once it is stale, not even when upstream is away.
    pub(crate) must_revalidate: bool,
    /// For so many seconds from now it is fresh.
    pub(crate) fresh_for: Option<u64>,
    /// For so many seconds more it may stand in when upstream is away.
    pub(crate) stale_if_error: Option<u64>,
}

impl Freshness {
    /// Read the headers of an answer.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut freshness = Self::default();
        let (mut max_age, mut shared_max_age) = (None, None);
        let directives = headers
            .get_all(header::CACHE_CONTROL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        for directive in directives {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let seconds = value.trim().trim_matches('"').parse::<u64>().ok();
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" => freshness.no_store = true,
                "no-cache" => max_age = Some(0),
                "must-revalidate" | "proxy-revalidate" => freshness.must_revalidate = true,
                // A duplicate or unreadable age makes the answer stale, by the
                // letter of the standard; the stricter one wins.
                "max-age" => max_age = stricter(max_age, seconds),
                "s-maxage" => shared_max_age = stricter(shared_max_age, seconds),
                "stale-if-error" => freshness.stale_if_error = seconds,
                _ => {}
            }
        }
        // The relay is a shared cache.
        let lifetime = match max_age {
            Some(0) => Some(0),
            _ => shared_max_age.or(max_age),
        };
        freshness.fresh_for = lifetime.map(|seconds| seconds.saturating_sub(age(headers)));
        freshness
    }
}

fn stricter(known: Option<u64>, given: Option<u64>) -> Option<u64> {
    let given = given.unwrap_or(0);
    Some(known.map_or(given, |known| known.min(given)))
}

/// The seconds that other caches kept it already.
fn age(headers: &HeaderMap) -> u64 {
    headers
        .get(header::AGE)
        .and_then(|age| age.to_str().ok()?.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(control: &'static str, age: Option<&'static str>) -> Freshness {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(control));
        if let Some(age) = age {
            headers.insert(header::AGE, HeaderValue::from_static(age));
        }
        Freshness::of(&headers)
    }

    #[test]
    fn the_lifetime_is_what_is_left_of_the_age() {
        for (control, age, fresh_for) in [
            ("public, max-age=86400", None, Some(86_400)),
            ("max-age=100", Some("40"), Some(60)),
            ("max-age=100", Some("400"), Some(0)),
            ("max-age=10, s-maxage=20", None, Some(20)),
            ("no-cache, max-age=10", None, Some(0)),
            ("MAX-AGE=\"7\"", None, Some(7)),
            ("max-age=5, max-age=9", None, Some(5)),
            ("max-age=soon", None, Some(0)),
            ("public", None, None),
        ] {
            assert_eq!(of(control, age).fresh_for, fresh_for, "{control}");
        }
    }

    #[test]
    fn what_forbids_keeping_is_heeded() {
        assert!(of("no-store", None).no_store);
        assert!(of("max-age=1, must-revalidate", None).must_revalidate);
        assert_eq!(
            of("max-age=1, stale-if-error=60", None).stale_if_error,
            Some(60)
        );
    }
}
