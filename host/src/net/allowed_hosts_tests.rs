//! The grammar of `allowed_outbound_hosts`.

use proptest::prelude::*;

use super::*;

fn parse(items: &[&str]) -> AllowedHosts {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    AllowedHosts::parse(&items, &["api".into(), "media".into()]).expect("items")
}

fn allows(item: &str, url: &str) -> bool {
    parse(&[item]).allows(&OutboundUrl::parse(url, "http").expect(url))
}

fn names(item: &str, url: &str) -> bool {
    parse(&[item]).names(&OutboundUrl::parse(url, "http").expect(url))
}

#[test]
fn an_item_allows_its_scheme_host_and_port() {
    for (item, allowed, refused) in [
        (
            "http://example.com",
            "http://example.com/path?x",
            "https://example.com",
        ),
        (
            "http://example.com",
            "http://example.com:80",
            "http://example.com:81",
        ),
        (
            "http://example.com",
            "http://EXAMPLE.com",
            "http://www.example.com",
        ),
        (
            "http://example.com/",
            "http://example.com",
            "http://example.org",
        ),
        (
            "https://example.com",
            "https://example.com",
            "https://example.com:80",
        ),
        (
            "https://example.com:5555/",
            "https://example.com:5555",
            "https://example.com",
        ),
        (
            "http://example.com:",
            "http://example.com",
            "http://example.com:81",
        ),
        (
            "*://example.com:7777",
            "redis://example.com:7777",
            "redis://example.com",
        ),
        (
            "http://example.com:*",
            "http://example.com:9",
            "https://example.com",
        ),
        (
            "http://example.com:4444..5555",
            "http://example.com:4444",
            "http://example.com:5555",
        ),
        (
            "redis://localhost",
            "redis://localhost:6379/1",
            "redis://localhost:6380",
        ),
        (
            "http://*",
            "http://anything.example",
            "https://anything.example",
        ),
        ("*://*:1..9", "tcp://1.2.3.4:5", "tcp://1.2.3.4"),
        (
            " http://example.com ",
            "http://example.com",
            "http://example.org",
        ),
    ] {
        assert!(allows(item, allowed), "{item} refuses {allowed}");
        if let Ok(refused) = OutboundUrl::parse(refused, "http") {
            assert!(!parse(&[item]).allows(&refused), "{item} allows {refused}");
        }
    }
}

#[test]
fn a_subdomain_wildcard_does_not_allow_the_domain() {
    for (url, allowed) in [
        ("http://foo.example.com", true),
        ("http://a.b.EXAMPLE.com/x", true),
        ("http://example.com", false),
        ("http://fooexample.com", false),
        ("http://foo.example.com.evil.org", false),
    ] {
        assert_eq!(allows("http://*.Example.COM", url), allowed, "{url}");
    }
}

#[test]
fn addresses_and_networks_allow_what_they_contain() {
    for (item, url, allowed) in [
        ("http://192.168.1.1", "http://192.168.1.1", true),
        ("http://192.168.1.1", "http://3232235777", true),
        ("http://192.168.1.1:3002", "http://192.168.1.1:3002", true),
        ("http://10.0.0.0/8", "http://10.1.2.3", true),
        ("http://10.0.0.0/8", "http://11.1.2.3", false),
        ("http://10.0.0.0/8", "http://ten.example", false),
        ("*://127.0.0.0/24:80", "http://127.0.0.9", true),
        ("http://[::1]", "http://[::1]:80/x", true),
        ("http://[::1]", "http://[::2]", false),
        ("http://[::1]", "http://[::1]:81", false),
        ("http://[::1]:8001", "http://[::1]:8001", true),
        ("http://[::1]:8000..9000", "http://[::1]:8999", true),
        ("http://[::1]:*", "http://[::1]:5", true),
        ("http://2001:db8::/32", "http://[2001:db8:abcd::1]/x", true),
        ("http://2001:db8::/32:443", "http://[2001:db8::1]:443", true),
        ("http://2001:db8::/32", "http://[2001:db9::1]", false),
    ] {
        assert_eq!(allows(item, url), allowed, "{item}: {url}");
    }
}

#[test]
fn only_self_and_everything_allow_requests_to_the_application() {
    for (item, allowed) in [
        ("http://self", true),
        ("https://self", true),
        ("http://self.alt", true),
        ("*://self:*", true),
        ("http://*", true),
        ("*://*:*", true),
        ("redis://self", false),
        ("http://*.example.com", false),
        ("http://self.example", false),
    ] {
        assert_eq!(parse(&[item]).allows_self(), allowed, "{item}");
    }
    assert!(!allows("http://self", "http://self"), "a host of that name");
}

