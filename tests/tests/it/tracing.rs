//! A trace goes from a request through every event it leads to.

use emporium_tests::{
    app::{App, send},
    pictures::png,
};
use reqwest::{
    Method,
    multipart::{Form, Part},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_request_belong_to_its_trace() {
    let app = App::start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let form = Form::new().part("file", Part::bytes(png(8, 8)).file_name("a.png"));
    let upload = app
        .request(Method::POST, "/images")
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))
        .multipart(form);
    let uuid = send(upload).await.json()["uuid"]
        .as_str()
        .expect("a uuid")
        .to_owned();
    app.image_in(&uuid, "FINISHED").await;

    let events = app.admin(Method::GET, "/platform/events").await.json();
    let events = events.as_array().expect("events");
    assert_eq!(events.len(), 2);
    for event in events {
        let position = event["event"]["traceparent"].as_str().expect("a position");
        assert!(position.starts_with(&format!("00-{trace}-")), "{event}");
        assert!(!position.contains("b7ad6b7169203331"), "a step of its own");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_a_cloud_event() {
    let app = App::start().await;
    let uuid = app.dithered("a.png", png(8, 8)).await;
    let events = app
        .admin(Method::GET, "/platform/events?after=0&limit=1")
        .await
        .json();
    let event = &events[0]["event"];
    for (attribute, value) in [
        ("specversion", "1.0"),
        ("source", "/media"),
        ("type", "IMAGE_UPLOADED"),
        ("dataversion", "1.0.0"),
        ("subject", &uuid),
    ] {
        assert_eq!(event[attribute], value, "{event}");
    }
    assert_eq!(event["id"], events[0]["id"]);
    assert_eq!(event["data"]["uuid"], uuid.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_goes_on_where_it_ended() {
    let app = App::start().await;
    app.dithered("a.png", png(8, 8)).await;
    let first = app
        .admin(Method::GET, "/platform/events?limit=1")
        .await
        .json();
    let after = &first[0]["sequence"];
    let next = app
        .admin(Method::GET, &format!("/platform/events?after={after}"))
        .await
        .json();
    assert!(next.as_array().is_some_and(|events| {
        events
            .iter()
            .all(|event| event["sequence"].as_u64() > after.as_u64())
    }));
    for query in ["limit=0", "limit=501", "after=x"] {
        let answer = app
            .admin(Method::GET, &format!("/platform/events?{query}"))
            .await;
        answer.assert_problem(400, "invalid-query");
    }
}
