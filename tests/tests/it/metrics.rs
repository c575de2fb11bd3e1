//! `/metrics`: figures that Prometheus can read.

use std::collections::BTreeMap;

use emporium_tests::{
    app::{ADMIN, App, manifest, until},
    pictures::png,
};
use reqwest::Method;

/// The samples of an OpenMetrics text, by name and labels.
///
/// Asserts what a scraper relies on: each sample belongs to a family whose help
/// and type were told before, under a name that suits the type, with labels that
/// are quoted; and buckets add up.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut types = BTreeMap::new();
    let mut helped = String::new();
    let mut samples = BTreeMap::new();
    let (body, end) = text.split_at(text.len() - "# EOF\n".len());
    assert_eq!(end, "# EOF\n");
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (family, help) = rest.split_once(' ').expect("a help");
            assert!(!help.is_empty(), "{line}");
            family.clone_into(&mut helped);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (family, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(family, helped, "a type follows its help");
            let known = types.insert(family.to_owned(), kind.to_owned());
            assert_eq!(known, None, "{family} is told once");
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (family, unit) = rest.split_once(' ').expect("a unit");
            assert!(family.ends_with(&format!("_{unit}")), "{line}");
        } else {
            let (key, value) = line.rsplit_once(' ').expect("a value");
            let value: f64 = value.parse().expect(line);
            let name = key.split('{').next().expect("a name");
            let (family, kind) = types
                .iter()
                .find(|(family, _)| name.starts_with(family.as_str()) && **family == helped)
                .unwrap_or_else(|| panic!("{line} belongs to no family"));
            let suffix = &name[family.len()..];
            assert!(
                match kind.as_str() {
                    "gauge" => suffix.is_empty(),
                    "counter" => suffix == "_total",
                    "histogram" => ["_sum", "_count", "_bucket"].contains(&suffix),
                    other => panic!("{other} is no type"),
                },
                "{line}"
            );
            assert_labels(&key[name.len()..]);
            let twice = samples.insert(key.to_owned(), value);
            assert_eq!(twice, None, "{key} is told once");
        }
    }
    assert_buckets(&samples);
    samples
}

fn assert_labels(labels: &str) {
    let Some(inner) = labels
        .strip_prefix('{')
        .and_then(|inner| inner.strip_suffix("\"}"))
    else {
        return assert_eq!(labels, "");
    };
    for pair in inner.split("\",") {
        let (name, value) = pair.split_once("=\"").expect("a quoted value");
        let sound = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(sound && !value.contains('"'), "{labels}");
    }
}

/// Counts do not fall from bucket to bucket, and the last is the count.
fn assert_buckets(samples: &BTreeMap<String, f64>) {
    for (key, total) in samples {
        let Some((name, labels)) = key.split_once("_count{") else {
            continue;
        };
        let of_series = format!(",{labels}");
        let buckets = samples.iter().filter(|(key, _)| {
            key.starts_with(&format!("{name}_bucket{{le=")) && key.ends_with(&of_series)
        });
        let mut buckets: Vec<(f64, f64)> = buckets
            .map(|(key, count)| {
                let bound = key.split('"').nth(1).expect("a bound");
                (bound.parse().expect("a number"), *count)
            })
            .collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        let last = buckets.last().expect("a bucket");
        assert_eq!((last.0, last.1), (f64::INFINITY, *total), "{key}");
    }
}

async fn scrape(app: &App) -> BTreeMap<String, f64> {
    let answer = app.admin(Method::GET, "/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    samples(&answer.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_have_figures() {
    let app = App::start().await;
    app.dithered("a.png", png(8, 8)).await;
    let samples = until(async || {
        let samples = scrape(&app).await;
        let handled = r#"emporium_subscription_handled_total{service="media",topic="dither"}"#;
        (samples.get(handled) == Some(&1.0)).then_some(samples)
    })
    .await;
    let of = r#"{service="dithering",topic="image"}"#;
    for name in ["pending", "in_flight", "delayed", "dead", "paused"] {
        let key = format!("emporium_subscription_{name}{of}");
        assert_eq!(samples.get(&key), Some(&0.0), "{key}");
    }
    for (name, at_least) in [
        ("oldest_pending_seconds", 0.0),
        ("handled_total", 1.0),
        ("retried_total", 0.0),
        ("latency_seconds_count", 1.0),
    ] {
        let key = format!("emporium_subscription_{name}{of}");
        let value = samples.get(&key).unwrap_or_else(|| panic!("{key}"));
        assert!(*value >= at_least, "{key} {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_have_figures() {
    let app = App::start().await;
    app.dithered("a.png", png(8, 8)).await;
    for (family, labels) in [
        (
            "emporium_http_requests_total",
            r#"component="media",status="2xx""#,
        ),
        (
            "emporium_http_request_seconds_count",
            r#"component="media""#,
        ),
        (
            "emporium_redis_messages_total",
            r#"component="dithering",outcome="handled""#,
        ),
        ("emporium_worker_start_time_seconds", "worker="),
    ] {
        // The host says what it counted with its next tick.
        until(async || {
            let told = scrape(&app).await.into_iter().any(|(key, value)| {
                key.starts_with(family) && key.contains(labels) && value >= 1.0
            });
            told.then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_for_administrators_unless_they_are_public() {
    let app = App::start().await;
    let refused = app.get("/metrics").await;
    refused.assert_problem(401, "unauthorised");
    let refused = app.request(Method::GET, "/metrics").bearer_auth("guess");
    assert_eq!(refused.send().await.expect("an answer").status(), 401);
    let allowed = app.request(Method::GET, "/metrics").bearer_auth(ADMIN);
    assert_eq!(allowed.send().await.expect("an answer").status(), 200);

    let public = manifest().replace(
        r#"metrics_public = { default = "false" }"#,
        r#"metrics_public = { default = "true" }"#,
    );
    let app = App::of(public).await;
    assert_eq!(app.get("/metrics").await.status, 200);
}
