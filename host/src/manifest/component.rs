//! Components: profiles, grants and dependencies.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    Component, Dependency, DependencyName, Inherited, Mount, Problems, Template, check::section,
    names, schema,
};

/// Reads `[component.<id>]` and applies `profile`.
pub(super) fn all(
    problems: &mut Problems,
    raw: BTreeMap<String, toml::Value>,
    profile: Option<&str>,
) -> BTreeMap<String, Component> {
    let mut read = BTreeMap::new();
    for (id, value) in raw {
        let key = format!("component.{id}");
        problems.check(&key, names::kebab(&id));
        if let Some(component) = section::<schema::Component>(problems, &key, value) {
            read.insert(id, component);
        }
    }
    if let Some(profile) = profile
        && !read
            .values()
            .any(|component| component.profile.contains_key(profile))
    {
        problems.add("profile", format!("no component has a profile {profile:?}"));
    }
    for component in read.values_mut() {
        if let Some(overrides) = profile.and_then(|profile| component.profile.remove(profile)) {
            component.source = overrides.source.unwrap_or(component.source.clone());
            component.environment.extend(overrides.environment);
            component.dependencies.extend(overrides.dependencies);
        }
    }
    read.iter()
        .filter_map(|(id, raw)| Some((id.clone(), component(problems, id, raw, &read)?)))
        .collect()
}

fn component(
    problems: &mut Problems,
    id: &str,
    raw: &schema::Component,
    all: &BTreeMap<String, schema::Component>,
) -> Option<Component> {
    let key = format!("component.{id}");
    let unsupported = [
        ("ai_models", !raw.ai_models.is_empty()),
        ("exclude_files", !raw.exclude_files.is_empty()),
        ("targets", raw.targets.is_some()),
    ];
    for (name, _) in unsupported.iter().filter(|(_, present)| *present) {
        problems.add(format!("{key}.{name}"), "not supported by this host");
    }
    if !raw.allowed_http_hosts.is_empty() {
        problems.add(
            format!("{key}.allowed_http_hosts"),
            "is deprecated; write `allowed_outbound_hosts`",
        );
    }
    for (name, labels) in [
        ("key_value_stores", &raw.key_value_stores),
        ("sqlite_databases", &raw.sqlite_databases),
    ] {
        for label in labels {
            problems.check(format!("{key}.{name}"), names::label(label));
        }
    }
    for name in raw.variables.keys() {
        problems.check(format!("{key}.variables.{name}"), names::lower_snake(name));
    }
    let templates = |problems: &mut Problems, name: &str, text: &str| {
        problems.check(format!("{key}.{name}"), Template::parse(text))
    };
    Some(Component {
        source: source(problems, &key, &raw.source)?,
        variables: raw
            .variables
            .iter()
            .filter_map(|(name, text)| {
                Some((name.clone(), templates(problems, "variables", text)?))
            })
            .collect(),
        environment: raw.environment.clone(),
        files: raw
            .files
            .iter()
            .filter_map(|mount| self::mount(problems, &key, mount))
            .collect(),
        allowed_outbound_hosts: raw
            .allowed_outbound_hosts
            .iter()
            .filter_map(|host| templates(problems, "allowed_outbound_hosts", host))
            .collect(),
        key_value_stores: raw.key_value_stores.clone(),
        sqlite_databases: raw.sqlite_databases.clone(),
        dependencies: dependencies(problems, id, raw, all),
    })
}

fn source(problems: &mut Problems, key: &str, value: &toml::Value) -> Option<PathBuf> {
    if let toml::Value::String(path) = value {
        return Some(path.into());
    }
    problems.add(
        format!("{key}.source"),
        "only a path is supported by this host; download the component and name its file",
    );
    None
}

fn mount(problems: &mut Problems, key: &str, value: &toml::Value) -> Option<Mount> {
    let key = format!("{key}.files");
    if value.is_str() {
        problems.add(key, "glob patterns are not supported by this host; write `{ source = \"folder\", destination = \"/path\" }`");
        return None;
    }
    let mount: schema::Mount = section(problems, &key, value.clone())?;
    if !mount.destination.starts_with('/') {
        problems.add(
            &key,
            format!("destination {:?} must start with `/`", mount.destination),
        );
    }
    Some(Mount {
        source: mount.source.into(),
        destination: mount.destination,
    })
}

