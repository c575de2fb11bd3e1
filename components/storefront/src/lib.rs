#![doc = include_str!("../README.md")]

mod assets;
mod card;
mod catalog;
mod chart;
mod food;
mod gallery;
mod layout;
mod media;
mod neighbour;
mod query;
mod species_list;
mod species_page;
mod words;

use axum::{
    Router,
    response::Response,
    routing::{get, post},
};
use emporium_sdk::service;
use http::StatusCode;

service! {
    routes: service::finish(
        Router::new()
            .route("/", get(gallery::show).post(gallery::upload))
            .route("/gallery/{uuid}", get(gallery::one))
            .route("/gallery/{uuid}/card", get(gallery::card))
            .route("/gallery/{uuid}/delete", post(gallery::delete))
            .route("/species", get(species_list::show))
            .route("/species/{name}", get(species_page::show))
            .route("/food", get(food::list))
            .route("/food/{barcode}", get(food::one))
            .route("/static/{name}", get(assets::serve)),
    )
    .fallback(not_found),
}

async fn not_found() -> Response {
    layout::message(
        StatusCode::NOT_FOUND,
        "Nothing here",
        "No page has this address. It may have moved, or never was.",
    )
}
