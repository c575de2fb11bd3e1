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

use emporium_sdk::{
    health::{Check, Health},
    service,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::image::Image;

/// The component id: the source of its events, the name of its subscriptions.
const SERVICE: &str = "media";

emporium_sdk::world!("media");

use bindings::emporium::imaging::pictures;

service! {
    routes: service::routes(
        OpenApiRouter::new()
            .routes(routes!(upload::upload, read::list))
            .routes(routes!(read::get, deletion::delete))
            .routes(routes!(variant::file))
            .routes(routes!(reprocess::reprocess))
            .routes(routes!(files::file))
            .routes(routes!(health)),
    ),
    wakes: reactions::react(),
}

/// Whether images can be stored and read.
#[utoipa::path(get, path = "/media/health", tag = "media",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn health() -> Health {
    let settings = fetch::Settings::get().await.map(drop);
    vec![
        Check::of_documents::<Image>().await,
        Check::of_variables(settings),
    ]
    .into()
}