fn dependencies(
    problems: &mut Problems,
    id: &str,
    raw: &schema::Component,
    all: &BTreeMap<String, schema::Component>,
) -> BTreeMap<DependencyName, Dependency> {
    let mut dependencies: BTreeMap<DependencyName, Dependency> = BTreeMap::new();
    for (text, value) in &raw.dependencies {
        let key = format!("component.{id}.dependencies.{text:?}");
        let Some(name) = problems.check(&key, DependencyName::parse(text)) else {
            continue;
        };
        for other in dependencies.keys().filter(|other| other.overlaps(&name)) {
            problems.add(
                &key,
                format!(
                    "overlaps with {:?}; an import may have one dependency",
                    other.as_str()
                ),
            );
        }
        let inherit_all = raw.dependencies_inherit_configuration;
        if let Some(dependency) = dependency(problems, &key, &name, value, inherit_all, all) {
            dependencies.insert(name, dependency);
        }
    }
    dependencies
}

fn dependency(
    problems: &mut Problems,
    key: &str,
    name: &DependencyName,
    value: &toml::Value,
    inherit_all: Option<bool>,
    all: &BTreeMap<String, schema::Component>,
) -> Option<Dependency> {
    const REMOTE: &str =
        "registries and URLs are not supported by this host; name a `component` or a `path`";
    if value.is_str() {
        problems.add(key, REMOTE);
        return None;
    }
    let raw: schema::Dependency = section(problems, key, value.clone())?;
    let remote = [
        &raw.version,
        &raw.registry,
        &raw.package,
        &raw.url,
        &raw.digest,
    ];
    if remote.into_iter().any(Option::is_some) {
        problems.add(key, REMOTE);
        return None;
    }
    if name.is_package() && raw.export.is_some() {
        problems.add(
            key,
            "`export` needs the name of one interface, not of a package",
        );
    }
    if name.is_plain() && raw.export.is_none() && raw.component.is_none() && raw.path.is_none() {
        problems.add(key, "needs a `component` or a `path`");
    }
    if inherit_all.is_some() && raw.inherit_configuration.is_some() {
        problems.add(
            key,
            "`inherit_configuration` and `dependencies_inherit_configuration` exclude each other",
        );
    }
    let inherited = match raw.inherit_configuration {
        Some(schema::Inherit::All(true)) => Inherited::all(),
        Some(schema::Inherit::Some(names)) => {
            let inherited = Inherited::parse(names.iter().map(String::as_str));
            problems.check(format!("{key}.inherit_configuration"), inherited)?
        }
        None if inherit_all == Some(true) => Inherited::all(),
        Some(schema::Inherit::All(false)) | None => Inherited::default(),
    };
    let source = match (raw.component, raw.path) {
        (Some(id), None) => {
            let Some(target) = all.get(&id) else {
                problems.add(
                    key,
                    format!("component {id:?} does not exist; add `[component.{id}]`"),
                );
                return None;
            };
            check_target(problems, key, &id, target);
            source(problems, &format!("component.{id}"), &target.source)?
        }
        (None, Some(path)) => path.into(),
        _ => {
            problems.add(key, "needs either `component` or `path`");
            return None;
        }
    };
    Some(Dependency {
        source,
        export: raw.export,
        inherited,
    })
}

/// In-app dependencies are one level deep and have no configuration: it would
/// be ignored, which is a surprise Spin refuses.
fn check_target(problems: &mut Problems, key: &str, id: &str, target: &schema::Component) {
    let configuration = [
        ("variables", !target.variables.is_empty()),
        ("environment", !target.environment.is_empty()),
        ("files", !target.files.is_empty()),
        ("allowed_http_hosts", !target.allowed_http_hosts.is_empty()),
        (
            "allowed_outbound_hosts",
            !target.allowed_outbound_hosts.is_empty(),
        ),
        ("key_value_stores", !target.key_value_stores.is_empty()),
        ("sqlite_databases", !target.sqlite_databases.is_empty()),
        ("ai_models", !target.ai_models.is_empty()),
        ("dependencies", !target.dependencies.is_empty()),
    ];
    let own: Vec<_> = configuration
        .into_iter()
        .filter(|(_, present)| *present)
        .map(|(name, _)| name)
        .collect();
    if !own.is_empty() {
        let own = own.join(", ");
        problems.add(
            key,
            format!("component {id:?} has {own} of its own, which a dependency may not have; grant them here with `inherit_configuration`"),
        );
    }
}
