#![doc = include_str!("../README.md")]

mod audio;
mod convert;
mod demo;
mod download;
mod reactions;
mod status;
mod upload;
mod video;

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

use crate::video::Video;

/// The component id: the source of its events, the name of its subscriptions.
const SERVICE: &str = "soundtrack";

mod bindings {
    spin_sdk::wit_bindgen::generate!({
        world: "soundtrack",
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

use bindings::emporium::audio::soundtracks;

static ROUTES: LazyLock<Router> = LazyLock::new(|| {
    service::routes(
        OpenApiRouter::new()
            .routes(routes!(upload::upload))
            .routes(routes!(upload::test_upload))
            .routes(routes!(download::download))
            .routes(routes!(download::test_download))
            .routes(routes!(status::status))
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

/// Whether videos can be stored and read.
#[utoipa::path(get, path = "/soundtrack/health", tag = "soundtrack",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn health() -> Health {
    let store = document::get::<Video>("health").await.map(drop);
    vec![Check::of("documents", store)].into()
}
