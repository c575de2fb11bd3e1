#![doc = include_str!("../README.md")]

mod deletion;
mod fetch;
mod fetched;
mod file;
mod files;
mod image;
mod intake;
mod kind;
mod reactions;
mod read;
mod reprocess;
mod shape;
mod target;
mod upload;
mod variant;

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

use crate::image::Image;

/// The component id: the source of its events, the name of its subscriptions.
const SERVICE: &str = "media";

mod bindings {
    spin_sdk::wit_bindgen::generate!({
        world: "media",
        path: "../../wit",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        with: {
            "emporium:platform/documents@0.1.0": emporium_sdk::documents,
            "emporium:platform/journal@0.1.0": emporium_sdk::journal,
            "emporium:platform/deliveries@0.1.0": emporium_sdk::deliveries,
            "emporium:platform/blobs@0.1.0": emporium_sdk::blobs,
        },
        generate_all,
    });
}

use bindings::emporium::imaging::pictures;

static ROUTES: LazyLock<Router> = LazyLock::new(|| {
    service::routes(
        OpenApiRouter::new()
            .routes(routes!(upload::upload, read::list))
            .routes(routes!(read::get, deletion::delete))
            .routes(routes!(variant::file))
            .routes(routes!(reprocess::reprocess))
            .routes(routes!(files::file))
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

/// Whether images can be stored and read.
#[utoipa::path(get, path = "/media/health", tag = "media",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn health() -> Health {
    let store = document::get::<Image>("health").await.map(drop);
    let settings = fetch::Settings::get().await.map(drop);
    vec![
        Check::of("documents", store),
        Check::of("configuration", settings),
    ]
    .into()
}
