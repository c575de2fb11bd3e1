//! `POST /dither/images/{uuid}/{channels}`: asks for a version.

use axum::{
    Json,
    extract::Path,
    response::{IntoResponse as _, Response},
};
use emporium_sdk::{
    document, extract::Query, image_events::DitherRequested, problem::Problem, trace::Trace,
    unit::Unit,
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    SERVICE,
    dither::{Dither, Recipe},
    read::{DitherView, Options, find_source, parse_recipe},
};

/// A version that is being made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Pending {
    uuid: String,
    /// Levels per colour channel.
    channels: u32,
    method: &'static str,
    status: &'static str,
    /// Where the picture will be.
    url_dither: String,
}

impl From<Recipe> for Pending {
    fn from(recipe: Recipe) -> Self {
        Self {
            url_dither: recipe.path(),
            channels: recipe.levels.get(),
            method: recipe.method.name(),
            uuid: recipe.uuid,
            status: "PENDING",
        }
    }
}

/// Ask for a version. It is made in the background; one that is there is
/// answered at once.
#[utoipa::path(post, path = "/dither/images/{uuid}/{channels}", tag = "dithering",
    params(("uuid" = String, Path), ("channels" = u32, Path, minimum = 2, maximum = 256), Options),
    responses(
        (status = 200, body = DitherView, description = "It is there"),
        (status = 202, body = Pending, headers(("Location" = String))),
        (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem, description = "The image cannot be decoded")))]
pub(crate) async fn request(
    Path((uuid, channels)): Path<(String, String)>,
    Query(options): Query<Options>,
    trace: Trace,
) -> Result<Response, Problem> {
    let recipe = parse_recipe(&uuid, &channels, &options)?;
    let source = find_source(&recipe.uuid).await?;
    if let Some(failure) = source.value.failure {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "malformed",
            failure,
        ));
    }
    if let Some(there) = document::get::<Dither>(recipe.key()).await? {
        return Ok(Json(DitherView::from(there.value)).into_response());
    }
    let mut unit = Unit::new(SERVICE, trace);
    unit.publish(&DitherRequested {
        uuid: recipe.uuid.clone(),
        channels: recipe.levels.get(),
        method: recipe.method.name().into(),
    })?;
    unit.commit().await?;
    let location = HeaderValue::from_str(&recipe.path()).map_err(Problem::internal)?;
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(Pending::from(recipe)),
    )
        .into_response())
}
