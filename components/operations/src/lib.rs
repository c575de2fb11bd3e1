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
