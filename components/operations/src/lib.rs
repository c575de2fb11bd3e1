#![doc = include_str!("../README.md")]

mod dead_letters;
mod docs;
mod events;
mod exposition;
mod health;
mod lag;
mod latency;
mod metrics;
mod neighbours;
mod notes;
mod openapi;
mod parked;
mod retention;
mod selection;
mod subscriptions;
mod sweep;
mod tick;
mod workers;

use emporium_sdk::service;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

service! {
    routes: {
        let (router, own) = documented().split_for_parts();
        service::finish(router.merge(openapi::routes(own)))
    },
}

fn documented() -> OpenApiRouter {
    OpenApiRouter::with_openapi(OpenApi::default())
        .routes(routes!(health::platform))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::own))
        .routes(routes!(metrics::metrics))
        .routes(routes!(subscriptions::list))
        .routes(routes!(subscriptions::forget))
        .routes(routes!(subscriptions::pause))
        .routes(routes!(subscriptions::resume))
        .routes(routes!(workers::list, workers::announce))
        .routes(routes!(workers::leave))
        .routes(routes!(events::list))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::replay_selected))
        .routes(routes!(dead_letters::discard_selected))
        .routes(routes!(dead_letters::get, dead_letters::discard))
        .routes(routes!(dead_letters::replay))
        .routes(routes!(parked::list))
        .routes(routes!(parked::get, parked::discard))
        .routes(routes!(parked::retry))
        .routes(routes!(tick::tick))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::documented;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| match value {
                Value::String(target) if name == "$ref" => found.push(target.clone()),
                value => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_in_the_description_leads_somewhere() {
        let (_, api) = documented().split_for_parts();
        let api = serde_json::to_value(api).unwrap_or_default();
        let mut found = Vec::new();
        references(&api, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap_or_default();
            assert!(api.pointer(pointer).is_some(), "{reference}");
        }
    }
}
