//! The headers by which Spin tells a guest how its request was routed.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::router::Found;

const PATH_INFO: HeaderName = HeaderName::from_static("spin-path-info");
const FULL_URL: HeaderName = HeaderName::from_static("spin-full-url");
const MATCHED_ROUTE: HeaderName = HeaderName::from_static("spin-matched-route");
const BASE_PATH: HeaderName = HeaderName::from_static("spin-base-path");
const RAW_COMPONENT_ROUTE: HeaderName = HeaderName::from_static("spin-raw-component-route");
const COMPONENT_ROUTE: HeaderName = HeaderName::from_static("spin-component-route");
const CLIENT_ADDR: HeaderName = HeaderName::from_static("spin-client-addr");
const PATH_MATCH: &str = "spin-path-match-";

/// The values that are the same for every request of a route.
pub(crate) struct RouteHeaders {
    pub(super) matched: HeaderValue,
    pub(super) raw: HeaderValue,
    pub(super) component: HeaderValue,
}

/// Sets what Spin sets. Nothing a client sent under these names gets through:
/// guests believe them.
pub(crate) fn set(headers: &mut HeaderMap, found: &Found<'_>, uri: &Uri, client: &HeaderValue) {
    strip_path_matches(headers);
    headers.remove(header::CONNECTION);
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    let host = uri.authority().map_or(host, http::uri::Authority::as_str);
    let path = uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let full_url = value(["http://", host, path].concat());
    headers.insert(FULL_URL, full_url);
    headers.insert(PATH_INFO, value(found.path_info.clone()));
    headers.insert(MATCHED_ROUTE, found.headers.matched.clone());
    headers.insert(BASE_PATH, HeaderValue::from_static("/"));
    headers.insert(RAW_COMPONENT_ROUTE, found.headers.raw.clone());
    headers.insert(COMPONENT_ROUTE, found.headers.component.clone());
    headers.insert(CLIENT_ADDR, client.clone());
    for (name, text) in &found.parameters {
        if let Ok(name) = HeaderName::try_from(format!("{PATH_MATCH}{}", name.to_ascii_lowercase()))
        {
            headers.insert(name, value(text.clone()));
        }
    }
}

fn strip_path_matches(headers: &mut HeaderMap) {
    let forged = |name: &&HeaderName| name.as_str().starts_with(PATH_MATCH);
    while let Some(name) = headers.keys().find(forged).cloned() {
        headers.remove(name);
    }
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::router::Router;

    #[test]
    fn a_client_cannot_forge_them() {
        let router = Router::new([("/users/:id/...", 0)]).expect("valid");
        let uri = Uri::from_static("/users/42/x?y=1");
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("shop.example"));
        for name in [
            "spin-client-addr",
            "spin-path-match-admin",
            "spin-path-match-id",
            "spin-full-url",
        ] {
            headers.append(name, HeaderValue::from_static("forged"));
            headers.append(name, HeaderValue::from_static("twice"));
        }
        let found = router.find(uri.path()).expect("a match");
        set(
            &mut headers,
            &found,
            &uri,
            &HeaderValue::from_static("127.0.0.1:9"),
        );
        for (name, expected) in [
            ("spin-client-addr", Some("127.0.0.1:9")),
            ("spin-path-match-id", Some("42")),
            ("spin-path-match-admin", None),
            ("spin-full-url", Some("http://shop.example/users/42/x?y=1")),
            ("spin-path-info", Some("/x")),
            ("spin-matched-route", Some("/users/:id/...")),
            ("spin-component-route", Some("/users/:id")),
        ] {
            let values: Vec<_> = headers
                .get_all(name)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .collect();
            assert_eq!(values, expected.into_iter().collect::<Vec<_>>(), "{name}");
        }
    }
}
