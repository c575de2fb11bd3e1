//! Uploads over slow lines.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use emporium_tests::{
    app::{ADMIN, Answer, App, manifest, send},
    soundtracks::ended,
};
use futures::{Stream, StreamExt as _, stream};
use reqwest::{
    Body, Method,
    multipart::{Form, Part},
};

/// An application whose handlers have little time to answer.
async fn impatient() -> App {
    let deadline = Duration::from_secs(2);
    App::with(manifest(), |limits| limits.request_deadline = deadline).await
}

async fn upload(
    app: &App,
    content: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static,
) -> Answer {
    let part = Part::stream(Body::wrap_stream(content)).file_name("a.mp4");
    let form = Form::new().part("file", part);
    let request = app.request(Method::POST, "/upload").bearer_auth(ADMIN);
    send(request.multipart(form)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_in_steadily_may_take_longer_than_the_deadline() {
    let app = impatient().await;
    // 400 kB a second, for four seconds.
    let pieces = stream::unfold(80, |left: u32| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let piece = Ok(Bytes::from(vec![0; 20_000]));
        left.checked_sub(1).map(|left| (piece, left))
    });
    let answer = upload(&app, pieces).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["video_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let video = ended(&app, &id).await;
    assert_eq!(video["code"], "unsupported-container", "all of it: {video}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_coming_is_a_clear_problem() {
    let app = impatient().await;
    let first = Ok(Bytes::from(vec![0; 20_000]));
    let stalled = stream::iter([first]).chain(stream::pending());
    let answer = upload(&app, stalled).await;
    answer.assert_problem(408, "body-too-slow");
    assert_eq!(app.get("/health").await.status, 200);
}
