//! What a host survives: a component that does everything wrong.

use std::time::Duration;

use emporium_tests::{
    app::{App, Client, send},
    component,
};
use futures::{StreamExt as _, future::join_all};
use reqwest::{Body, Method};

async fn start(limit: impl FnOnce(&mut emporium_host::Limits)) -> App {
    let manifest = format!(
        r#"
spin_manifest_version = 2

[application]
name = "mischief"

[[trigger.http]]
route = "/..."
component = "mischief"

[[trigger.http]]
route = {{ private = true }}
component = "hello"

[component.mischief]
source = "{}"
allowed_outbound_hosts = ["http://hello.spin.internal"]

[component.hello]
source = "{}"
"#,
        component("test-mischief").display(),
        component("test-hello").display(),
    );
    App::with(manifest, limit).await
}

async fn is_well(app: &Client) {
    assert_eq!(app.get("/headers").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_fails_one_request_and_tells_nothing() {
    let app = start(|_| {}).await;
    for _ in 0..5 {
        let answer = app.get("/trap").await;
        answer.assert_problem(500, "handler-failed");
        assert!(!answer.text().contains("wasm"), "{}", answer.text());
    }
    is_well(&app).await;
}

async fn most_beside_each_other(app: &Client, requests: usize) -> usize {
    let answers = join_all((0..requests).map(|_| app.get("/crowd"))).await;
    let crowds = answers.iter().map(|answer| {
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().parse().expect("a number")
    });
    crowds.max().expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_share_an_instance() {
    let app = start(|_| {}).await;
    assert!(most_beside_each_other(&app, 40).await > 1);
    let app = start(|limits| limits.concurrent_reuse = 3).await;
    assert_eq!(most_beside_each_other(&app, 40).await, 3);
    let app = start(|limits| limits.concurrent_reuse = 1).await;
    assert_eq!(most_beside_each_other(&app, 8).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_holds_nobody_up() {
    let app = start(|limits| limits.request_deadline = Duration::from_secs(10)).await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        let answer = app.request(Method::GET, "/flood").send().await;
        unread.push(answer.expect("a head"));
    }
    assert!(most_beside_each_other(&app, 20).await > 0);
    assert_eq!(app.get("/drip").await.text(), "part 0\npart 1\npart 2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_hold_nobody_up() {
    let app = start(|limits| limits.request_deadline = Duration::from_secs(10)).await;
    for _ in 0..20 {
        let gone = app.request(Method::GET, "/crowd").send();
        let gone = tokio::time::timeout(Duration::from_millis(30), gone);
        let (gone, crowd) = tokio::join!(gone, app.get("/crowd"));
        assert!(gone.is_err());
        assert_eq!(crowd.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_fails_alone() {
    let app = start(|limits| limits.request_deadline = Duration::from_secs(10)).await;
    for path in ["/count", "/echo"] {
        let parts = [Ok(vec![0; 1000]), Err(std::io::Error::other("gone"))];
        let parts = futures::stream::iter(parts).then(async |part| {
            tokio::time::sleep(Duration::from_millis(50)).await;
            part
        });
        let broken = app.request(Method::POST, path);
        let broken = broken.body(Body::wrap_stream(Box::pin(parts))).send();
        let (_, most) = tokio::join!(broken, most_beside_each_other(&app, 20));
        assert!(most > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_computes_keeps_nobody_waiting() {
    let app = start(|limits| limits.request_deadline = Duration::from_secs(3)).await;
    let busy = app.get("/loop");
    let beside = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        join_all((0..20).map(|_| app.get("/headers"))).await
    };
    let (busy, beside) = tokio::join!(busy, beside);
    busy.assert_problem(504, "out-of-time");
    assert!(beside.iter().all(|answer| answer.status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_waits_too_long_is_out_of_time() {
    let app = start(|limits| limits.request_deadline = Duration::from_secs(2)).await;
    app.get("/wait").await.assert_problem(504, "out-of-time");
    app.get("/loop").await.assert_problem(504, "out-of-time");
    is_well(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_gets_no_more_memory_than_its_limit() {
    let app = start(|limits| limits.memory = 32 << 20).await;
    let mebibytes: u32 = app.get("/hoard").await.text().parse().expect("a number");
    assert!((16..32).contains(&mebibytes), "{mebibytes} MiB");
    is_well(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused() {
    let app = start(|limits| limits.body = 1000).await;
    let request = app.request(Method::POST, "/count").body(vec![0; 1001]);
    send(request).await.assert_problem(413, "body-too-large");
    let request = app.request(Method::POST, "/count").body(vec![0; 1000]);
    assert_eq!(send(request).await.text(), "1000");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_the_limit_are_told_to_come_back() {
    let app = start(|limits| {
        limits.in_flight = 2;
        limits.request_deadline = Duration::from_secs(5);
    })
    .await;
    let answers = join_all((0..8).map(|_| app.get("/wait"))).await;
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 503)
        .collect();
    assert_eq!(refused.len(), 6);
    for answer in refused {
        answer.assert_problem(503, "overloaded");
        assert_eq!(answer.header("retry-after"), "1");
    }
    is_well(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_both_ways_at_once() {
    let app = start(|_| {}).await;
    let content: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let parts: Vec<_> = content.chunks(64 << 10).map(<[u8]>::to_vec).collect();
    let parts = futures::stream::iter(parts.into_iter().map(Ok::<_, std::io::Error>));
    let request = app
        .request(Method::POST, "/echo")
        .body(Body::wrap_stream(parts));
    assert!(send(request).await.body == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_not_taken_for_whole() {
    let app = start(|_| {}).await;
    assert_eq!(app.get("/drip").await.text(), "part 0\npart 1\npart 2\n");
    let answer = app
        .request(Method::GET, "/break")
        .send()
        .await
        .expect("a head");
    assert!(answer.bytes().await.is_err());
    is_well(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_forge_what_the_host_tells_a_component() {
    let app = start(|_| {}).await;
    let answer = app
        .get_with("/headers?a=b", "spin-client-addr", "6.6.6.6")
        .await
        .text();
    assert!(!answer.contains("6.6.6.6"), "{answer}");
    for line in [
        "spin-path-info: /headers",
        "spin-component-route:",
        "spin-raw-component-route: /...",
    ] {
        assert!(answer.contains(line), "{line} in {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_component_is_called_by_name_alone() {
    let app = start(|_| {}).await;
    let called = app.get("/call?http://hello.spin.internal/").await.text();
    assert_eq!(called, "200 OK Hello, world!");
    let refused = app.get("/call?http://mischief.spin.internal/").await.text();
    assert!(!refused.starts_with("200"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_the_request_in_flight() {
    let app = start(|_| {}).await;
    let mut answer = app
        .request(Method::GET, "/drip")
        .send()
        .await
        .expect("a head");
    let first = answer.chunk().await.expect("a body").expect("a part");
    let (rest, ()) = futures::join!(answer.text(), app.stop());
    assert_eq!(first, "part 0\n");
    assert_eq!(rest.expect("the rest"), "part 1\npart 2\n");
}
