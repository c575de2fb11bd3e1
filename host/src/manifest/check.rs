//! From the text of a manifest to a [`Manifest`] without problems.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::{Manifest, Problems, Template, Variable, component, names, schema, trigger};

pub(super) fn manifest(
    text: &str,
    file: &str,
    profile: Option<&str>,
) -> Result<Manifest, Problems> {
    let mut problems = Problems::new(file);
    let mut manifest = Manifest::default();
    let Some(top) = problems.check("manifest", toml::from_str::<schema::Top>(text)) else {
        return problems.or(manifest);
    };
    if top.spin_manifest_version != toml::Value::Integer(2) {
        problems.add(
            "spin_manifest_version",
            "must be 2, the version this host and Spin 4 read",
        );
    }
    let mut redis_address = None;
    if let Some(application) =
        section::<schema::Application>(&mut problems, "application", top.application)
    {
        redis_address = trigger::defaults(&mut problems, application.trigger);
        if application.targets.is_some() {
            problems.add(
                "application.targets",
                "target environments are not supported by this host; remove the key",
            );
        }
        manifest.name = application.name;
    }
    manifest.variables = variables(&mut problems, top.variables);
    manifest.components = component::all(&mut problems, top.component, profile);
    trigger::all(&mut problems, top.trigger, redis_address, &mut manifest);
    check_templates(&mut problems, &manifest);
    problems.or(manifest)
}

/// Reads one table of the manifest; `key` is where it stands.
pub(super) fn section<T: DeserializeOwned>(
    problems: &mut Problems,
    key: &str,
    value: toml::Value,
) -> Option<T> {
    problems.check(key, value.try_into::<T>())
}

fn variables(
    problems: &mut Problems,
    raw: BTreeMap<String, toml::Value>,
) -> BTreeMap<String, Variable> {
    let mut variables = BTreeMap::new();
    for (name, value) in raw {
        let key = format!("variables.{name}");
        problems.check(&key, names::lower_snake(&name));
        let Some(variable) = section::<schema::Variable>(problems, &key, value) else {
            continue;
        };
        match (variable.required, &variable.default) {
            (true, Some(_)) => problems.add(
                &key,
                "has a default, so it cannot be required; remove one of the two",
            ),
            (false, None) => problems.add(&key, "needs `default = \"...\"` or `required = true`"),
            _ => {}
        }
        if variable.secret
            && variable
                .default
                .as_ref()
                .is_some_and(|default| !default.is_empty())
        {
            tracing::warn!("{key}: a secret with a default in the manifest is no secret");
        }
        variables.insert(
            name,
            Variable {
                default: variable.default,
            },
        );
    }
    variables
}

/// Every `{{ name }}` must be declared.
fn check_templates(problems: &mut Problems, manifest: &Manifest) {
    let mut check = |key: String, template: &Template| {
        for name in template
            .variables()
            .filter(|name| !manifest.variables.contains_key(*name))
        {
            problems.add(
                &key,
                format!("refers to `{{{{ {name} }}}}`, which [variables] does not declare"),
            );
        }
    };
    for (id, component) in &manifest.components {
        for (name, template) in &component.variables {
            check(format!("component.{id}.variables.{name}"), template);
        }
        for template in &component.allowed_outbound_hosts {
            check(format!("component.{id}.allowed_outbound_hosts"), template);
        }
    }
    for trigger in &manifest.redis {
        check(
            format!("trigger.redis of {:?}", trigger.component),
            &trigger.address,
        );
        check(
            format!("trigger.redis of {:?}", trigger.component),
            &trigger.channel,
        );
    }
}
