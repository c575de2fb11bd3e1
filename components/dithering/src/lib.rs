#![doc = include_str!("../README.md")]

mod delete;
mod dither;
mod reactions;
mod read;
mod request;
mod source;

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

use crate::source::Source;

/// The component id: the source of its events, the name of its subscriptions.
const SERVICE: &str = "dithering";

mod bindings {
    spin_sdk::wit_bindgen::generate!({
        world: "dithering",
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
            .routes(routes!(read::list_all))
            .routes(routes!(read::list, delete::delete))
            .routes(routes!(request::request))
            .routes(routes!(read::file))
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

/// Whether results can be stored and read.
#[utoipa::path(get, path = "/dithering/health", tag = "dithering",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn health() -> Health {
    let store = document::get::<Source>("health").await.map(drop);
    vec![Check::of("documents", store)].into()
}
