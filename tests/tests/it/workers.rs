//! The hosts that share the work: they announce themselves, and what a dead one
//! was doing is done by others.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use emporium_tests::{
    app::{ADMIN, App, Client, send, until},
    process::Process,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::trial::trial_manifest;

/// How long a host that is killed may be listed, and its work be held.
const RECOVERY: Duration = Duration::from_secs(30);

/// Start another host over the same database.
fn host(folder: &Path) -> Process {
    let manifest = folder.join("spin.toml");
    fs::write(&manifest, trial_manifest()).expect("writing");
    Process::of(&manifest, folder)
}

async fn workers(client: &Client) -> Vec<Value> {
    let request = client.request(Method::GET, "/platform/workers");
    let answer = send(request.bearer_auth(ADMIN)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().expect("a list").clone()
}

/// Wait until so many hosts are listed; returns their addresses.
async fn until_listed(client: &Client, count: usize) -> Vec<String> {
    let listed = until(async || {
        let listed = workers(client).await;
        (listed.len() == count).then_some(listed)
    });
    let address = |worker: &Value| worker["address"].as_str().expect("an address").to_owned();
    listed.await.iter().map(address).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_announces_itself_with_what_it_counted() {
    let app = App::start().await;
    let counted = until(async || {
        app.get("/images").await;
        let worker = workers(&app).await.into_iter().next()?;
        let counted = worker["counters"]["http_requests/media/2xx"].as_u64()?;
        (counted > 1).then_some(worker)
    });
    let worker = counted.await;
    let address = worker["address"].as_str().expect("an address");
    assert_eq!(format!("http://{address}"), app.origin);
    let (since, seen) = (&worker["since_ms"], &worker["seen_at_ms"]);
    assert!(since.as_u64() <= seen.as_u64(), "{worker}");
    assert_eq!(workers(&app).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_join_and_leave() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = host(folder.path());
    let second = host(folder.path());
    let third = host(folder.path());
    until_listed(&first, 3).await;

    let origin = second.origin.clone();
    assert!(second.terminate());
    let left = workers(&first).await;
    let is_second =
        |worker: &Value| origin.ends_with(worker["address"].as_str().expect("an address"));
    assert!(
        !left.iter().any(is_second),
        "one that stops says so: {left:?}"
    );

    third.kill();
    let killed = Instant::now();
    let left = until_listed(&first, 1).await;
    assert!(killed.elapsed() < RECOVERY, "{:?}", killed.elapsed());
    assert!(first.origin.ends_with(&left[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_host_was_doing_is_done_by_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = host(folder.path());
    let trial = json!({"name": "slow"});
    let published = first.post_json("/trial/slow-trials", &trial).await;
    assert_eq!(published.status, 202, "{}", published.text());
    until(async || {
        let subscriptions = first.get("/platform/subscriptions").await.json();
        let subscriptions = subscriptions.as_array().expect("a list").clone();
        let held = |status: &Value| status["topic"] == "slow" && status["leased"] == 1;
        subscriptions.iter().any(held).then_some(())
    })
    .await;
    let second = host(folder.path());
    until_listed(&second, 2).await;

    first.kill();
    let killed = Instant::now();
    let effect = second.until_status("/trial/effects/slow", 200).await;
    // Its lease would have lasted a minute.
    assert!(killed.elapsed() < RECOVERY, "{:?}", killed.elapsed());
    assert_eq!(effect.json()["times"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_needs_no_body_but_a_sound_one() {
    let app = App::start().await;
    let tick = app.admin(Method::POST, "/platform/tick").await;
    assert_eq!(tick.status, 200, "{}", tick.text());
    let worker = |id: &str, for_ms: u32| json!({"worker": {"id": id, "since_ms": 0, "in_flight": 0}, "for_ms": for_ms});
    for (body, code) in [
        (json!({"worker": {}}), "invalid-body"),
        (worker("", 3000), "invalid-worker"),
        (worker("w", 0), "invalid-worker"),
    ] {
        let answer = app.admin_json(Method::POST, "/platform/tick", &body).await;
        answer.assert_problem(400, code);
    }
}
