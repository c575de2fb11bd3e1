//! Triggers: routes and channels, and the components behind them.

use std::collections::BTreeMap;

use super::{
    HttpTrigger, Manifest, Problems, RedisTrigger, Route, Template, check::section, schema,
};

/// Reads `[application.trigger]`: the default Redis address.
pub(super) fn defaults(
    problems: &mut Problems,
    raw: BTreeMap<String, toml::Value>,
) -> Option<String> {
    let mut address = None;
    for (kind, value) in raw {
        let key = format!("application.trigger.{kind}");
        match kind.as_str() {
            "redis" => {
                address = section::<schema::RedisDefaults>(problems, &key, value)
                    .map(|defaults| defaults.address);
            }
            _ => problems.add(
                key,
                "this host has no settings for this trigger type; only `redis` has an `address`",
            ),
        }
    }
    address
}

/// Reads `[[trigger.<kind>]]` into `manifest`, whose components are known.
pub(super) fn all(
    problems: &mut Problems,
    raw: BTreeMap<String, Vec<toml::Value>>,
    redis_address: Option<String>,
    manifest: &mut Manifest,
) {
    if raw.is_empty() {
        problems.add(
            "trigger",
            "there is none; add `[[trigger.http]]` or `[[trigger.redis]]`",
        );
    }
    for (kind, values) in raw {
        for (index, value) in values.into_iter().enumerate() {
            let key = format!("trigger.{kind}[{index}]");
            match kind.as_str() {
                "http" => manifest.http.extend(http(problems, &key, value)),
                "redis" => manifest.redis.extend(redis(problems, &key, value, redis_address.as_deref())),
                other => problems.add(key, format!("trigger type {other:?} is not supported by this host; `http` and `redis` are")),
            }
        }
    }
    for id in manifest
        .triggered()
        .filter(|id| !manifest.components.contains_key(*id))
    {
        problems.add(
            "trigger",
            format!("component {id:?} does not exist; add `[component.{id}]`"),
        );
    }
    check_routes(problems, &manifest.http);
}

fn http(problems: &mut Problems, key: &str, value: toml::Value) -> Option<HttpTrigger> {
    let raw: schema::HttpTrigger = section(problems, key, value)?;
    let unsupported = [
        ("static_response", raw.static_response.is_some()),
        ("components", raw.components.is_some()),
        ("dependencies", raw.dependencies.is_some()),
    ];
    refuse(problems, key, &unsupported);
    if let Some(executor) = raw.executor
        && !matches!(executor.kind.as_str(), "http" | "spin")
    {
        problems.add(
            format!("{key}.executor"),
            format!(
                "{:?} is not supported by this host; `http` is",
                executor.kind
            ),
        );
    }
    let route = match raw.route {
        toml::Value::String(route) => Route::Public(route),
        table => {
            let private: schema::PrivateRoute = section(problems, &format!("{key}.route"), table)?;
            if !private.private {
                problems.add(
                    format!("{key}.route"),
                    "must be a path or `{ private = true }`",
                );
            }
            Route::Private
        }
    };
    Some(HttpTrigger {
        route,
        component: component(problems, key, raw.component)?,
    })
}

fn redis(
    problems: &mut Problems,
    key: &str,
    value: toml::Value,
    default: Option<&str>,
) -> Option<RedisTrigger> {
    let raw: schema::RedisTrigger = section(problems, key, value)?;
    let unsupported = [
        ("components", raw.components.is_some()),
        ("dependencies", raw.dependencies.is_some()),
    ];
    refuse(problems, key, &unsupported);
    if raw.channel.is_empty() {
        problems.add(format!("{key}.channel"), "must not be empty");
    }
    let Some(address) = raw.address.as_deref().or(default) else {
        problems.add(
            key,
            "has no `address`, and [application.trigger.redis] gives none",
        );
        return None;
    };
    let address = problems.check(format!("{key}.address"), Template::parse(address));
    let channel = problems.check(format!("{key}.channel"), Template::parse(&raw.channel));
    let component = component(problems, key, raw.component);
    Some(RedisTrigger {
        address: address?,
        channel: channel?,
        component: component?,
    })
}

fn component(problems: &mut Problems, key: &str, value: Option<toml::Value>) -> Option<String> {
    match value {
        Some(toml::Value::String(id)) => return Some(id),
        Some(_) => problems.add(
            format!("{key}.component"),
            "components written out in the trigger are not supported by this host; name a `[component.<id>]`",
        ),
        None => problems.add(key, "needs `component = \"<id>\"`"),
    }
    None
}

fn refuse(problems: &mut Problems, key: &str, unsupported: &[(&str, bool)]) {
    for (name, _) in unsupported.iter().filter(|(_, present)| *present) {
        problems.add(format!("{key}.{name}"), "not supported by this host");
    }
}

/// Every public route is well-formed and stands once.
fn check_routes(problems: &mut Problems, triggers: &[HttpTrigger]) {
    let mut seen = BTreeMap::new();
    for trigger in triggers {
        let Route::Public(route) = &trigger.route else {
            continue;
        };
        let component = &trigger.component;
        problems.check(
            format!("route {route:?}"),
            crate::http::Pattern::parse(route),
        );
        if route
            .trim_start_matches('/')
            .starts_with(".well-known/spin/")
        {
            problems.add(format!("route {route:?}"), "is reserved for Spin");
        }
        if let Some(first) = seen.insert(route.trim_matches('/'), component) {
            problems.add(
                format!("route {route:?}"),
                format!("is given to both {first:?} and {component:?}; keep one"),
            );
        }
    }
}
