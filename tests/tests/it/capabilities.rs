//! What components are granted, and what they are not.

use emporium_tests::{
    app::{App, manifest},
    component,
};

/// Components that have a trigger.
const SERVICES: [&str; 5] = [
    "media",
    "dithering",
    "soundtrack",
    "operations",
    "storefront",
];

/// The manifest with `probe` in the place of a service: its grants, our code.
fn probing(service: &str) -> String {
    let mut manifest: toml::Table = manifest().parse().expect("TOML");
    let components = manifest["component"].as_table_mut().expect("components");
    let probed = components[service].as_table_mut().expect("a component");
    probed.insert(
        "source".into(),
        component("test-probe").display().to_string().into(),
    );
    probed.remove("dependencies");
    probed.remove("profile");
    manifest["trigger"]
        .as_table_mut()
        .expect("triggers")
        .remove("redis");
    manifest.to_string()
}

/// A path that leads to a service.
fn path(service: &str) -> &str {
    match service {
        "media" => "/images",
        "dithering" => "/dither",
        "soundtrack" => "/soundtrack",
        "operations" => "/platform",
        _ => "/probe",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_can_use_what_it_was_granted() {
    for (service, granted) in [
        (
            "media",
            vec![
                "sqlite?default",
                "redis?redis://127.0.0.1:6379",
                "variable?redis_address",
            ],
        ),
        (
            "dithering",
            vec![
                "sqlite?default",
                "redis?redis://127.0.0.1:6379",
                "variable?redis_address",
            ],
        ),
        (
            "soundtrack",
            vec![
                "sqlite?default",
                "redis?redis://127.0.0.1:6379",
                "variable?admin_token",
                "variable?demo",
            ],
        ),
        (
            "operations",
            vec![
                "sqlite?default",
                "variable?admin_token",
                "http?http://media.spin.internal/media/health",
            ],
        ),
        ("storefront", vec!["http?http://media.spin.internal/images"]),
    ] {
        let app = App::of(probing(service)).await;
        for capability in granted {
            let answer = app.get(&format!("{}/{capability}", path(service))).await;
            assert_eq!(answer.text(), "granted", "{service} {capability}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_refused_what_it_was_not_granted() {
    for service in SERVICES {
        let app = App::of(probing(service)).await;
        for capability in [
            "key-value?default",
            "sqlite?other",
            "redis?redis://127.0.0.1:6380",
            "variable?unknown",
            "http?http://127.0.0.1:1/",
            "http?http://169.254.169.254/latest/meta-data/",
            "http?http://storefront.spin.internal/",
            "environment",
            "files",
        ] {
            let answer = app.get(&format!("{}/{capability}", path(service))).await;
            assert_eq!(answer.status, 200);
            assert_ne!(answer.text(), "granted", "{service} {capability}");
        }
        if service == "storefront" {
            for capability in [
                "sqlite?default",
                "redis?redis://127.0.0.1:6379",
                "variable?redis_address",
            ] {
                let answer = app.get(&format!("/probe/{capability}")).await;
                assert_ne!(answer.text(), "granted", "{capability}");
            }
        }
        if !["operations", "soundtrack"].contains(&service) {
            let answer = app
                .get(&format!("{}/variable?admin_token", path(service)))
                .await;
            assert_ne!(
                answer.text(),
                "granted",
                "{service} must not know the token"
            );
        }
    }
}

/// Each grant in `spin.toml` is needed: without it something fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_has_only_what_it_inherits() {
    let without = manifest().replace("\"sqlite_databases\", ", "");
    let app = App::of(without).await;
    assert!(app.get("/images").await.status.is_server_error());
    assert!(app.get("/dither/images").await.status.is_server_error());
    assert_eq!(app.get("/health").await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_service_chaining_the_pages_say_what_is_missing() {
    let without = manifest().replace(
        "allowed_outbound_hosts = [\"http://catalog.spin.internal\", \"http://media.spin.internal\"]",
        "allowed_outbound_hosts = []",
    );
    let app = App::of(without).await;
    let page = app.get("/").await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains("does not answer"));
}
