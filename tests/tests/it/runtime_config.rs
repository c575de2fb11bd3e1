//! Spin's runtime config, and how a host finds its backing stores.

use std::{fs, path::PathBuf};

use emporium_tests::{
    app::{App, send},
    component,
    servers::Redis,
};
use reqwest::Method;
use tempfile::TempDir;

fn manifest(further: &str) -> String {
    let source = component("test-probe").display().to_string();
    format!(
        "spin_manifest_version = 2\n\
         [application]\n\
         name = 'probing'\n\
         [variables]\n\
         redis_address = {{ default = 'redis://none' }}\n\
         [[trigger.http]]\n\
         route = '/...'\n\
         component = 'probe'\n\
         [component.probe]\n\
         source = '{source}'\n\
         key_value_stores = ['default', 'other']\n\
         sqlite_databases = ['default']\n\
         {further}\n\
         [component.probe.variables]\n\
         redis_address = '{{{{ redis_address }}}}'\n"
    )
}

/// A folder with a runtime config of this text.
fn config(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("runtime-config.toml");
    fs::write(&file, text).expect("a file");
    (folder, file)
}

async fn run(app: &App, label: &str, script: &[&str]) -> Vec<String> {
    let request = app.request(Method::POST, &format!("/key-value?{label}"));
    let answer = send(request.body(script.join("\n"))).await;
    answer.text().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_keep_their_data_where_the_file_says() {
    let redis = Redis::shared();
    let url = format!("{}/7", redis.url());
    let (folder, file) = config(&format!(
        "[key_value_store.default]\ntype = 'redis'\nurl = '{url}'\n\
         [key_value_store.other]\ntype = 'spin'\npath = 'other.db'\n\
         [sqlite_database.default]\ntype = 'spin'\npath = 'data.db'\n"
    ));
    let app = App::configured(manifest(""), |options| options.runtime_config = Some(file)).await;
    for label in ["default", "other"] {
        let said = run(
            &app,
            label,
            &[
                "set a x", "set b y", "get a", "exists a", "keys", "delete a", "get a", "exists a",
            ],
        )
        .await;
        assert_eq!(
            said,
            [
                "Ok(())",
                "Ok(())",
                "Ok(Some([120]))",
                "Ok(true)",
                "a,b",
                "Ok(())",
                "Ok(None)",
                "Ok(false)"
            ],
            "{label}"
        );
    }
    assert!(folder.path().join("other.db").exists());
    app.get("/sqlite?default").await;
    assert!(folder.path().join("data.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_network_is_off_limits_even_if_it_is_named() {
    let redis = Redis::shared();
    for (blocked, expected) in [("127.0.0.0/8", "blocked"), ("private", "loopback")] {
        let (_folder, file) = config(&format!(
            "[outbound_networking]\nblock_networks = ['{blocked}']"
        ));
        let hosts = format!("allowed_outbound_hosts = ['{}']", redis.url());
        let app = App::configured(manifest(&hosts), |options| {
            options.runtime_config = Some(file);
            options.redis = Some(redis.url());
        })
        .await;
        let said = app.get(&format!("/redis?{}", redis.url())).await.text();
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_in_this_process_stands_for_every_address_unless_one_is_given() {
    let hosts = "allowed_outbound_hosts = ['redis://127.0.0.1:1']";
    let app = App::of(manifest(hosts)).await;
    assert_eq!(
        app.get("/redis?redis://127.0.0.1:1").await.text(),
        "granted"
    );
    let given = App::configured(manifest(hosts), |options| {
        options.redis = Some("redis://127.0.0.1:1".into());
    })
    .await;
    let said = given.get("/redis?redis://127.0.0.1:1").await.text();
    assert!(said.contains("Error::Other"), "{said}");
}
