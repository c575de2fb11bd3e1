//! `GET /images/{uuid}/file`: sizes, formats, caching.

use emporium_tests::{
    app::App,
    pictures::{jpeg, png},
};
use image::{GenericImageView as _, ImageFormat};

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_has_the_size_and_format_asked_for() {
    let app = App::start().await;
    let uuid = app.uploaded("a.png", png(400, 300)).await;
    for (query, format, size) in [
        ("w=100&format=png", ImageFormat::Png, (100, 75)),
        ("h=30&format=webp", ImageFormat::WebP, (40, 30)),
        (
            "w=50&h=50&fit=cover&format=jpeg&q=60",
            ImageFormat::Jpeg,
            (50, 50),
        ),
        ("w=50&h=10&fit=fill&format=png", ImageFormat::Png, (50, 10)),
        ("w=4000&format=png", ImageFormat::Png, (400, 300)),
        ("format=jpeg", ImageFormat::Jpeg, (400, 300)),
    ] {
        let answer = app.get(&format!("/images/{uuid}/file?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert_eq!(answer.header("content-type"), format.to_mime_type());
        let picture = image::load_from_memory_with_format(&answer.body, format).expect("a picture");
        assert_eq!(picture.dimensions(), size, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_format_follows_accept_and_says_so() {
    let app = App::start().await;
    let drawing = app.uploaded("a.png", png(40, 30)).await;
    let photo = app.uploaded("a.jpg", jpeg(40, 30)).await;
    for (uuid, accept, content_type) in [
        (&drawing, "image/webp,*/*", "image/webp"),
        (&drawing, "*/*", "image/png"),
        (&photo, "image/webp,*/*", "image/jpeg"),
    ] {
        let answer = app
            .get_with(&format!("/images/{uuid}/file?w=20"), "accept", accept)
            .await;
        assert_eq!(answer.header("content-type"), content_type);
        assert_eq!(answer.header("vary"), "Accept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_has_it_is_not_sent_it_again() {
    let app = App::start().await;
    let uuid = app.uploaded("a.png", png(40, 30)).await;
    let path = format!("/images/{uuid}/file?w=20&format=png");
    let first = app.get(&path).await;
    let again = app
        .get_with(&path, "if-none-match", first.header("etag"))
        .await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    assert_eq!(app.get(&path).await.body, first.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parameter_that_is_wrong_is_named() {
    let app = App::start().await;
    let uuid = app.uploaded("a.png", png(40, 30)).await;
    for (query, field) in [
        ("w=0", "w"),
        ("h=4097", "h"),
        ("w=10&fit=squeeze", "fit"),
        ("format=bmp", "format"),
        ("format=jpeg&q=101", "q"),
    ] {
        let answer = app.get(&format!("/images/{uuid}/file?{query}")).await;
        answer.assert_problem(400, "invalid-query");
        assert_eq!(answer.json()["field"], field);
    }
    app.get(&format!("/images/{uuid}/file?w=abc"))
        .await
        .assert_problem(400, "invalid-query");
    app.get("/images/nonsense/file?w=10")
        .await
        .assert_problem(404, "no-such-image");
}
