//! Pictures that cannot be decoded.

use std::time::Duration;

use emporium_host::Limits;
use emporium_tests::{
    app::{App, manifest, until},
    pictures::{flat_png, truncated_png},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_picture_fails_with_a_reason() {
    let app = App::start().await;
    let uuid = app.uploaded("half.png", truncated_png()).await;
    let image = app.image_in(&uuid, "FAILED").await;
    let reason = image["reason"].as_str().expect("a reason");
    assert!(!reason.is_empty(), "{image}");
    app.get(&format!("/images/{uuid}/file?w=10"))
        .await
        .assert_problem(422, "malformed");
    // `media` may have found out first.
    app.until_status(&format!("/dither/images/{uuid}"), 200)
        .await;
    app.post(&format!("/dither/images/{uuid}/4"))
        .await
        .assert_problem(422, "malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_picture_can_be_deleted() {
    let app = App::start().await;
    let uuid = app.uploaded("half.png", truncated_png()).await;
    app.image_in(&uuid, "FAILED").await;
    assert_eq!(app.delete(&format!("/images/{uuid}")).await.status, 202);
    app.until_status(&format!("/images/{uuid}"), 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_kills_its_handlers_fails() {
    let memory = |limits: &mut Limits| limits.memory = 64 << 20;
    let app = App::with(manifest(), memory).await;
    let uuid = app.uploaded("a.png", flat_png(5000, 5000)).await;
    let path = format!("/images/{uuid}");
    let image = until(async || {
        let image = app.get(&path).await.json();
        if image["status"] == "PENDING" {
            // The lease of whoever was killed, and some time to be killed.
            app.clock.advance(Duration::from_secs(21));
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        (image["status"] == "FAILED").then_some(image)
    })
    .await;
    assert_eq!(image["reason"], "the last attempt was cut off");
}
