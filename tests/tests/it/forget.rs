//! Subscriptions that nobody needs any more.

use emporium_tests::app::{App, send, until};
use reqwest::Method;
use serde_json::Value;

use crate::trial::{effect, publish, start};

const TRIALS: &str = "/platform/subscriptions/trial/trial";

async fn topics_of_trial(app: &App) -> Vec<Value> {
    let subscriptions = app.get("/platform/subscriptions").await.json();
    let subscriptions = subscriptions.as_array().expect("a list").iter();
    subscriptions
        .filter(|status| status["service"] == "trial")
        .map(|status| status["topic"].clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_subscription_is_gone_until_its_service_claims_again() {
    let app = start().await;
    publish(&app, &[("a", None, "work")]).await;
    effect(&app, "a").await;
    // Nothing claims meanwhile, so that it stays forgotten.
    let paused = app.admin(Method::POST, &format!("{TRIALS}/pause")).await;
    assert_eq!(paused.status, 204, "{}", paused.text());
    assert!(topics_of_trial(&app).await.contains(&"trial".into()));

    let forgotten = app.admin(Method::DELETE, TRIALS).await;
    assert_eq!(forgotten.status, 204, "{}", forgotten.text());
    assert_eq!(forgotten.text(), "");

    // A service that claims again begins a new one, which is not paused.
    publish(&app, &[("b", None, "work")]).await;
    effect(&app, "b").await;
    let status = until(async || {
        let subscriptions = app.get("/platform/subscriptions").await.json();
        let subscriptions = subscriptions.as_array().expect("a list").iter();
        subscriptions
            .filter(|status| status["topic"] == "trial")
            .find(|status| status.get("paused").is_none())
            .cloned()
    })
    .await;
    assert_eq!(status["service"], "trial");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_cannot_be_forgotten() {
    let app = start().await;
    publish(&app, &[("a", None, "work")]).await;
    effect(&app, "a").await;
    let long = "x".repeat(4096);
    for path in [
        "nobody/trial",
        "trial/nothing",
        "trial/%00",
        "%E2%82%AC/%0A",
        "tr%2Fial/trial",
        "trial/'%20OR%201=1%20--",
        &format!("trial/{long}"),
    ] {
        let answer = app
            .admin(Method::DELETE, &format!("/platform/subscriptions/{path}"))
            .await;
        answer.assert_problem(404, "no-such-subscription");
    }
    let without = app.delete(TRIALS).await;
    without.assert_problem(401, "unauthorised");
    let wrong = send(app.request(Method::DELETE, TRIALS).bearer_auth("wrong")).await;
    wrong.assert_problem(401, "unauthorised");
    let unreadable = app
        .admin(Method::DELETE, "/platform/subscriptions/trial/%FF")
        .await;
    unreadable.assert_problem(404, "no-such-route");
    assert!(topics_of_trial(&app).await.contains(&"trial".into()));
}