#[test]
fn components_are_allowed_by_name() {
    for (item, url, allowed) in [
        (
            "http://media.spin.internal",
            "http://media.spin.internal/x",
            true,
        ),
        (
            "http://media.spin.internal",
            "http://api.spin.internal",
            false,
        ),
        ("http://*.spin.internal", "http://media.spin.internal", true),
        ("http://*.spin.internal", "http://api.spin.internal", true),
        // Not a component, so that the name does not reach a resolver.
        (
            "http://*.spin.internal",
            "http://other.spin.internal",
            false,
        ),
        (
            "http://*.spin.internal",
            "http://a.media.spin.internal",
            false,
        ),
    ] {
        assert_eq!(allows(item, url), allowed, "{item}: {url}");
    }
}

#[test]
fn what_is_not_well_formed_says_why() {
    use InvalidAllowedHost as Invalid;
    type Cases = (&'static [&'static str], fn(String) -> Invalid);
    let cases: [Cases; 7] = [
        (
            &[
                "",
                "*",
                "?",
                ":",
                "example.com",
                "example.com:80",
                "[::1]:80",
                "insecure:allow-all",
            ],
            Invalid::NoScheme,
        ),
        (
            &["{http,https}://example.com:80", "a1://example.com:80"],
            Invalid::Scheme,
        ),
        (
            &["*://example.com", "tcp://example.com", "*://127.0.0.0/24"],
            Invalid::NoPort,
        ),
        (
            &[
                "http://example.com:x",
                "http://example.com:80..70000",
                "http://example.com:80..",
                "http://example.com:{80,81}",
                "http://example.com:99999",
                "http://self:x",
                "http://*:x",
                "http://[::1]:x",
                "http://ff00::/8:99999",
                "http://*.example.com:8O8O",
                "http://*.[::1]",
                "http://[::1]junk",
            ],
            Invalid::Port,
        ),
        (
            &[
                "http://example.com/a",
                "http://example.com//",
                "http://example.com:80/a/b",
                "http://*.example.com/a",
                "http://self//",
                "http://[::1]/foo",
                "http://127.0.0.0/24/p",
                "http://ff00::/8/extra",
            ],
            Invalid::Path,
        ),
        (
            &[
                "http://a.*.com",
                "http://*.*.com",
                "http://*com",
                "http://*/",
                "http://*.127.0.0.1",
            ],
            Invalid::Wildcard,
        ),
        (
            &[
                "http://",
                "http://[::1",
                "http://[::1]::80",
                "http://example.com:80:90",
                "http://example%.com",
                "http://exa[mple.com",
                r"http://exa\mple.com",
                "http://{a,b}",
                "http://[v1.]",
            ],
            Invalid::Host,
        ),
    ];
    for (items, invalid) in cases {
        for item in items {
            let parsed = AllowedHosts::parse(&[item.to_string()], &[]);
            assert_eq!(parsed, Err(invalid(item.to_string())), "{item}");
        }
    }
}

#[test]
fn only_what_the_manifest_names_is_meant() {
    for (item, url, named) in [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", true),
        ("http://127.0.0.1:8080", "http://127.0.0.1", false),
        ("http://10.0.0.0/8", "http://10.1.2.3", true),
        ("http://0.0.0.0/0", "http://10.1.2.3", false),
        ("redis://localhost", "redis://localhost", true),
        ("http://minio:9000", "http://minio:9000", true),
        (
            "http://host.docker.internal",
            "http://host.docker.internal",
            true,
        ),
        ("http://example.com", "http://example.com", false),
        ("http://*.internal", "http://metadata.internal", false),
        ("http://*", "http://127.0.0.1", false),
        ("*://*:*", "http://localhost", false),
    ] {
        assert_eq!(names(item, url), named, "{item}: {url}");
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(item in ".*") {
        let _ = AllowedHosts::parse(std::slice::from_ref(&item), &[]);
        let _ = AllowedHosts::parse(&[format!("http://{item}")], &[]);
    }

    #[test]
    fn an_item_allows_itself(host in "[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z]{2,5}){1,3}", port in 1..u16::MAX) {
        let url = format!("http://{host}:{port}");
        prop_assume!(OutboundUrl::parse(&url, "http").is_ok());
        prop_assert!(allows(&url, &url));
        let (other_port, longer_host) = (format!("{url}0"), format!("http://x{host}:{port}"));
        prop_assert!(!OutboundUrl::parse(&other_port, "http").is_ok_and(|other| parse(&[&url]).allows(&other)));
        prop_assert!(!allows(&url, &longer_host));
    }

    #[test]
    fn no_host_escapes_its_domain(host in "[a-z0-9.@:/?#\\\\%-]{1,20}") {
        if let Ok(url) = OutboundUrl::parse(&format!("http://{host}"), "http") {
            let allowed = parse(&["http://*.example.com:*"]).allows(&url);
            prop_assert_eq!(allowed, url.host.to_string().ends_with(".example.com"));
        }
    }
}
