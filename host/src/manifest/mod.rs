//! The manifest: `spin.toml`, read strictly.
//!
//! What Spin would refuse is refused here. So is what Spin accepts and this
//! host does not support, with a message that says so: a manifest that loads
//! here loads under Spin.

mod check;
mod component;
mod inherit;
mod names;
mod problems;
mod schema;
mod template;
#[cfg(test)]
mod tests;
mod trigger;

use std::{collections::BTreeMap, path::PathBuf};

pub(crate) use inherit::Inherited;
pub(crate) use names::DependencyName;
pub use problems::Problems;
pub(crate) use template::Template;

/// A manifest without problems, with its profile applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) variables: BTreeMap<String, Variable>,
    pub(crate) http: Vec<HttpTrigger>,
    pub(crate) redis: Vec<RedisTrigger>,
    pub(crate) components: BTreeMap<String, Component>,
}

/// An application variable; without a default it is required.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) default: Option<String>,
}

/// A route and the component that answers it.
#[derive(Clone, Debug)]
pub(crate) struct HttpTrigger {
    pub(crate) route: Route,
    pub(crate) component: String,
}

/// Where a component is reachable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A path pattern, as written.
    Public(String),
    /// At `http://<component>.spin.internal` only.
    Private,
}

/// A channel and the component that handles its messages.
#[derive(Clone, Debug)]
pub(crate) struct RedisTrigger {
    pub(crate) address: Template,
    pub(crate) channel: Template,
    pub(crate) component: String,
}

/// A component and what it may use.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    /// Relative to the folder of the manifest.
    pub(crate) source: PathBuf,
    pub(crate) variables: BTreeMap<String, Template>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) files: Vec<Mount>,
    pub(crate) allowed_outbound_hosts: Vec<Template>,
    pub(crate) key_value_stores: Vec<String>,
    pub(crate) sqlite_databases: Vec<String>,
    pub(crate) dependencies: BTreeMap<DependencyName, Dependency>,
}

/// A folder a component may read.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    pub(crate) source: PathBuf,
    pub(crate) destination: String,
}

/// What satisfies an import of a component.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    /// The component file, relative to the folder of the manifest.
    pub(crate) source: PathBuf,
    /// The export to take, if it is not named like the import.
    pub(crate) export: Option<String>,
    pub(crate) inherited: Inherited,
}

impl Manifest {
    /// Reads `text`; `file` is the name used in messages.
    pub(crate) fn parse(text: &str, file: &str, profile: Option<&str>) -> Result<Self, Problems> {
        check::manifest(text, file, profile)
    }

    /// Whether `text` has this profile, as far as it can be read.
    pub(crate) fn has_profile(text: &str, profile: &str) -> bool {
        let Ok(manifest) = text.parse::<toml::Table>() else {
            return false;
        };
        let components = manifest.get("component").and_then(toml::Value::as_table);
        components
            .into_iter()
            .flat_map(toml::Table::values)
            .any(|component| {
                component
                    .get("profile")
                    .is_some_and(|all| all.get(profile).is_some())
            })
    }

    /// The components some trigger names.
    pub(crate) fn triggered(&self) -> impl Iterator<Item = &str> {
        let http = self.http.iter().map(|trigger| trigger.component.as_str());
        let redis = self.redis.iter().map(|trigger| trigger.component.as_str());
        let named: std::collections::BTreeSet<_> = http.chain(redis).collect();
        named.into_iter()
    }
}
