//! `Idempotency-Key` on uploads.

use emporium_tests::{
    app::{Answer, App, send},
    pictures::png,
};
use reqwest::{
    Method,
    multipart::{Form, Part},
};

async fn upload(app: &App, key: &str, content: Vec<u8>) -> Answer {
    let part = Part::bytes(content).file_name("a.png");
    let request = app
        .request(Method::POST, "/images")
        .header("idempotency-key", key);
    send(request.multipart(Form::new().part("file", part))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_upload_again_gets_the_same_image() {
    let app = App::start().await;
    let [first, again] = [
        upload(&app, "k1", png(9, 9)).await,
        upload(&app, "k1", png(9, 9)).await,
    ];
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(first.json()["uuid"], again.json()["uuid"]);
    assert_eq!(
        app.get("/images").await.json()["items"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_cannot_be_used_for_another_picture() {
    let app = App::start().await;
    upload(&app, "k1", png(9, 9)).await;
    upload(&app, "k1", png(8, 9))
        .await
        .assert_problem(422, "idempotency-key-reused");
    upload(&app, "", png(9, 9))
        .await
        .assert_problem(400, "invalid-idempotency-key");
}
