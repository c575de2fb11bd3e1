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

use futures::future::join_all;

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

/// A host over a database that others share, with little room for requests.
async fn narrow(state: &Path) -> App {
    App::configured(trial_manifest(), |options| {
        options.state = state.to_owned();
        options.limits.in_flight = 4;
        options.limits.request_deadline = Duration::from_secs(6);
    })
    .await
}

/// Requests that compute for as long as they may, more than the host takes.
async fn be_busy(app: &App) {
    let loops = join_all((0..8).map(|_| app.get("/trial/loop"))).await;
    let answered = |status| loops.iter().any(|answer| answer.status == status);
    assert!(answered(503) && answered(504), "{loops:?}");
}

// Before hosts announced themselves in a loop and with resources of its own, their
// announcement was a request like others: refused, so that both were dead after
// three seconds.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_are_full_of_requests_that_compute_keep_their_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let calm = App::configured(trial_manifest(), |options| {
        options.state = folder.path().to_owned();
    })
    .await;
    let busy = [narrow(folder.path()).await, narrow(folder.path()).await];
    for (host, name) in busy.iter().zip(["one", "other"]) {
        let trial = json!({"name": name});
        let published = host.post_json("/trial/slow-trials", &trial).await;
        assert_eq!(published.status, 202, "{}", published.text());
    }
    let leased = async || {
        let subscriptions = calm.get("/platform/subscriptions").await.json();
        let subscriptions = subscriptions.as_array().expect("a list").clone();
        let slow = subscriptions
            .iter()
            .find(|status| status["topic"] == "slow");
        slow.map_or(Value::Null, |status| status["leased"].clone())
    };
    until(async || (leased().await == 2).then_some(())).await;
    until_listed(&calm, 3).await;

    let watching = async {
        loop {
            let listed = workers(&calm).await;
            assert_eq!(listed.len(), 3, "{listed:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        _ = join_all(busy.iter().map(be_busy)) => {}
        () = watching => unreachable!("it never ends"),
    }
    assert_eq!(leased().await, 2);
    // A second attempt would have left it.
    for name in ["one", "other"] {
        let effect = calm.get(&format!("/trial/effects/{name}")).await;
        assert_eq!(effect.status, 404, "{}", effect.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_announces_itself_although_ticks_fail() {
    // Without this store, nothing that is parked can be looked at.
    let broken = emporium_tests::app::manifest().replace(
        "key_value_stores = [\"parked\"]\n[component.operations.variables]",
        "[component.operations.variables]",
    );
    let app = App::of(broken).await;
    let first = until(async || workers(&app).await.pop()).await;
    let seen = |worker: &Value| worker["seen_at_ms"].as_u64();
    until(async || {
        let worker = workers(&app).await.pop().expect("still listed");
        (seen(&worker) > seen(&first)).then_some(())
    })
    .await;
    let tick = app.admin(Method::POST, "/platform/tick").await;
    assert!(tick.status.is_server_error(), "{}", tick.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_has_to_be_sound() {
    let app = App::start().await;
    let worker = |id: &str, for_ms: u32| json!({"worker": {"id": id, "since_ms": 0, "in_flight": 0}, "for_ms": for_ms});
    for path in ["/platform/workers", "/platform/tick"] {
        for (body, code) in [
            (json!({"worker": {}}), "invalid-body"),
            (worker("", 3000), "invalid-worker"),
            (worker("w", 0), "invalid-worker"),
        ] {
            let answer = app.admin_json(Method::POST, path, &body).await;
            answer.assert_problem(400, code);
        }
    }
    let stranger = app.post_json("/platform/workers", &worker("w", 3000)).await;
    stranger.assert_problem(401, "unauthorised");
    let empty = app.admin(Method::POST, "/platform/workers").await;
    empty.assert_problem(400, "invalid-body");

    let body = worker("elsewhere", 60_000);
    let announced = app
        .admin_json(Method::POST, "/platform/workers", &body)
        .await;
    assert_eq!(announced.status, 204, "{}", announced.text());
    let listed = until_listed_ids(&app, 2).await;
    assert!(listed.contains(&"elsewhere".to_owned()), "{listed:?}");
}

async fn until_listed_ids(client: &Client, count: usize) -> Vec<String> {
    let id = |worker: &Value| worker["id"].as_str().expect("an id").to_owned();
    until(async || {
        let listed = workers(client).await;
        (listed.len() == count).then(|| listed.iter().map(id).collect())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_tick_does_nothing_else() {
    let app = App::configured(emporium_tests::app::manifest(), |options| {
        options.tick = None;
    })
    .await;
    let woken = app.admin(Method::POST, "/platform/tick?part=wake").await;
    assert_eq!(woken.status, 200, "{}", woken.text());
    assert_eq!(woken.json().get("swept"), None);
    let tidied = app.admin(Method::POST, "/platform/tick?part=tidy-up").await;
    assert!(tidied.json()["swept"].is_object(), "{}", tidied.text());
    // Once a minute is enough.
    let again = app.admin(Method::POST, "/platform/tick").await;
    assert_eq!(again.json().get("swept"), None);
    let wrong = app.admin(Method::POST, "/platform/tick?part=some").await;
    wrong.assert_problem(400, "invalid-query");
    assert_eq!(workers(&app).await.len(), 0);
}
