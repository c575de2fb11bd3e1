//! Hosts whose requests keep every slot and every connection to Postgres.

use std::time::Duration;

use emporium_tests::{
    app::{ADMIN, App, send, until},
    component,
    servers::{Postgres, Redis},
};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::trial::trial_manifest_on;

/// Requests to one host at once, more than it takes.
const REQUESTS: usize = 60;

async fn host(database: &str, is_busy: bool) -> App {
    let probe = format!(
        r#"
[[trigger.http]]
route = "/probe/..."
component = "probe"

[component.probe]
source = "{}"
allowed_outbound_hosts = ["postgres://{{{{ postgres_host }}}}"]
"#,
        component("test-probe").display()
    );
    let manifest = trial_manifest_on("platform-postgres") + probe.as_str();
    App::configured(manifest, |options| {
        options.postgres = Some(database.to_owned());
        options.redis = Some(Redis::shared().url());
        if is_busy {
            options.limits.in_flight = 40;
            options.limits.postgres_connections = 4;
        }
    })
    .await
}

async fn leased(app: &App) -> Value {
    let subscriptions = app.get("/platform/subscriptions").await.json();
    let subscriptions = subscriptions.as_array().expect("a list").clone();
    let slow = subscriptions
        .iter()
        .find(|status| status["topic"] == "slow");
    slow.map_or(Value::Null, |status| status["leased"].clone())
}

async fn workers(app: &App) -> usize {
    let request = app
        .request(Method::GET, "/platform/workers")
        .bearer_auth(ADMIN);
    let answer = send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().expect("a list").len()
}

/// Statements of a second each; those that find no connection for ten seconds give
/// up.
async fn be_busy(app: &App, database: &str) {
    let path = format!("/probe/postgres?{database}");
    let slow = (0..REQUESTS).map(|_| {
        let request = app.request(Method::POST, &path);
        send(request.body("query SELECT 7 FROM pg_sleep(1)"))
    });
    let answers = join_all(slow).await;
    let refused = answers.iter().any(|answer| answer.status == 503);
    let served = answers.iter().any(|answer| answer.text() == "Int32(7)");
    assert!(refused && served, "{answers:?}");
}

// The announcement used to be one of those requests: refused with 503, or left
// without a connection, until the host counted as dead after three seconds.
#[tokio::test(flavor = "multi_thread")]
async fn no_lease_changes_hands_while_hosts_are_full_of_slow_requests() {
    let database = Postgres::shared().database();
    let calm = host(&database, false).await;
    let busy = [host(&database, true).await, host(&database, true).await];
    for name in ["one", "other"] {
        let trial = json!({"name": name});
        let published = busy[0].post_json("/trial/slow-trials", &trial).await;
        assert_eq!(published.status, 202, "{}", published.text());
    }
    until(async || (leased(&calm).await == 2).then_some(())).await;
    until(async || (workers(&calm).await == 3).then_some(())).await;

    let watching = async {
        loop {
            assert_eq!(workers(&calm).await, 3);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        _ = join_all(busy.iter().map(|host| be_busy(host, &database))) => {}
        () = watching => unreachable!("it never ends"),
    }
    assert_eq!(leased(&calm).await, 2);
    // A second attempt would have left it.
    for name in ["one", "other"] {
        let effect = calm.get(&format!("/trial/effects/{name}")).await;
        assert_eq!(effect.status, 404, "{}", effect.text());
    }
}
