#![doc = include_str!("../README.md")]

mod delete;
mod dither;
mod reactions;
mod read;
mod request;
mod source;

use emporium_sdk::{
    health::{Check, Health},
    service,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::source::Source;

/// The component id: the source of its events, the name of its subscriptions.
const SERVICE: &str = "dithering";

emporium_sdk::world!("dithering");

use bindings::emporium::imaging::pictures;

service! {
    routes: service::routes(
        OpenApiRouter::new()
            .routes(routes!(read::list_all))
            .routes(routes!(read::list, delete::delete))
            .routes(routes!(request::request))
            .routes(routes!(read::file))
            .routes(routes!(health)),
    ),
    wakes: reactions::react(),
}

/// Whether results can be stored and read.
#[utoipa::path(get, path = "/dithering/health", tag = "dithering",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn health() -> Health {
    vec![Check::of_documents::<Source>().await].into()
}
