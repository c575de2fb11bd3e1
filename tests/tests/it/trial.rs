//! The application of the component `trial`, which fails on demand.

use emporium_tests::{
    app::{App, manifest, until},
    component,
};
use serde_json::{Value, json};

/// Start `trial` beside `operations`.
pub(crate) async fn start() -> App {
    App::with(trial_manifest(), |limits| {
        limits.handler_deadline = std::time::Duration::from_secs(1);
    })
    .await
}

/// The manifest of the application, and of `trial`.
pub(crate) fn trial_manifest() -> String {
    trial_manifest_on("platform-sqlite")
}

/// The same, for a platform that need not be SQLite.
pub(crate) fn trial_manifest_on(platform: &str) -> String {
    let platform = format!(
        r#"{{ component = "{platform}", inherit_configuration = ["allowed_outbound_hosts", "sqlite_databases", "variables"] }}"#
    );
    // Before the route of everything else.
    let trial = format!(
        r#"
[[trigger.http]]
route = "/trial/..."
component = "trial"

[[trigger.redis]]
channel = "trial"
component = "trial"

[[trigger.redis]]
channel = "slow"
component = "trial"

[component.trial]
source = "{}"
allowed_outbound_hosts = ["{{{{ redis_address }}}}", "postgres://{{{{ postgres_host }}}}"]
key_value_stores = ["parked"]
sqlite_databases = ["default"]
[component.trial.variables]
postgres_url = "{{{{ postgres_url }}}}"
redis_address = "{{{{ redis_address }}}}"
worker = "{{{{ worker }}}}"
write_timeout = "500ms"
[component.trial.dependencies]
"emporium:platform@0.1.0" = {platform}
"#,
        component("test-trial").display()
    );
    format!("{}{trial}", manifest())
}

/// Publish trials: name, key, mode.
pub(crate) async fn publish(app: &App, trials: &[(&str, Option<&str>, &str)]) {
    let trials: Vec<Value> = trials
        .iter()
        .map(|(name, key, mode)| json!({"name": name, "key": key, "mode": mode}))
        .collect();
    let answer = app.post_json("/trial/trials", &Value::from(trials)).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// Wait for the dead letters of `trial`, so many of them.
pub(crate) async fn dead_letters(app: &App, count: usize) -> Vec<Value> {
    until(async || {
        let page = app
            .admin(reqwest::Method::GET, "/platform/dead-letters?service=trial")
            .await
            .json();
        let letters = page["items"].as_array().expect("items").clone();
        (letters.len() == count).then_some(letters)
    })
    .await
}

/// Wait for the effect of a trial.
pub(crate) async fn effect(app: &App, name: &str) -> Value {
    app.until_status(&format!("/trial/effects/{name}"), 200)
        .await
        .json()
}
