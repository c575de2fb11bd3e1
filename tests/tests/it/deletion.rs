//! The deletion saga.

use emporium_tests::{
    app::{ADMIN, App, send, until},
    pictures::png,
};
use reqwest::Method;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_with_everything_made_of_it() {
    let app = App::start().await;
    let uuid = app.dithered("a.png", png(64, 48)).await;
    let image = app.get(&format!("/images/{uuid}")).await.json();
    let original = image["url"].as_str().expect("a path").to_owned();
    let thumbnail = image["url_thumbnail"].as_str().expect("a path").to_owned();
    assert_eq!(app.get(&thumbnail).await.status, 200);

    let path = format!("/images/{uuid}");
    assert_eq!(app.delete(&path).await.status, 202);
    app.until_status(&path, 404).await;
    for gone in [
        original,
        thumbnail,
        format!("/dither/images/{uuid}"),
        format!("/dither/images/{uuid}/2/file"),
    ] {
        assert_eq!(app.get(&gone).await.status, 404, "{gone}");
    }
    app.delete(&path).await.assert_problem(404, "no-such-image");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_saga_passes_through_its_events_in_order() {
    let app = App::start().await;
    let uuid = app.dithered("a.png", png(64, 48)).await;
    app.delete(&format!("/images/{uuid}")).await;
    app.until_status(&format!("/images/{uuid}"), 404).await;
    let request = app
        .request(Method::GET, "/platform/events")
        .bearer_auth(ADMIN);
    let events = send(request).await.json();
    let kinds: Vec<_> = events
        .as_array()
        .expect("events")
        .iter()
        .map(|event| event["type"].as_str().expect("a type"))
        .collect();
    assert_eq!(
        kinds,
        [
            "IMAGE_UPLOADED",
            "DITHER_UPLOADED",
            "IMAGE_DELETED",
            "DITHER_DELETED"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_twice_is_deleting_once() {
    let app = App::start().await;
    let uuid = app.uploaded("a.png", png(640, 480)).await;
    let path = format!("/images/{uuid}");
    let [first, again] = [
        app.delete(&path).await.status,
        app.delete(&path).await.status,
    ];
    assert_eq!(first, 202);
    assert!(again == 202 || again == 404, "{again}");
    app.until_status(&path, 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_dithered_versions_keeps_the_image() {
    let app = App::start().await;
    let uuid = app.dithered("a.png", png(64, 48)).await;
    assert_eq!(
        app.delete(&format!("/dither/images/{uuid}")).await.status,
        204
    );
    app.image_in(&uuid, "DITHER_DELETED").await;
    assert_eq!(
        app.get(&format!("/dither/images/{uuid}")).await.json(),
        serde_json::json!([])
    );

    let again = app.post(&format!("/images/{uuid}/reprocess")).await;
    assert_eq!(again.status, 202, "{}", again.text());
    app.image_in(&uuid, "FINISHED").await;
    app.post(&format!("/images/{uuid}/reprocess"))
        .await
        .assert_problem(409, "not-stuck");
    until(async || {
        let dithers = app.get(&format!("/dither/images/{uuid}")).await.json();
        (dithers.as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
}
