//! How long things are kept is configured, and checked.

use emporium_tests::{
    app::{ADMIN, App, manifest, until},
    component, root,
};
use reqwest::Method;

#[tokio::test(flavor = "multi_thread")]
async fn a_period_that_is_none_makes_the_service_unhealthy() {
    let wrong = manifest().replace(
        r#"retention_events = { default = "7d" }"#,
        r#"retention_events = { default = "a while" }"#,
    );
    let app = App::of(wrong).await;
    let health = app.get("/operations/health").await;
    assert_eq!(health.status, 503);
    let detail = health.text();
    assert!(detail.contains("retention_events"), "{detail}");
    let tick = app.admin(Method::POST, "/platform/tick").await;
    tick.assert_problem(500, "other");
}

#[tokio::test(flavor = "multi_thread")]
async fn periods_are_read_as_people_write_them() {
    let short = manifest().replace(
        r#"retention_events = { default = "7d" }"#,
        r#"retention_events = { default = "1h 30m" }"#,
    );
    let app = App::of(short).await;
    assert_eq!(app.get("/operations/health").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_sweep_until_nothing_is_left() {
    let bench = std::fs::read_to_string(root().join("bench/events.toml")).expect("a manifest");
    let built = component("x");
    let folder = built.parent().expect("a folder").display().to_string();
    let manifest = bench
        .replace("../target/wasm32-wasip2/release", &folder)
        .replace(
            r#"retention_events = { default = "7d" }"#,
            r#"retention_events = { default = "0s" }"#,
        );
    let app = App::configured(manifest, |options| {
        options.tick = None;
        options.variables.given = [("admin_token".into(), ADMIN.into())].into();
    })
    .await;
    let published = app.post("/bench/batches?events=2500&batch=500").await;
    assert_eq!(published.status, 200, "{}", published.text());
    until(async || {
        let handled = app.get("/bench/latencies").await.json();
        (handled["events"] == 2500).then_some(())
    })
    .await;
    // A tick takes no longer than its budget, so it may need more than one.
    let mut swept = 0;
    while swept < 2500 {
        let tick = app.admin(Method::POST, "/platform/tick").await.json();
        let events = tick["swept"]["events"].as_u64();
        swept += events
            .filter(|events| *events > 0)
            .expect("something is left");
    }
    assert_eq!(swept, 2500);
}
