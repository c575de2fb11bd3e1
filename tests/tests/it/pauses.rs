//! Subscriptions that hand out nothing: paused by hand, or because everything
//! fails.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use emporium_tests::app::{App, until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::trial::{dead_letters, effect, publish, start};

const TRIALS: &str = "/platform/subscriptions/trial/trial";

async fn status(app: &App) -> Value {
    let subscriptions = app.get("/platform/subscriptions").await.json();
    let mut subscriptions = subscriptions.as_array().expect("a list").clone();
    subscriptions.retain(|status| status["topic"] == "trial");
    subscriptions.pop().expect("the subscription")
}

async fn resume(app: &App) -> Value {
    let answer = app.admin(Method::POST, &format!("{TRIALS}/resume")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_millis()).expect("a moment")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_subscription_waits_until_it_is_resumed() {
    let app = start().await;
    publish(&app, &[("before", None, "work")]).await;
    effect(&app, "before").await;
    let paused = app.admin(Method::POST, &format!("{TRIALS}/pause")).await;
    assert_eq!(paused.status, 204, "{}", paused.text());

    publish(&app, &[("during", None, "work")]).await;
    let waiting = until(async || {
        let status = status(&app).await;
        (status["pending"] == 1).then_some(status)
    })
    .await;
    assert_eq!(waiting["paused"]["until_ms"], Value::Null, "{waiting}");
    // Many ticks later it still waits.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(app.get("/trial/effects/during").await.status, 404);

    assert_eq!(resume(&app).await, json!({"resumed": true}));
    assert_eq!(effect(&app, "during").await["times"], 1);
    assert_eq!(resume(&app).await, json!({"resumed": false}));
    assert_eq!(status(&app).await.get("paused"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_can_end_by_itself() {
    let app = start().await;
    publish(&app, &[("before", None, "work")]).await;
    effect(&app, "before").await;
    let path = format!("{TRIALS}/pause");
    let body = json!({"for_ms": 60_000});
    let paused = app.admin_json(Method::POST, &path, &body).await;
    assert_eq!(paused.status, 204, "{}", paused.text());
    publish(&app, &[("after", None, "work")]).await;
    let until_ms = status(&app).await["paused"]["until_ms"].as_u64();
    assert!(until_ms.expect("an end") <= now_ms() + 60_000);
    assert_eq!(app.get("/trial/effects/after").await.status, 404);
    app.clock.advance(Duration::from_secs(60));
    effect(&app, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_keeps_failing_is_left_alone() {
    let app = start().await;
    let names: Vec<String> = (0..20).map(|number| format!("f{number}")).collect();
    let trials: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), None, "fail"))
        .collect();
    publish(&app, &trials).await;
    dead_letters(&app, 20).await;
    let paused = until(async || {
        let status = status(&app).await;
        status.get("paused").cloned()
    })
    .await;
    let reason = paused["reason"].as_str().expect("a reason");
    assert!(reason.contains("20"), "{reason}");
    let lasts = paused["until_ms"].as_u64().expect("an end")
        - paused["since_ms"].as_u64().expect("a beginning");
    assert_eq!(lasts, 60_000);

    publish(&app, &[("fine", None, "work")]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(app.get("/trial/effects/fine").await.status, 404);
    resume(&app).await;
    effect(&app, "fine").await;
}

// A kind of event that a consumer does not know used to be enough for a pause.
#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_rejected_pause_nothing() {
    let app = start().await;
    let names: Vec<String> = (0..20).map(|number| format!("r{number}")).collect();
    let trials: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), None, "reject"))
        .collect();
    publish(&app, &trials).await;
    dead_letters(&app, 20).await;
    publish(&app, &[("fine", None, "work")]).await;
    effect(&app, "fine").await;
    assert_eq!(status(&app).await.get("paused"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_is_estimated() {
    let app = start().await;
    publish(&app, &[("a", None, "work"), ("b", None, "work")]).await;
    effect(&app, "a").await;
    effect(&app, "b").await;
    let latency = until(async || {
        let status = status(&app).await;
        (status["settled"] == 2).then(|| status["latency"].clone())
    })
    .await;
    let [p50, p90, p99] = ["p50_ms", "p90_ms", "p99_ms"].map(|name| latency[name].as_f64());
    assert!(p50 > Some(0.0) && p50 <= p90 && p90 <= p99, "{latency}");
    assert!(p99 <= latency["longest_ms"].as_f64(), "{latency}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_paused_is_refused() {
    let app = start().await;
    publish(&app, &[("a", None, "work")]).await;
    effect(&app, "a").await;
    for (path, body, status, code) in [
        (
            "/platform/subscriptions/nobody/trial/pause",
            json!({}),
            404,
            "no-such-subscription",
        ),
        (
            "/platform/subscriptions/trial/trial/pause",
            json!({"for_ms": "long"}),
            400,
            "invalid-body",
        ),
    ] {
        let answer = app.admin_json(Method::POST, path, &body).await;
        answer.assert_problem(status, code);
    }
    for verb in ["pause", "resume"] {
        let answer = app.post(&format!("{TRIALS}/{verb}")).await;
        answer.assert_problem(401, "unauthorised");
    }
}
