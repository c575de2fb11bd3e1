#![doc = include_str!("../README.md")]

mod account;
mod assembly;
mod filter;
mod generation;
mod generation_step;
mod ingest;
mod ingests;
mod links;
mod media_result;
mod pokeapi;
mod pokemon;
mod product;
mod product_step;
mod products;
mod progress;
mod reactions;
mod relay;
mod settings;
mod species;
mod species_step;

use std::sync::LazyLock;

use axum::{Router, response::Response};
use bytes::Bytes;
use emporium_sdk::{
    document,
    health::{Check, Health},
    service,
};
use spin_sdk::{http::Request, http_service, redis_subscriber};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{settings::Settings, species::Species};

/// The component id: the source of its events, the name of its subscriptions.
const SERVICE: &str = "catalog";

static ROUTES: LazyLock<Router> = LazyLock::new(|| {
    service::routes(
        OpenApiRouter::new()
            .routes(routes!(ingests::start, ingests::list))
            .routes(routes!(ingests::get))
            .routes(routes!(pokemon::list))
            .routes(routes!(pokemon::get))
            .routes(routes!(products::list))
            .routes(routes!(products::get))
            .routes(routes!(relay::status::status))
            .routes(routes!(health)),
    )
});

#[http_service]
async fn handle(request: Request) -> Response {
    service::serve(&ROUTES, request).await
}

#[redis_subscriber]
async fn wake(_: Bytes) -> Result<(), emporium_sdk::deliveries::Error> {
    reactions::react().await
}

/// Whether the catalogue can be read, and is configured.
#[utoipa::path(get, path = "/catalog/health", tag = "catalog",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn health() -> Health {
    let store = document::get::<Species>("health").await.map(drop);
    let settings = Settings::get().await.map(drop);
    vec![
        Check::of("documents", store),
        Check::of("configuration", settings),
    ]
    .into()
}
