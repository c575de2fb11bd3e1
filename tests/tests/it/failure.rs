//! Pictures that cannot be decoded.

use emporium_tests::{app::App, pictures::truncated_png};

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
