//! `kill -9`, and a clean stop.

use emporium_tests::{
    app::{ADMIN, send},
    pictures::jpeg,
    process::Process,
};
use reqwest::Method;

#[tokio::test(flavor = "multi_thread")]
async fn ten_pictures_in_flight_survive_kill_9_and_are_dithered_once() {
    let state = tempfile::tempdir().expect("a folder");
    let host = Process::start(state.path());
    let mut uuids = Vec::new();
    for number in 0..10 {
        // All different, so that nothing is shared.
        uuids.push(host.uploaded("a.jpg", jpeg(1200 + number, 900)).await);
    }
    host.kill();

    let host = Process::start(state.path());
    for uuid in &uuids {
        host.image_in(uuid, "FINISHED").await;
        let dithers = host.get(&format!("/dither/images/{uuid}")).await.json();
        assert_eq!(dithers.as_array().map(Vec::len), Some(1));
    }
    let request = host
        .request(Method::GET, "/platform/events?after=0&limit=500")
        .bearer_auth(ADMIN);
    let events = send(request).await.json();
    for uuid in &uuids {
        let dithered = events.as_array().expect("events").iter().filter(|event| {
            event["type"] == "DITHER_UPLOADED" && event["subject"] == uuid.as_str()
        });
        assert_eq!(dithered.count(), 1, "{uuid} was dithered once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_asked_to_stop_finishes_what_it_does() {
    let state = tempfile::tempdir().expect("a folder");
    let host = Process::start(state.path());
    host.uploaded("a.jpg", jpeg(800, 600)).await;
    assert!(host.terminate());
}
