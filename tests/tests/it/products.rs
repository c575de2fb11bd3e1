//! Products of Open Food Facts.

use emporium_tests::{app::App, ingest, upstream::Upstream};
use serde_json::{Value, json};

fn product(code: &str, name: &str) -> Value {
    json!({
        "code": code, "product_name": name, "quantity": "400 g", "brands_tags": ["la-vie", "x"],
        "image_url": "https://images.example/1.jpg", "nova_group": 4,
        "nutriscore_grade": "e", "nutriscore_score": 26, "nutriments": {"energy_100g": 2252},
        "nutrient_levels": {"fat": "high", "saturated-fat": "high", "sugars": "high", "salt": "low"},
        "states_tags": [
            "en:product-name-completed", "en:brands-completed", "en:quantity-completed",
            "en:front-photo-selected", "en:nutrition-facts-completed", "en:checked",
        ],
    })
}

fn with(mut product: Value, member: &str, value: Value) -> Value {
    product[member] = value;
    product
}

fn barcodes(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| item["barcode"].as_str().expect("a barcode"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_kept_and_what_does_not_is_counted_by_reason() {
    let upstream = Upstream::start().await;
    upstream.products(&[
        product("1000", "Dark chocolate"),
        product("1000", "Dark chocolate"),
        with(product("1001", "Milk chocolate"), "nova_group", json!(1)),
        with(product("1002", "x"), "quantity", json!("")),
        with(product("1003", "x"), "nova_group", json!(7)),
        with(product("1004", "x"), "states_tags", json!([])),
        with(product("1005", "x"), "states_tags", json!(["en:checked"])),
    ]);
    let app = App::of(upstream.manifest()).await;
    let first = ingest::products(&app, 5).await;
    assert_eq!(first["state"], "finished", "{first}");
    assert_eq!(
        (&first["found"], &first["stored"], &first["duplicates"]),
        (&json!(7), &json!(2), &json!(1))
    );
    assert_eq!(
        first["rejected"],
        json!({"no-quantity": 1, "nova-out-of-range": 1, "states-incomplete": 2})
    );
    assert_eq!(first["lists"]["stored"], 2, "an empty page is the last");

    let before = app.get("/catalog/products/1000").await;
    let second = ingest::products(&app, 5).await;
    assert_eq!(
        (&second["stored"], &second["unchanged"]),
        (&json!(0), &json!(2))
    );
    let after = app.get("/catalog/products/1000").await;
    assert_eq!(after.header("etag"), before.header("etag"));
    let asked = upstream.counts();
    assert!(asked.values().all(|count| *count == 1), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_pages_are_read_than_asked_for() {
    let upstream = Upstream::start().await;
    upstream.products(&[product("1000", "Dark chocolate")]);
    let app = App::of(upstream.manifest()).await;
    let ingest = ingest::products(&app, 1).await;
    assert_eq!(
        (&ingest["stored"], &ingest["lists"]["found"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(upstream.count("/api/v2/search?page=1"), 1);
    assert_eq!(upstream.count("/api/v2/search?page=2"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_found_by_what_is_known_of_it() {
    let upstream = Upstream::start().await;
    let brands = json!({"tags": [{"id": "la-vie", "name": "La Vie®", "products": 1}]});
    upstream.serve(
        "/brands.json",
        "application/json",
        brands.to_string().into_bytes(),
    );
    upstream.products(&[
        product("1000", "Dark chocolate"),
        with(product("1001", "Milk chocolate"), "nova_group", json!(1)),
        with(
            product("1002", "Crème brûlée"),
            "nutriscore_grade",
            json!("a"),
        ),
        with(product("1003", "Milk"), "brands_tags", json!(["other"])),
    ]);
    let app = App::of(upstream.manifest()).await;
    ingest::products(&app, 1).await;
    for (query, expected) in [
        ("", vec!["1000", "1001", "1002", "1003"]),
        ("?q=chocolate", vec!["1000", "1001"]),
        ("?q=Chocolate%20MILK", vec!["1001"]),
        ("?q=br%C3%BBl%C3%A9e", vec!["1002"]),
        ("?q=choc", vec![]),
        ("?nova=1", vec!["1001"]),
        ("?grade=a", vec!["1002"]),
        ("?brand=la-vie", vec!["1000", "1001", "1002"]),
        ("?brand=la-vie&nova=4&grade=E", vec!["1000"]),
        ("?brand=nobody", vec![]),
    ] {
        let page = app.get(&format!("/catalog/products{query}")).await.json();
        assert_eq!(barcodes(&page), expected, "{query}");
    }
    let page = app.get("/catalog/products?q=milk&limit=1").await.json();
    let next = page["next"].as_str().expect("a cursor");
    let rest = format!("/catalog/products?q=milk&limit=1&cursor={next}");
    assert_eq!(barcodes(&app.get(&rest).await.json()), ["1003"]);

    let product = app.get("/catalog/products/1000").await.json();
    assert_eq!(product["grade"], "E");
    assert_eq!(product["energy_kj"], 2252.0);
    assert_eq!(product["levels"]["sugars"], "high");
    assert_eq!(
        product["brands"],
        json!([{"tag": "la-vie", "name": "La Vie®"}, {"tag": "x", "name": "X"}])
    );
    for unknown in ["9999", "abc", "..%2f", "%20"] {
        let answer = app.get(&format!("/catalog/products/{unknown}")).await;
        answer.assert_problem(404, "no-such-product");
    }
    for (query, field) in [("nova=5", "nova"), ("grade=F", "grade"), ("q=!", "q")] {
        let answer = app.get(&format!("/catalog/products?{query}")).await;
        answer.assert_problem(400, "invalid-query");
        assert_eq!(answer.json()["field"], field);
    }
}
