//! The API description.

use std::collections::BTreeSet;

use emporium_tests::app::App;

#[tokio::test(flavor = "multi_thread")]
async fn the_description_covers_every_service() {
    let app = App::start().await;
    let api = app.get("/openapi.json").await.json();
    assert_eq!(api["openapi"], "3.1.0");
    for path in [
        "/images",
        "/images/{uuid}/file",
        "/api/v1/file/{file_name}",
        "/dither/images/{uuid}/{channels}",
        "/upload",
        "/platform/tick",
        "/platform/subscriptions/{service}/{topic}",
        "/health",
        "/health/live",
        "/health/ready",
    ] {
        assert!(api["paths"][path].is_object(), "{path}");
    }
    assert_eq!(
        api["paths"]["/platform/tick"]["post"]["security"][0]["admin"],
        serde_json::json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reference_in_the_description_leads_somewhere() {
    fn references(value: &serde_json::Value, found: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(members) => {
                members
                    .iter()
                    .for_each(|(name, value)| match value.as_str() {
                        Some(target) if name == "$ref" => drop(found.insert(target.to_owned())),
                        _ => references(value, found),
                    })
            }
            serde_json::Value::Array(items) => {
                items.iter().for_each(|item| references(item, found))
            }
            _ => {}
        }
    }
    let app = App::start().await;
    let api = app.get("/openapi.json").await.json();
    let mut found = BTreeSet::new();
    references(&api, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(api.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_can_be_read_in_a_browser() {
    let app = App::start().await;
    let page = app.get("/docs").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("/images/{uuid}/reprocess"));
    assert!(
        !page.text().contains("https://"),
        "nothing is loaded from elsewhere"
    );
}
