//! Health, lag and the tick.

use emporium_tests::{
    app::{App, until},
    pictures::png,
};
use reqwest::Method;

use crate::trial::{effect, publish, trial_manifest};

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_application_says_so() {
    let app = App::start().await;
    let whole = app.get("/health").await;
    assert_eq!(
        (whole.status.as_u16(), &whole.json()["status"]),
        (200, &"ok".into())
    );
    let names: Vec<_> = whole.json()["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .map(|check| check["name"].clone())
        .collect();
    assert_eq!(
        names,
        [
            "database",
            "redis",
            "lag",
            "configuration",
            "catalog",
            "media",
            "dithering",
            "soundtrack"
        ]
    );
    for service in ["catalog", "media", "dithering", "soundtrack", "operations"] {
        assert_eq!(
            app.get(&format!("/{service}/health")).await.status,
            200,
            "{service}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_told() {
    let manifest =
        emporium_tests::app::manifest().replace("sqlite_databases = [\"default\"]\n", "");
    let app = App::of(manifest).await;
    let whole = app.get("/health").await;
    assert_eq!(
        (whole.status.as_u16(), &whole.json()["status"]),
        (503, &"failing".into())
    );
    assert_eq!(app.get("/health/live").await.status, 200);
    assert_eq!(app.get("/health/ready").await.status, 503);
    let answer = app.get("/images").await;
    assert!(answer.status.is_server_error());
    assert_eq!(answer.header("content-type"), "application/problem+json");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_is_told() {
    let granted = "    \"redis://{{ redis_host }}\",\n    \"http://catalog";
    let manifest = emporium_tests::app::manifest();
    assert!(manifest.contains(granted));
    let without = manifest.replace(granted, "    \"http://catalog");
    let app = App::of(without).await;
    let whole = app.get("/health").await;
    assert_eq!(whole.status, 503);
    let redis = &whole.json()["checks"][1];
    assert_eq!(
        (&redis["name"], &redis["healthy"]),
        (&"redis".into(), &false.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn why_something_fails_is_for_administrators() {
    let manifest =
        emporium_tests::app::manifest().replace("sqlite_databases = [\"default\"]\n", "");
    let app = App::of(manifest).await;
    let cause = "does not grant";
    for path in [
        "/health",
        "/health/ready",
        "/operations/health",
        "/media/health",
    ] {
        let public = app.get(path).await;
        assert_eq!(public.status, 503, "{path}");
        assert!(!public.text().contains(cause), "{path}: {}", public.text());
    }
    for path in ["/health", "/health/ready", "/operations/health"] {
        let private = app.admin(Method::GET, path).await;
        assert_eq!(private.status, 503, "{path}");
        assert!(private.text().contains(cause), "{path}: {}", private.text());
    }
    // The answer that the administrator got is kept for nobody else.
    assert!(!app.get("/health").await.text().contains(cause));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_lives_and_is_ready_says_so() {
    let app = App::start().await;
    for path in ["/health/live", "/health/ready"] {
        let answer = app.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["status"]),
            (200, &"ok".into())
        );
    }
}

// It was 503 for a subscription that somebody paused.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_paused_or_behind_is_a_warning() {
    let app = App::of(trial_manifest()).await;
    publish(&app, &[("before", None, "work")]).await;
    effect(&app, "before").await;
    let paused = app.admin(Method::POST, "/platform/subscriptions/trial/trial/pause");
    assert_eq!(paused.await.status, 204);
    publish(&app, &[("waiting", None, "work")]).await;
    app.clock.advance(std::time::Duration::from_secs(120));
    until(async || {
        let health = app.get("/health").await;
        assert_eq!(health.status, 200, "{}", health.text());
        let health = health.json();
        let lag = &health["checks"][2];
        assert_eq!(
            (&lag["name"], &lag["healthy"]),
            (&"lag".into(), &true.into())
        );
        let is_told = lag["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("`trial` is paused"));
        (is_told && health["status"] == "warning").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handled_is_counted() {
    let app = App::start().await;
    app.dithered("a.png", png(8, 8)).await;
    let statuses = emporium_tests::app::until(async || {
        let statuses = app.get("/platform/subscriptions").await.json();
        let settled = |topic: &str, service: &str| {
            statuses.as_array().expect("a list").iter().any(|status| {
                status["topic"] == topic && status["service"] == service && status["settled"] == 1
            })
        };
        let all = settled("image", "media")
            && settled("image", "dithering")
            && settled("dither", "media");
        all.then_some(statuses)
    })
    .await;
    for status in statuses.as_array().expect("a list") {
        assert_eq!(
            (&status["pending"], &status["dead"]),
            (&0.into(), &0.into()),
            "{status}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_can_be_given_by_anyone_with_the_token() {
    let app = App::start().await;
    let answer = app.admin(Method::POST, "/platform/tick").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.json()["woken"].is_array());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_requests_make_the_database_together() {
    for _ in 0..10 {
        let app = App::start().await;
        let asked = (0..16).map(|_| app.get("/images"));
        for answer in futures::future::join_all(asked).await {
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        app.stop().await;
    }
}
