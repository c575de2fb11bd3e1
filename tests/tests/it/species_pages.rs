//! The web pages of the catalogue, without JavaScript.

use emporium_tests::{app::App, ingest, upstream::Upstream};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_catalogue_says_so() {
    let app = App::start().await;
    for (path, words) in [
        ("/species", "No species here yet"),
        ("/food", "No food here yet"),
        ("/food?q=milk", "Nothing found"),
    ] {
        let page = app.get(path).await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(page.text().contains(words), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_species_is_shown_with_pictures_cries_stats_and_evolutions() {
    let upstream = Upstream::start().await;
    let app = App::of(upstream.manifest()).await;
    ingest::species(&app).await;
    let list = app.get("/species").await.text();
    for name in ["bulbasaur", "ivysaur", "mew"] {
        assert!(
            list.contains(&format!("href=\"/species/{name}\"")),
            "{name}"
        );
    }
    assert!(list.contains("Mythical") && list.contains("Mew♀"));
    let psychic = app.get("/species?type=psychic").await.text();
    assert!(psychic.contains("/species/mew") && !psychic.contains("/species/ivysaur"));

    let page = app.get("/species/bulbasaur").await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-security-policy")
            .contains("media-src 'self'")
    );
    let html = page.text();
    for part in [
        "<h1>Bulbasaur♀</h1>",
        "No. 001",
        "Seed Pokémon",
        "0.7 m",
        "6.9 kg",
        "Stats of Bulbasaur♀: HP 45, Attack 49",
        "<audio controls",
        "href=\"/species/ivysaur\"",
        "rel=\"next\"",
    ] {
        assert!(html.contains(part), "{part}");
    }
    // What the page shows and plays is there.
    let sources = html.split("src=\"").skip(1);
    let sources = sources.filter_map(|rest| rest.split('"').next());
    let mut files = 0;
    for source in sources.filter(|source| source.starts_with("/api/v1/file/")) {
        assert_eq!(app.get(source).await.status, 200, "{source}");
        files += 1;
    }
    assert!(files >= 5, "{files}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_shown_with_its_scores() {
    let upstream = Upstream::start().await;
    upstream.products(&[json!({
        "code": "1000", "product_name": "Dark <b>chocolate</b>", "quantity": "400 g",
        "brands_tags": ["la-vie"], "image_url": "https://images.example/1.jpg", "nova_group": 4,
        "nutriscore_grade": "e", "nutriscore_score": 26,
        "nutrient_levels": {"fat": "high", "saturated-fat": "low", "sugars": "high", "salt": "low"},
        "states_tags": [
            "en:product-name-completed", "en:brands-completed", "en:quantity-completed",
            "en:front-photo-selected", "en:nutrition-facts-completed", "en:checked",
        ],
    })]);
    let app = App::of(upstream.manifest()).await;
    ingest::products(&app, 1).await;
    let list = app.get("/food?q=chocolate").await.text();
    assert!(list.contains("href=\"/food/1000\""));
    assert!(
        app.get("/food?q=milk")
            .await
            .text()
            .contains("Nothing found")
    );
    let page = app.get("/food/1000").await.text();
    assert!(page.contains("Dark &lt;b&gt;chocolate&lt;/b&gt;"));
    assert!(page.contains("aria-label=\"Nutri-Score E\""));
    assert!(page.contains("Ultra-processed") && page.contains("Saturated fat"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_catalogue_has_a_page_that_says_so() {
    let app = App::start().await;
    for path in [
        "/species/missingno",
        "/species/..%2f..%2fhealth",
        "/species/%3Cscript%3E",
        "/food/123",
        "/food/..%2fx",
    ] {
        let page = app.get(path).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(
            page.header("content-type").starts_with("text/html"),
            "{path}"
        );
        assert!(page.text().contains("No such"), "{path}");
    }
}
