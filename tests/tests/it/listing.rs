//! `GET /images`: pages, filters, and what is refused.

use std::collections::BTreeSet;

use emporium_tests::{
    app::App,
    pictures::{png, truncated_png},
};

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_gap_or_overlap() {
    let app = App::start().await;
    let mut uploaded = Vec::new();
    for width in 1..=5 {
        uploaded.push(app.uploaded("a.png", png(width, 4)).await);
    }
    let mut path = "/images?limit=2".to_owned();
    let mut listed = Vec::new();
    loop {
        let page = app.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let json = page.json();
        let items = json["items"].as_array().expect("items").clone();
        assert!(items.len() <= 2);
        listed.extend(
            items
                .iter()
                .map(|image| image["uuid"].as_str().expect("uuid").to_owned()),
        );
        let Some(link) = page.header("link").strip_prefix('<') else {
            break;
        };
        path = link.split('>').next().expect("a target").to_owned();
        assert!(path.contains("limit=2"), "{path}");
    }
    let [want, got]: [BTreeSet<_>; 2] = [uploaded.iter().collect(), listed.iter().collect()];
    assert_eq!((want, listed.len()), (got, 5));
    assert_eq!(
        listed.first(),
        uploaded.last(),
        "the latest upload comes first"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_selects() {
    let app = App::start().await;
    let good = app.dithered("a.png", png(4, 4)).await;
    let bad = app.uploaded("b.png", truncated_png()).await;
    app.image_in(&bad, "FAILED").await;
    for (status, uuid) in [("FINISHED", good), ("FAILED", bad)] {
        let page = app.get(&format!("/images?status={status}")).await.json();
        assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{page}");
        assert_eq!(page["items"][0]["uuid"], uuid.as_str());
    }
    let none = app.get("/images?status=DITHER_DELETED").await.json();
    assert_eq!(none["items"].as_array().map(Vec::len), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_query_is_refused() {
    let app = App::start().await;
    for query in [
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=-1",
        "status=finished",
        "cursor=garbage",
        "cursor=%00",
    ] {
        let answer = app.get(&format!("/images?{query}")).await;
        answer.assert_problem(400, "invalid-query");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_image_is_not_found() {
    let app = App::start().await;
    for uuid in [
        "0192d1c4-0000-7000-8000-000000000000",
        "nonsense",
        "%00",
        "..%2f",
        "%F0%9F%98%80",
    ] {
        app.get(&format!("/images/{uuid}"))
            .await
            .assert_problem(404, "no-such-image");
    }
    app.get("/images/a/b/c")
        .await
        .assert_problem(404, "no-such-route");
    let answer = app
        .post("/images/0192d1c4-0000-7000-8000-000000000000")
        .await;
    answer.assert_problem(405, "method-not-allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_has_an_entity_tag() {
    let app = App::start().await;
    let uuid = app.dithered("a.png", png(4, 4)).await;
    let answer = app.get(&format!("/images/{uuid}")).await;
    assert_eq!(answer.header("etag"), "\"2\"");
}
