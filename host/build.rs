//! Finds the WIT of Spin inside the `spin-sdk` package and generates the host's
//! bindings from it, so that no copy of it lives in this repository.

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../Cargo.lock");
    println!("cargo::rerun-if-changed=src/bindings.rs.in");
    let wit = spin_sdk_folder()?.join("wit");
    let wit = wit.to_str().context("the path of spin-sdk is not UTF-8")?;
    let bindings =
        fs::read_to_string("src/bindings.rs.in")?.replace("SPIN_WIT", &format!("{wit:?}"));
    fs::write(
        PathBuf::from(env::var("OUT_DIR")?).join("bindings.rs"),
        bindings,
    )?;
    Ok(())
}

fn spin_sdk_folder() -> Result<PathBuf> {
    // Not `--offline`: packages that only tests need may not have been
    // downloaded. Those of other platforms need not be.
    let platform = format!("--filter-platform={}", env::var("TARGET")?);
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--format-version=1", "--locked", &platform])
        .output()
        .context("running `cargo metadata`")?;
    ensure!(
        output.status.success(),
        "`cargo metadata` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata
        .get("packages")
        .and_then(serde_json::Value::as_array);
    let manifest = packages
        .context("no packages")?
        .iter()
        .find(|package| package.get("name").is_some_and(|name| name == "spin-sdk"))
        .and_then(|package| package.get("manifest_path")?.as_str())
        .context("`spin-sdk` is not among the dependencies")?;
    Ok(PathBuf::from(manifest)
        .parent()
        .context("no folder")?
        .to_path_buf())
}
