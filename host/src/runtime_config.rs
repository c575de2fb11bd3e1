//! Spin's `runtime-config.toml`: where labels keep their data, where values of
//! variables come from, and which networks are blocked.
//!
//! What is in it and not understood is refused.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// What a file says. Paths in it are relative to its folder.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuntimeConfig {
    #[serde(default, rename = "key_value_store")]
    pub(crate) key_value_stores: BTreeMap<String, KeyValueStore>,
    #[serde(default, rename = "sqlite_database")]
    pub(crate) sqlite_databases: BTreeMap<String, SqliteDatabase>,
    #[serde(default, rename = "variables_provider", alias = "config_provider")]
    pub(crate) variables_providers: Vec<VariablesProvider>,
    #[serde(default)]
    pub(crate) outbound_networking: OutboundNetworking,
    #[serde(default)]
    pub(crate) outbound_pg: OutboundPg,
}

/// Where the values of a store are.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum KeyValueStore {
    /// In a SQLite file.
    Spin { path: Option<PathBuf> },
    /// In a Redis server.
    Redis { url: String },
}

/// Where a database is.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum SqliteDatabase {
    /// In a file.
    Spin { path: Option<PathBuf> },
}

/// Where values of variables come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum VariablesProvider {
    /// The file itself.
    Static { values: BTreeMap<String, String> },
    /// The environment, and a file of such variables.
    Env {
        prefix: Option<String>,
        dotenv_path: Option<PathBuf>,
    },
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutboundNetworking {
    /// `private`, or networks such as `10.0.0.0/8`.
    #[serde(default)]
    pub(crate) block_networks: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutboundPg {
    pub(crate) max_connections: Option<usize>,
}

impl RuntimeConfig {
    /// Read a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let reading = || format!("reading the runtime config {}", path.display());
        let text = fs::read_to_string(path).with_context(reading)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).with_context(reading)
    }

    fn parse(text: &str, folder: &Path) -> Result<Self> {
        let mut config: Self = toml::from_str(text)?;
        let resolve = |path: &mut Option<PathBuf>| {
            if let Some(path) = path {
                *path = folder.join(&path);
            }
        };
        for store in config.key_value_stores.values_mut() {
            match store {
                KeyValueStore::Spin { path } => resolve(path),
                KeyValueStore::Redis { url } => {
                    crate::redis::RedisAddress::parse(url)
                        .with_context(|| format!("the url of a key-value store, {url:?}"))?;
                }
            }
        }
        for SqliteDatabase::Spin { path } in config.sqlite_databases.values_mut() {
            resolve(path);
        }
        for provider in &mut config.variables_providers {
            if let VariablesProvider::Env { dotenv_path, .. } = provider {
                resolve(dotenv_path);
            }
        }
        if config.outbound_pg.max_connections == Some(0) {
            bail!("outbound_pg: `max_connections` must not be 0");
        }
        Ok(config)
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test that cannot go on says why")]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_file() {
        let text = "[sqlite_database.default]\n\
             type = 'spin'\n\
             path = 'data/a.db'\n\
             [key_value_store.default]\n\
             type = 'spin'\n\
             path = '/var/kv.db'\n\
             [[variables_provider]]\n\
             type = 'env'\n\
             dotenv_path = '.env'\n";
        let config = RuntimeConfig::parse(text, Path::new("/etc/app")).expect("valid");
        let SqliteDatabase::Spin { path } = &config.sqlite_databases["default"];
        assert_eq!(path.as_deref(), Some(Path::new("/etc/app/data/a.db")));
        assert!(matches!(
            &config.key_value_stores["default"],
            KeyValueStore::Spin { path: Some(path) } if path == Path::new("/var/kv.db")
        ));
        assert!(matches!(
            &config.variables_providers[0],
            VariablesProvider::Env { dotenv_path: Some(path), .. }
                if path == Path::new("/etc/app/.env")
        ));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "typo = 1",
            "[llm_compute]\ntype = 'spin'",
            "[sqlite_database.default]\ntype = 'libsql'\nurl = 'https://x'",
            "[sqlite_database.default]\ntype = 'spin'\nfile = 'x'",
            "[key_value_store.default]\ntype = 'azure_cosmos'",
            "[key_value_store.default]\ntype = 'redis'",
            "[key_value_store.default]\ntype = 'redis'\nurl = 'http://x'",
            "[[variables_provider]]\ntype = 'vault'",
            "[outbound_networking]\nblock = []",
            "[outbound_pg]\nmax_connections = 0",
        ] {
            assert!(RuntimeConfig::parse(text, Path::new("")).is_err(), "{text}");
        }
    }

    #[test]
    fn the_file_of_this_repository_is_understood() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime-config.toml");
        RuntimeConfig::read(&path).expect("valid");
    }
}
