//! `POST /images` and the way to a dithered picture.

use std::time::{Duration, Instant};

use emporium_tests::{
    app::App,
    pictures::{camera_jpeg, encode, jpeg, photograph, png, zip},
};
use image::{GenericImageView as _, ImageFormat, Pixel as _};
use reqwest::multipart::{Form, Part};

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_of_every_format_becomes_a_dithered_one() {
    let app = App::start().await;
    for (format, name, content_type) in [
        (ImageFormat::Png, "a.png", "image/png"),
        (ImageFormat::Jpeg, "a.jpg", "image/jpeg"),
        (ImageFormat::Gif, "a.gif", "image/gif"),
        (ImageFormat::WebP, "a.webp", "image/webp"),
    ] {
        let answer = app.upload(name, encode(&photograph(64, 48), format)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let image = answer.json();
        assert_eq!(image["status"], "PENDING");
        assert_eq!(
            (&image["width"], &image["height"]),
            (&64.into(), &48.into())
        );
        assert_eq!(image["content_type"], content_type);
        let uuid = image["uuid"].as_str().expect("a uuid");
        assert_eq!(answer.header("location"), format!("/images/{uuid}"));

        let finished = app.image_in(uuid, "FINISHED").await;
        let dithered = app
            .get(finished["url_dither"].as_str().expect("a path"))
            .await;
        assert_eq!(dithered.header("content-type"), "image/png");
        let dithered = image::load_from_memory(&dithered.body).expect("a PNG");
        assert_eq!(dithered.dimensions(), (64, 48));
        for (_, _, pixel) in dithered.pixels() {
            assert!(
                pixel
                    .to_rgb()
                    .0
                    .iter()
                    .all(|level| matches!(level, 0 | 255))
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photograph_of_12_megapixels_is_dithered_in_seconds() {
    let app = App::start().await;
    let photograph = camera_jpeg();
    assert!(photograph.len() > 2 << 20, "{}", photograph.len());
    let begun = Instant::now();
    let uuid = app.dithered("large.jpg", photograph).await;
    // Generous: what counts is that it is seconds, on any machine.
    assert!(begun.elapsed() < Duration::from_secs(20));
    let dithered = app.get(&format!("/dither/images/{uuid}/2/file")).await;
    let dithered = image::load_from_memory(&dithered.body).expect("a PNG");
    assert_eq!(dithered.dimensions(), (4000, 3000));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_content_decides_and_not_the_name() {
    let app = App::start().await;
    app.dithered("notes.txt", png(16, 16)).await;
    app.upload("picture.png", zip())
        .await
        .assert_problem(415, "unrecognised-format");
    app.upload("picture.png", b"<svg/>".to_vec())
        .await
        .assert_problem(415, "unrecognised-format");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_acceptable_file_of_any_field_is_taken() {
    let app = App::start().await;
    let file = |content: Vec<u8>, name: &str| Part::bytes(content).file_name(name.to_owned());
    let form = Form::new()
        .text("comment", "two files follow")
        .part("attachment", file(zip(), "a.zip"))
        .part("whatever", file(png(20, 10), "b.png"))
        .part("other", file(jpeg(30, 10), "c.jpg"));
    let answer = app.upload_form(form).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["filename"], "b.png");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_file_is_refused() {
    let app = App::start().await;
    let form = Form::new().text("file", "not a file");
    app.upload_form(form).await.assert_problem(400, "no-file");
    app.upload("empty.png", Vec::new())
        .await
        .assert_problem(400, "no-file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_body_is_refused() {
    let app = App::start().await;
    for (content_type, body) in [
        ("application/json", "{}"),
        ("multipart/form-data", "no boundary"),
        ("multipart/form-data; boundary=x", "--x\r\nno headers"),
        (
            "multipart/form-data; boundary=x",
            "--x\r\ncontent-disposition: form-data; name=a; filename=b\r\n\r\ncut",
        ),
    ] {
        let request = app.request(reqwest::Method::POST, "/images");
        let request = request.header("content-type", content_type).body(body);
        let answer = emporium_tests::app::send(request).await;
        answer.assert_problem(400, "invalid-body");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_name_is_only_a_name() {
    let app = App::start().await;
    let answer = app.upload("../../etc/<b>passwd</b>.png", png(8, 8)).await;
    assert_eq!(answer.json()["filename"], "b>.png");
}
