//! How long things are kept is configured, and checked.

use emporium_tests::app::{App, manifest};
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
