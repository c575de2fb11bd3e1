//! The `emporium` command: what it prints, and what it says when something is
//! wrong.

use std::{fs, process::Command};

use emporium_tests::{app::manifest, compiled, target};
use tempfile::TempDir;

struct Outcome {
    success: bool,
    text: String,
}

/// Run `emporium` on a manifest, with the variable that it requires.
fn emporium(command: &str, manifest: &str) -> Outcome {
    run(command, manifest, Some("token"))
}

fn run(command: &str, manifest: &str, admin_token: Option<&str>) -> Outcome {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("spin.toml");
    fs::write(&file, manifest).expect("writing");
    let output = Command::new(target().join("host/emporium"))
        .arg(command)
        .arg("--from")
        .arg(&file)
        .env_remove("SPIN_VARIABLE_ADMIN_TOKEN")
        .envs(admin_token.map(|token| ("SPIN_VARIABLE_ADMIN_TOKEN", token)))
        .output()
        .expect("target/host/emporium, which scripts/build makes");
    Outcome {
        success: output.status.success(),
        text: [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat(),
    }
}

#[test]
fn variables_that_a_service_cannot_read_end_the_host() {
    let wrong = manifest()
        .replace(
            r#"retention_events = { default = "7d" }"#,
            r#"retention_events = { default = "a while" }"#,
        )
        .replace(
            r#"relay_timeout = { default = "10" }"#,
            r#"relay_timeout = { default = "soon" }"#,
        );
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("spin.toml");
    fs::write(&file, wrong).expect("writing");
    // A host that starts would serve for ever.
    let output = Command::new("timeout")
        .arg("60")
        .arg(target().join("host/emporium"))
        .args(["up", "--listen", "127.0.0.1:0", "--from"])
        .arg(&file)
        .arg("--cache")
        .arg(compiled())
        .env("SPIN_VARIABLE_ADMIN_TOKEN", "token")
        .output()
        .expect("timeout");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for name in [
        "operations: configuration: `retention_events` is invalid",
        "catalog: configuration: `relay_timeout` is invalid",
    ] {
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn routes_are_shown_with_their_components() {
    let shown = emporium("routes", &manifest());
    assert!(shown.success, "{}", shown.text);
    for line in [
        ["http", "/images/...", "media"],
        ["redis", "dither-request", "dithering"],
    ] {
        let found = shown
            .text
            .lines()
            .any(|shown| shown.split_whitespace().eq(line));
        assert!(found, "{line:?} in {}", shown.text);
    }
}

#[test]
fn a_misspelt_key_is_refused_and_named() {
    let refused = emporium(
        "routes",
        &manifest().replace("channel = \"image\"", "chanel = \"image\""),
    );
    assert!(!refused.success);
    assert!(
        refused.text.contains("unknown field `chanel`"),
        "{}",
        refused.text
    );
}

#[test]
fn a_start_without_a_required_variable_says_how_to_give_it() {
    let refused = run("up", &manifest(), None);
    assert!(!refused.success);
    assert!(
        refused.text.contains("SPIN_VARIABLE_ADMIN_TOKEN"),
        "{}",
        refused.text
    );
}

#[test]
fn the_doctor_names_the_grant_that_is_missing() {
    let sick = manifest().replace("sqlite_databases = [\"default\"]\n", "");
    let found = emporium("doctor", &sick);
    assert!(!found.success);
    assert!(found.text.contains("grants of media"), "{}", found.text);
    assert!(found.text.contains("sqlite_databases"), "{}", found.text);
}
