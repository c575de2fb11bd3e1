//! Compiled code on disk, so that a start with nothing changed compiles and
//! composes nothing.

use std::{
    fs,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, component::Component};

use crate::error::Anyhow as _;

/// A folder of compiled components, named by the hash of all that went in.
pub(crate) struct Cache {
    folder: PathBuf,
}

/// The hash of what a component is made of. Each part is hashed with its
/// length, so that no two lists of parts look alike.
pub(crate) struct Key(Sha256);

impl Key {
    /// Starts with what compiled code depends on besides the source: version
    /// and configuration of wasmtime, and this crate's way of composing.
    pub(crate) fn new(engine: &Engine) -> Self {
        let mut key = Self(Sha256::new());
        let mut compatibility = Compatibility(&mut key);
        engine
            .precompile_compatibility_hash()
            .hash(&mut compatibility);
        key.add(env!("CARGO_PKG_VERSION").as_bytes());
        key
    }

    pub(crate) fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn file(self) -> String {
        let mut name: String = self
            .0
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        name.push_str(".cwasm");
        name
    }
}

struct Compatibility<'key>(&'key mut Key);

impl Hasher for Compatibility<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.0.add(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl Cache {
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)
            .with_context(|| format!("making the folder {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// The component of `key`, compiled from what `source` gives if it is not
    /// here yet. A file that cannot be read is made again.
    pub(crate) fn get(
        &self,
        engine: &Engine,
        key: Key,
        source: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Component> {
        let path = self.folder.join(key.file());
        if path.exists() {
            match load(engine, &path) {
                Ok(component) => return Ok(component),
                Err(error) => tracing::warn!(
                    "compiling again what {} cannot give: {error:#}",
                    path.display()
                ),
            }
        }
        let compiled = engine
            .precompile_component(&source()?)
            .anyhow()
            .context("compiling")?;
        // Written aside and renamed: another host may read the same folder.
        let aside = self.folder.join(format!(
            "{}.{:?}.tmp",
            std::process::id(),
            std::thread::current().id()
        ));
        fs::write(&aside, compiled)
            .and_then(|()| fs::rename(&aside, &path))
            .context("storing compiled code")?;
        load(engine, &path)
    }
}

fn load(engine: &Engine, path: &Path) -> Result<Component> {
    // SAFETY: the file was written by `get` above, under a name that covers
    // all its inputs and the configuration of wasmtime. Whoever can change the
    // state folder can already change the components themselves.
    unsafe { Component::deserialize_file(engine, path) }.anyhow()
}
