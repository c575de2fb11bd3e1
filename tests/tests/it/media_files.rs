//! Files that were fetched from elsewhere.

use emporium_tests::{
    app::{Answer, App},
    ingest::{self, failures},
    upstream::{Fault, Upstream},
};
use serde_json::Value;

/// The media of the first species, by the end of the URL.
async fn media(app: &App) -> Vec<Value> {
    let species = app.get("/pokemon/1").await.json();
    let media = species["varieties"][0]["media"].as_array().expect("media");
    media.clone()
}

async fn file(app: &App, media: &[Value], content_type: &str) -> Answer {
    let found = media
        .iter()
        .find(|media| media["content_type"] == content_type);
    let src = found.expect("a file of this type")["src"]
        .as_str()
        .expect("a path");
    app.get(src).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_kept_as_webp_without_loss() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    ingest::species(&app).await;
    let stored = file(&app, &media(&app).await, "image/webp").await;
    assert_eq!(
        (stored.status.as_u16(), &stored.body[8..12]),
        (200, b"WEBP".as_slice())
    );
    // The decoder of `image` is not the one of the sandbox.
    let stored = image::load_from_memory(&stored.body)
        .expect("a WebP")
        .to_rgba8();
    let source = image::load_from_memory(&upstream.body("/media/1.png")).expect("a PNG");
    for (stored, source) in stored.pixels().zip(source.to_rgba8().pixels()) {
        // What is wholly transparent has no colour.
        assert!(stored == source || (stored.0[3], source.0[3]) == (0, 0));
    }
    assert_eq!(stored.dimensions(), (24, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_to_convert_is_kept_as_it_came() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    ingest::species(&app).await;
    let media = media(&app).await;
    for (content_type, path) in [
        ("image/svg+xml", "/media/1.svg"),
        ("image/gif", "/media/1.gif"),
        ("audio/ogg", "/media/1.ogg"),
    ] {
        let stored = file(&app, &media, content_type).await;
        assert_eq!(stored.header("content-type"), content_type);
        assert_eq!(stored.body, upstream.body(path), "{path}");
    }
    let animated = media
        .iter()
        .find(|media| media["content_type"] == "image/gif");
    let why = animated.expect("a GIF")["conversion_error"].as_str();
    assert!(why.is_some_and(|why| why.contains("animated")), "{why:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drawing_from_elsewhere_can_run_nothing() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    ingest::species(&app).await;
    let svg = file(&app, &media(&app).await, "image/svg+xml").await;
    let policy = svg.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("sandbox"),
        "{policy}"
    );
    assert_eq!(svg.header("x-content-type-options"), "nosniff");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_is_served_in_ranges_and_under_a_name() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    ingest::species(&app).await;
    let media = media(&app).await;
    let cry = media
        .iter()
        .find(|media| media["content_type"] == "audio/ogg");
    let src = cry.expect("a cry")["src"].as_str().expect("a path");
    let part = app.get_with(src, "range", "bytes=0-3").await;
    assert_eq!(
        (part.status.as_u16(), part.body.as_slice()),
        (206, b"OggS".as_slice())
    );
    let saved = app.get(&format!("{src}?download=true")).await;
    assert_eq!(
        saved.header("content-disposition"),
        "attachment; filename=\"bulbasaur-cry-latest.ogg\""
    );
    let again = app
        .get_with(src, "if-none-match", saved.header("etag"))
        .await;
    assert_eq!(again.status, 304);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_picture_is_kept_as_it_came_and_says_why() {
    let upstream = Upstream::start().await;
    upstream.fault("/media/1.png", Fault::Truncated, 1);
    let app = App::of(upstream.manifest()).await;
    let ingest = ingest::species(&app).await;
    assert_eq!(
        (&ingest["state"], &ingest["unconverted"]),
        (&"finished".into(), &4.into())
    );
    let media = media(&app).await;
    let damaged = media
        .iter()
        .find(|media| media["content_type"] == "image/png");
    assert!(damaged.expect("a PNG")["conversion_error"].is_string());
    let whole = upstream.body("/media/1.png");
    let stored = file(&app, &media, "image/png").await;
    assert_eq!(stored.body, whole[..whole.len() / 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_followed_where_it_may_be() {
    let upstream = Upstream::start().await;
    upstream.fault("/media/1.png", Fault::RedirectTo("/media/2.png"), 1);
    upstream.fault(
        "/media/2.ogg",
        Fault::RedirectTo("/media/2.ogg"),
        usize::MAX,
    );
    let app = App::of(upstream.manifest()).await;
    let ingest = ingest::species(&app).await;
    let failures = failures(&ingest);
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].2.contains("leads on more than"), "{failures:?}");
    let stored = file(&app, &media(&app).await, "image/webp").await;
    assert_eq!(stored.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_unless_it_is_permitted() {
    let upstream = Upstream::start().await;
    let manifest = upstream.manifest().replace(
        "allow_private_media = { default = \"true\" }",
        "allow_private_media = { default = \"false\" }",
    );
    let app = App::of(manifest).await;
    let ingest = ingest::species(&app).await;
    assert_eq!(ingest["media"]["failed"], 12);
    for (_, what, reason) in failures(&ingest) {
        assert!(reason.contains("loopback"), "{what}: {reason}");
    }
    assert_eq!(upstream.count("/media/1.png"), 0, "nothing was sent there");
}

#[tokio::test(flavor = "multi_thread")]
async fn media_from_another_origin_are_refused() {
    let upstream = Upstream::start().await;
    let other = Upstream::start().await;
    let record = String::from_utf8(upstream.body("/api/v2/pokemon/1/")).expect("text");
    let png = format!("{}/media/1.png", upstream.origin);
    let elsewhere = record.replace(&png, &format!("{}/media/1.png", other.origin));
    upstream.serve(
        "/api/v2/pokemon/1/",
        "application/json",
        elsewhere.into_bytes(),
    );
    let app = App::of(upstream.manifest()).await;
    let failures = failures(&ingest::species(&app).await);
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(
        failures[0].2.contains("none of the allowed origins"),
        "{failures:?}"
    );
    assert_eq!(other.counts().len(), 0);
}
