#![doc = include_str!("../README.md")]

mod audio;
mod convert;
mod demo;
mod download;
mod reactions;
mod status;
mod upload;
mod video;

use emporium_sdk::{
    health::{Check, Health},
    service,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::video::Video;

/// The component id: the source of its events, the name of its subscriptions.
const SERVICE: &str = "soundtrack";

emporium_sdk::world!("soundtrack");

use bindings::emporium::audio::soundtracks;

service! {
    routes: service::routes(
        OpenApiRouter::new()
            .routes(routes!(upload::upload))
            .routes(routes!(upload::test_upload))
            .routes(routes!(download::download))
            .routes(routes!(download::test_download))
            .routes(routes!(status::status))
            .routes(routes!(health)),
    ),
    wakes: reactions::react(),
}

/// Whether videos can be stored and read.
#[utoipa::path(get, path = "/soundtrack/health", tag = "soundtrack",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn health() -> Health {
    vec![Check::of_documents::<Video>().await].into()
}
