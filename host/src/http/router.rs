//! Which component answers a path.
//!
//! The matching itself is that of Spin: the same crate, fed the same way.

use http::HeaderValue;
use routefinder::RouteSpec;

use super::headers::RouteHeaders;

/// A route of the manifest, parsed.
pub(crate) struct Pattern {
    /// As written, with a leading `/` and without a trailing one.
    text: String,
    spec: RouteSpec,
}

impl Pattern {
    /// Parses `/exact`, `/prefix/...` and `/with/:parameter`.
    pub(crate) fn parse(route: &str) -> Result<Self, String> {
        let text = format!("/{}", route.strip_prefix('/').unwrap_or(route));
        let text = text.strip_suffix('/').map(Into::into).unwrap_or(text);
        let spec = match text.strip_suffix("/...") {
            Some(prefix) => format!("{prefix}/*").parse()?,
            None => text.parse()?,
        };
        Ok(Self { text, spec })
    }
}

/// All public routes.
pub(crate) struct Router {
    routes: routefinder::Router<Target>,
}

/// The component behind a route, by its place in the list of pools.
struct Target {
    component: usize,
    headers: RouteHeaders,
}

/// A route that matches a path.
pub(crate) struct Found<'router> {
    pub(crate) component: usize,
    pub(crate) headers: &'router RouteHeaders,
    /// What the trailing `...` stands for.
    pub(crate) path_info: String,
    /// The values of `:parameters`.
    pub(crate) parameters: Vec<(String, String)>,
}

impl Router {
    pub(crate) fn new<'route>(
        routes: impl IntoIterator<Item = (&'route str, usize)>,
    ) -> Result<Self, String> {
        let mut router = routefinder::Router::new();
        for (route, component) in routes {
            let pattern = Pattern::parse(route)?;
            let headers = RouteHeaders::new(&pattern.text, route);
            let Ok(()) = router.add(pattern.spec, Target { component, headers });
        }
        Ok(Self { routes: router })
    }

    /// The most specific route that matches `path`.
    pub(crate) fn find(&self, path: &str) -> Option<Found<'_>> {
        let found = self.routes.best_match(path)?;
        let captures = found.captures();
        let path_info = match (captures.wildcard(), path.ends_with('/')) {
            (None, _) | (Some(""), false) => String::new(),
            (Some(""), true) => "/".into(),
            (Some(rest), false) => format!("/{rest}"),
            (Some(rest), true) => format!("/{rest}/"),
        };
        let parameters = captures
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let target = found.handler();
        Some(Found {
            component: target.component,
            headers: &target.headers,
            path_info,
            parameters,
        })
    }
}

impl RouteHeaders {
    fn new(based: &str, raw: &str) -> Self {
        let value =
            |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
        Self {
            matched: value(based),
            raw: value(raw),
            component: value(raw.strip_suffix("/...").unwrap_or(raw)),
        }
    }

    /// As if the whole path had matched `/...`: for calls of a component by
    /// its name.
    pub(super) fn of_private() -> Self {
        Self::new("/...", "/...")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[&str]) -> Router {
        let routes = routes.iter().enumerate();
        Router::new(routes.map(|(index, route)| (*route, index))).expect("valid")
    }

    fn component(routes: &[&str], path: &str) -> Option<usize> {
        router(routes).find(path).map(|found| found.component)
    }

    #[test]
    fn the_most_specific_route_wins() {
        let routes = [
            "/...",
            "/api/...",
            "/api/items",
            "/api/:kind",
            "/api/items/:id/edit",
        ];
        for (path, expected) in [
            ("/", 0),
            ("/other/x", 0),
            ("/api", 1),
            ("/api/a/b/c", 1),
            ("/api/items", 2),
            ("/api/items/", 2),
            ("/api/things", 3),
            ("/api/items/7/edit", 4),
        ] {
            assert_eq!(component(&routes, path), Some(expected), "{path}");
        }
    }

    #[test]
    fn a_path_without_a_route_has_none() {
        assert_eq!(component(&["/api/..."], "/apis"), None);
        assert_eq!(component(&["/exact"], "/exact/more"), None);
        assert_eq!(component(&["/"], "/x"), None);
        assert_eq!(component(&["/a/:b"], "/a"), None);
    }

    #[test]
    fn the_rest_of_the_path_keeps_its_slashes() {
        let router = router(&["/test/..."]);
        for (path, rest) in [
            ("/test", ""),
            ("/test/", "/"),
            ("/test/a", "/a"),
            ("/test/a/", "/a/"),
        ] {
            assert_eq!(
                router.find(path).expect("a match").path_info,
                rest,
                "{path}"
            );
        }
    }

    #[test]
    fn parameters_are_captured() {
        let router = router(&["/users/:id/..."]);
        let found = router.find("/users/42/x").expect("a match");
        assert_eq!(found.path_info, "/x");
        assert_eq!(found.parameters, [("id".into(), "42".into())]);
    }

    #[test]
    fn malformed_routes_are_refused() {
        assert!(Pattern::parse("/a/:").is_err());
        assert!(Pattern::parse("/a/*name").is_err());
    }
}
