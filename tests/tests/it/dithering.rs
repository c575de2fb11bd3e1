//! `/dither/images`: versions that are asked for.

use std::collections::BTreeSet;

use emporium_tests::{app::App, pictures::png};
use image::GenericImageView as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_asked_for_is_made() {
    let app = App::start().await;
    let uuid = app.dithered("a.png", png(64, 48)).await;
    for (request, levels) in [
        ("4", 4),
        ("3?method=bayer", 3),
        ("5?method=atkinson", 5),
        ("256", 256),
    ] {
        let answer = app.post(&format!("/dither/images/{uuid}/{request}")).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let url = answer.json()["url_dither"]
            .as_str()
            .expect("a path")
            .to_owned();
        assert_eq!(answer.header("location"), url);
        let picture = app.until_status(&url, 200).await;
        let picture = image::load_from_memory(&picture.body)
            .expect("a PNG")
            .to_rgb8();
        let used: BTreeSet<u8> = picture.pixels().map(|pixel| pixel.0[0]).collect();
        assert!(
            used.len() <= levels && used.len() > 1,
            "{request}: {used:?}"
        );
        let again = app.post(&format!("/dither/images/{uuid}/{request}")).await;
        assert_eq!(again.status, 200, "it is there already");
    }
    let listed = app.get(&format!("/dither/images/{uuid}")).await.json();
    let channels: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|dither| dither["channels"].as_u64())
        .collect();
    assert_eq!(channels, [2, 3, 4, 5, 256].map(Some));
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_and_methods_out_of_range_are_refused() {
    let app = App::start().await;
    let uuid = app.dithered("a.png", png(8, 8)).await;
    for levels in [
        "0",
        "1",
        "257",
        "-2",
        "2.5",
        "two",
        "%20",
        "999999999999999999999",
    ] {
        let answer = app.post(&format!("/dither/images/{uuid}/{levels}")).await;
        answer.assert_problem(400, "invalid-levels");
    }
    let answer = app
        .post(&format!("/dither/images/{uuid}/4?method=magic"))
        .await;
    answer.assert_problem(400, "invalid-method");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_image_cannot_be_dithered() {
    let app = App::start().await;
    let unknown = "/dither/images/0192d1c4-0000-7000-8000-000000000000";
    app.post(&format!("{unknown}/4"))
        .await
        .assert_problem(404, "no-such-image");
    app.get(unknown).await.assert_problem(404, "no-such-image");
    app.delete(unknown)
        .await
        .assert_problem(404, "no-such-image");
    app.get(&format!("{unknown}/4/file"))
        .await
        .assert_problem(404, "no-such-dither");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_results_are_listed_in_pages() {
    let app = App::start().await;
    for width in 1..=3 {
        app.dithered("a.png", png(width, 8)).await;
    }
    let page = app.get("/dither/images?limit=2").await;
    assert_eq!(page.json()["items"].as_array().map(Vec::len), Some(2));
    assert!(page.header("link").contains("rel=\"next\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_small_and_still_dithered() {
    let app = App::start().await;
    let uuid = app.dithered("a.png", png(1000, 500)).await;
    let preview = app
        .get(&format!("/dither/images/{uuid}/2/file?preview=true"))
        .await;
    let preview = image::load_from_memory(&preview.body).expect("a PNG");
    assert_eq!(preview.dimensions(), (480, 240));
    let levels: BTreeSet<u8> = preview
        .to_rgb8()
        .pixels()
        .flat_map(|pixel| pixel.0)
        .collect();
    assert_eq!(levels, BTreeSet::from([0, 255]));
}
