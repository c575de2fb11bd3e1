//! `GET /api/v1/file/{file_name}`.

use emporium_tests::{
    app::{App, send},
    pictures::png,
};
use reqwest::Method;

#[tokio::test(flavor = "multi_thread")]
async fn an_original_comes_back_byte_by_byte() {
    let app = App::start().await;
    // Larger than a chunk of storage and a chunk of reading.
    let content = png(700, 500);
    let answer = app.upload("My cat.png", content.clone()).await;
    let url = answer.json()["url"].as_str().expect("a path").to_owned();
    let file = app.get(&url).await;
    assert_eq!(file.status, 200);
    assert_eq!(file.header("content-type"), "image/png");
    assert_eq!(file.header("content-length"), content.len().to_string());
    assert_eq!(file.header("accept-ranges"), "bytes");
    assert_eq!(
        file.header("content-disposition"),
        "inline; filename=\"My cat.png\""
    );
    assert!(file.header("cache-control").contains("immutable"));
    assert!(!file.header("last-modified").is_empty());
    assert!(file.body == content);

    let saved = app.get(&format!("{url}?download=true")).await;
    assert!(
        saved
            .header("content-disposition")
            .starts_with("attachment")
    );
    let head = send(app.request(Method::HEAD, &url)).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("etag"), file.header("etag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_answered_with_its_bytes() {
    let app = App::start().await;
    let content = png(700, 500);
    let size = content.len();
    let url = app.upload("a.png", content.clone()).await.json()["url"]
        .as_str()
        .expect("a path")
        .to_owned();
    let across = 262_100..262_200;
    assert!(size > across.end);
    for (range, expected) in [
        ("bytes=0-9".to_owned(), &content[..10]),
        (
            format!("bytes={}-{}", across.start, across.end - 1),
            &content[across],
        ),
        ("bytes=-5".to_owned(), &content[size - 5..]),
    ] {
        let part = app.get_with(&url, "range", &range).await;
        assert_eq!(part.status, 206);
        assert_eq!(part.body, expected, "{range}");
    }
    let beyond = app.get_with(&url, "range", &format!("bytes={size}-")).await;
    beyond.assert_problem(416, "range-not-satisfiable");
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_or_unknown_name_is_refused() {
    let app = App::start().await;
    for name in [
        "..%2f..%2fetc%2fpasswd",
        "a%20b",
        ".hidden",
        "%00",
        &"a".repeat(129),
    ] {
        app.get(&format!("/api/v1/file/{name}"))
            .await
            .assert_problem(400, "invalid-file-name");
    }
    app.get("/api/v1/file/unknown.png")
        .await
        .assert_problem(404, "no-such-file");
    app.get("/api/v1/file/unknown.png?download=maybe")
        .await
        .assert_problem(400, "invalid-query");
}
