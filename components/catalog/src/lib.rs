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

use emporium_sdk::{
    health::{Check, Health},
    service,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{settings::Settings, species::Species};

/// The component id: the source of its events, the name of its subscriptions.
const SERVICE: &str = "catalog";

service! {
    routes: service::routes(
        OpenApiRouter::new()
            .routes(routes!(ingests::start, ingests::list))
            .routes(routes!(ingests::get))
            .routes(routes!(pokemon::list))
            .routes(routes!(pokemon::get))
            .routes(routes!(products::list))
            .routes(routes!(products::get))
            .routes(routes!(relay::status::status))
            .routes(routes!(health)),
    ),
    wakes: reactions::react(),
}

/// Whether the catalogue can be read, and is configured.
#[utoipa::path(get, path = "/catalog/health", tag = "catalog",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn health() -> Health {
    let settings = Settings::get().await.map(drop);
    vec![
        Check::of_documents::<Species>().await,
        Check::of_variables(settings),
    ]
    .into()
}
