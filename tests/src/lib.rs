//! Support for the end-to-end tests.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on says why"
)]

use std::{
    env,
    path::{Path, PathBuf},
};

pub mod app;
pub mod ingest;
pub mod pictures;
pub mod platform;
pub mod probe;
pub mod process;
pub mod servers;
pub mod soundtracks;
pub mod upstream;
pub mod videos;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where Cargo builds.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(target) => target.into(),
        None => root().join("target"),
    }
}

/// Where compiled code is kept, for all tests and benchmarks.
pub fn compiled() -> PathBuf {
    target().join("emporium-cache")
}

/// The built component of this name. `EMPORIUM_COMPONENTS` names another folder
/// to find it in.
pub fn component(name: &str) -> PathBuf {
    let folder = match env::var_os("EMPORIUM_COMPONENTS") {
        Some(folder) => folder.into(),
        None => target().join("wasm32-wasip2/release"),
    };
    folder.join(name.replace('-', "_")).with_extension("wasm")
}
