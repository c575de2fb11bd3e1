//! `GET /dither/images…`: the results.

use axum::{Json, extract::Path, response::Response};
use emporium_sdk::{
    document::{self, Listing, Order, Selection, Stored},
    download::{Disposition, Download},
    extract::Query,
    paging::{PageOf, Paging},
    problem::Problem,
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    dither::{Dither, Levels, Method, Recipe},
    source::Source,
};

/// A result as callers see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DitherView {
    uuid: String,
    /// Levels per colour channel.
    channels: u32,
    /// `floyd-steinberg`, `bayer` or `atkinson`.
    method: &'static str,
    /// The path of the picture.
    url_dither: String,
    /// Pixels.
    width: u32,
    height: u32,
    size_bytes: u64,
}

impl From<Dither> for DitherView {
    fn from(dither: Dither) -> Self {
        Self {
            url_dither: dither.recipe().path(),
            channels: dither.levels.get(),
            method: dither.method.name(),
            uuid: dither.uuid,
            width: dither.width,
            height: dither.height,
            size_bytes: dither.size_bytes,
        }
    }
}

/// Read what is known of an image that callers name.
pub(crate) async fn find_source(uuid: &str) -> Result<Stored<Source>, Problem> {
    document::get(uuid)
        .await?
        .ok_or_else(|| Problem::not_found("no-such-image", "there is no image of this uuid"))
}

/// All results of an image.
///
/// There are at most 255 levels times three methods, so the loop ends.
pub(crate) async fn all_of(uuid: &str) -> Result<Vec<Stored<Dither>>, document::ReadError> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let page = document::list::<Dither>(Listing {
            selection: Selection::KeyPrefix(format!("{uuid}/")),
            order: Order::Ascending,
            limit: 500,
            cursor,
        })
        .await?;
        all.extend(page.documents);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

/// List all results, grouped by image.
#[utoipa::path(get, path = "/dither/images", tag = "dithering", params(Paging),
    responses((status = 200, body = PageOf<DitherView>), (status = 400, body = Problem)))]
pub(crate) async fn list_all(paging: Paging) -> Result<Response, Problem> {
    let page = document::list::<Dither>(Listing {
        selection: Selection::Every,
        order: Order::Descending,
        limit: paging.limit,
        cursor: paging.cursor.clone(),
    })
    .await?;
    let dithers = page
        .documents
        .into_iter()
        .map(|stored| DitherView::from(stored.value));
    Ok(paging.page(dithers.collect(), page.next))
}

/// List the results of one image.
#[utoipa::path(get, path = "/dither/images/{uuid}", tag = "dithering",
    params(("uuid" = String, Path)),
    responses((status = 200, body = Vec<DitherView>), (status = 404, body = Problem)))]
pub(crate) async fn list(Path(uuid): Path<String>) -> Result<Json<Vec<DitherView>>, Problem> {
    let source = find_source(&uuid).await?;
    let dithers = all_of(&source.value.uuid).await?;
    Ok(Json(
        dithers
            .into_iter()
            .map(|stored| stored.value.into())
            .collect(),
    ))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Options {
    /// `floyd-steinberg`, `bayer` or `atkinson`; the first if absent.
    method: Option<String>,
    /// Of a file: the small version, 480 pixels wide.
    #[serde(default)]
    preview: bool,
}

/// Read the version that a path and query name.
pub(crate) fn parse_recipe(
    uuid: &str,
    channels: &str,
    options: &Options,
) -> Result<Recipe, Problem> {
    let levels = Levels::parse(channels).ok_or_else(|| {
        Problem::bad_request("invalid-levels", "levels per channel are from 2 to 256")
            .field("channels")
    })?;
    let method = Method::parse(options.method.as_deref()).ok_or_else(|| {
        Problem::bad_request(
            "invalid-method",
            "a method is `floyd-steinberg`, `bayer` or `atkinson`",
        )
        .field("method")
    })?;
    Ok(Recipe {
        uuid: uuid.into(),
        levels,
        method,
    })
}

/// Serve a result: conditional, ranged, streamed.
#[utoipa::path(get, path = "/dither/images/{uuid}/{channels}/file", tag = "dithering",
    params(("uuid" = String, Path), ("channels" = u32, Path, minimum = 2, maximum = 256), Options),
    responses(
        (status = 200, description = "The picture", content_type = "image/png"),
        (status = 206, description = "A part of it"),
        (status = 304, description = "The caller has it"),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 416, body = Problem)))]
pub(crate) async fn file(
    Path((uuid, channels)): Path<(String, String)>,
    Query(options): Query<Options>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let recipe = parse_recipe(&uuid, &channels, &options)?;
    let dither = document::get::<Dither>(recipe.key())
        .await?
        .ok_or_else(|| {
            Problem::not_found(
                "no-such-dither",
                "there is no such version; ask for it with POST on the path without `/file`",
            )
        })?;
    let (digest, size_bytes) = match options.preview {
        true => (dither.value.preview.digest, dither.value.preview.size_bytes),
        false => (dither.value.digest, dither.value.size_bytes),
    };
    Download {
        digest,
        size_bytes,
        content_type: "image/png".into(),
        file_name: format!("{uuid}-{}-{channels}.png", dither.value.method.name()),
        modified_at_ms: dither.updated_at_ms,
        disposition: Disposition::Inline,
        cache_control: "public, max-age=86400",
    }
    .respond(&headers)
}
