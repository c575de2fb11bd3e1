//! The shape of `spin.toml`, as written. Keys that Spin knows and this host
//! does not are listed too, so that they are refused with their own message.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The top level. Its parts are read one by one, so that one wrong key does
/// not hide the others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Top {
    pub(super) spin_manifest_version: toml::Value,
    pub(super) application: toml::Value,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, toml::Value>,
    #[serde(default)]
    pub(super) trigger: BTreeMap<String, Vec<toml::Value>>,
    #[serde(default)]
    pub(super) component: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Application {
    pub(super) name: String,
    #[serde(default, rename = "version")]
    pub(super) _version: Option<String>,
    #[serde(default, rename = "description")]
    pub(super) _description: Option<String>,
    #[serde(default, rename = "authors")]
    pub(super) _authors: Vec<String>,
    #[serde(default)]
    pub(super) targets: Option<toml::Value>,
    #[serde(default)]
    pub(super) trigger: BTreeMap<String, toml::Value>,
    #[serde(default, rename = "tool")]
    pub(super) _tool: BTreeMap<String, toml::Table>,
}

/// `[application.trigger.redis]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RedisDefaults {
    pub(super) address: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variable {
    #[serde(default, rename = "description")]
    pub(super) _description: Option<String>,
    #[serde(default)]
    pub(super) required: bool,
    pub(super) default: Option<String>,
    #[serde(default)]
    pub(super) secret: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpTrigger {
    #[serde(default, rename = "id")]
    pub(super) _id: Option<String>,
    pub(super) component: Option<toml::Value>,
    pub(super) route: toml::Value,
    pub(super) executor: Option<Executor>,
    pub(super) static_response: Option<toml::Value>,
    pub(super) components: Option<toml::Value>,
    pub(super) dependencies: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Executor {
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// `route = { private = true }`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrivateRoute {
    pub(super) private: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RedisTrigger {
    #[serde(default, rename = "id")]
    pub(super) _id: Option<String>,
    pub(super) component: Option<toml::Value>,
    pub(super) channel: String,
    pub(super) address: Option<String>,
    pub(super) components: Option<toml::Value>,
    pub(super) dependencies: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Component {
    pub(super) source: toml::Value,
    #[serde(default, rename = "description")]
    pub(super) _description: Option<String>,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) files: Vec<toml::Value>,
    #[serde(default)]
    pub(super) exclude_files: Vec<String>,
    #[serde(default)]
    pub(super) allowed_http_hosts: Vec<String>,
    #[serde(default)]
    pub(super) allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    pub(super) key_value_stores: Vec<String>,
    #[serde(default)]
    pub(super) sqlite_databases: Vec<String>,
    #[serde(default)]
    pub(super) ai_models: Vec<String>,
    pub(super) targets: Option<toml::Value>,
    #[serde(rename = "build")]
    pub(super) _build: Option<Build>,
    #[serde(default, rename = "tool")]
    pub(super) _tool: BTreeMap<String, toml::Table>,
    pub(super) dependencies_inherit_configuration: Option<bool>,
    #[serde(default)]
    pub(super) dependencies: BTreeMap<String, toml::Value>,
    #[serde(default)]
    pub(super) profile: BTreeMap<String, Profile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Build {
    #[serde(rename = "command")]
    pub(super) _command: Commands,
    #[serde(rename = "workdir")]
    pub(super) _workdir: Option<String>,
    #[serde(default, rename = "watch")]
    pub(super) _watch: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Commands {
    One(#[expect(dead_code, reason = "read by `spin build`, checked here")] String),
    Many(#[expect(dead_code, reason = "read by `spin build`, checked here")] Vec<String>),
}

/// `[component.<id>.profile.<name>]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    pub(super) source: Option<toml::Value>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) dependencies: BTreeMap<String, toml::Value>,
    #[serde(rename = "build")]
    pub(super) _build: Option<ProfileBuild>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileBuild {
    #[serde(rename = "command")]
    pub(super) _command: Commands,
}

/// A dependency satisfied by a file or by a component of the application.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dependency {
    pub(super) component: Option<String>,
    pub(super) path: Option<String>,
    pub(super) export: Option<String>,
    pub(super) inherit_configuration: Option<Inherit>,
    // A registry or a URL: known to Spin, refused here.
    pub(super) version: Option<String>,
    pub(super) registry: Option<String>,
    pub(super) package: Option<String>,
    pub(super) url: Option<String>,
    pub(super) digest: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Inherit {
    All(bool),
    Some(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mount {
    pub(super) source: String,
    pub(super) destination: String,
}
