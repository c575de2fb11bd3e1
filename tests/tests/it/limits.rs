//! Uploads that are too much, refused before they cost anything.

use std::time::Duration;

use emporium_tests::{
    app::App,
    pictures::{encode, png, png_header},
    process::Process,
};
use futures::stream;
use image::ImageFormat;
use reqwest::{
    Method,
    multipart::{Form, Part},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_promises_too_many_pixels_is_refused() {
    let app = App::start().await;
    let answer = app.upload("bomb.png", png_header(60_000, 60_000)).await;
    answer.assert_problem(422, "too-many-pixels");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_picture_that_is_taken_fits_into_memory() {
    let app = App::start().await;
    // Just under 50 megapixels, with transparency: the most bytes to decode.
    let plain = image::RgbaImage::from_pixel(7000, 7100, image::Rgba([120, 90, 200, 128]));
    let uuid = app
        .dithered("large.png", encode(&plain.into(), ImageFormat::Png))
        .await;
    let whole = app.get(&format!("/images/{uuid}/file?format=jpeg")).await;
    assert_eq!(whole.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_8_megabytes_is_refused() {
    let app = App::start().await;
    let mut content = png(8, 8);
    content.resize(8_000_001, 0);
    app.upload("large.png", content)
        .await
        .assert_problem(413, "too-large");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_upload_ends_and_takes_no_memory() {
    let state = tempfile::tempdir().expect("a folder");
    let host = Process::start(state.path());
    host.dithered("warm.png", png(64, 64)).await;
    let before = host.peak_memory();
    for _ in 0..4 {
        let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0_u8; 64 << 10]));
        let body = reqwest::Body::wrap_stream(endless);
        let form = Form::new().part("file", Part::stream(body).file_name("endless.png"));
        let request = host.request(Method::POST, "/images").multipart(form);
        // The answer may be lost when the host closes on a client that goes on
        // sending; what counts is that it ends.
        let answer = tokio::time::timeout(Duration::from_secs(30), request.send()).await;
        match answer.expect("an end") {
            Ok(answer) => assert_eq!(answer.status(), 413),
            Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
        }
    }
    let grown = host.peak_memory() - before;
    assert!(grown < 64 << 20, "the host grew by {grown} bytes");
    assert_eq!(host.get("/health").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_head_over_the_limit_is_refused() {
    let app = App::start().await;
    let large = "x".repeat(200_000);
    let request = app.request(Method::GET, "/images").header("x-large", large);
    // The answer may be lost when the host closes on a client that goes on
    // sending.
    if let Ok(answer) = request.send().await {
        assert_eq!(answer.status(), 431);
    }
    assert_eq!(app.get("/health").await.status, 200);
}
