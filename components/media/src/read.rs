//! `GET /images` and `GET /images/{uuid}`.

use axum::{
    Json,
    extract::Path,
    response::{IntoResponse as _, Response},
};
use emporium_sdk::{
    document::{self, Listing, Order, Selection, Stored},
    extract::Query,
    paging::{PageOf, Paging},
    problem::Problem,
};
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::image::{Image, Status, Step, range};

/// An image as callers see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImageView {
    uuid: String,
    /// The name that the client gave it.
    filename: String,
    status: Status,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The path of the original.
    url: String,
    /// The path of a small version.
    url_thumbnail: String,
    /// The path of the dithered version.
    #[serde(skip_serializing_if = "Option::is_none")]
    url_dither: Option<String>,
    /// Pixels.
    width: u32,
    height: u32,
    content_type: String,
    size_bytes: u64,
    /// The states it went through, with times.
    history: Vec<Step>,
}

impl From<Image> for ImageView {
    fn from(image: Image) -> Self {
        Self {
            url: original_path(&image),
            url_thumbnail: format!(
                "/images/{}/file?w={}",
                image.uuid,
                crate::variant::THUMBNAIL
            ),
            uuid: image.uuid,
            filename: image.filename,
            status: image.status,
            reason: image.reason,
            url_dither: image.url_dither,
            width: image.width,
            height: image.height,
            content_type: image.content_type,
            size_bytes: image.size_bytes,
            history: image.history,
        }
    }
}

/// Where the original of an image is served.
pub(crate) fn original_path(image: &Image) -> String {
    format!("/api/v1/file/{}", image.file_name)
}

/// Read an image that callers name.
pub(crate) async fn find(uuid: &str) -> Result<Stored<Image>, Problem> {
    let key = uuid::Uuid::try_parse(uuid).map_err(|_| no_such_image())?;
    document::get(key.to_string())
        .await?
        .ok_or_else(no_such_image)
}

fn no_such_image() -> Problem {
    Problem::not_found("no-such-image", "there is no image of this uuid")
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Only images in this state.
    status: Option<String>,
}

/// List images, the latest upload first.
#[utoipa::path(get, path = "/images", tag = "media", params(Filter, Paging),
    responses((status = 200, body = PageOf<ImageView>), (status = 400, body = Problem)))]
pub(crate) async fn list(
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Response, Problem> {
    let status = match filter.status.as_deref() {
        None => None,
        Some(name) => Some(Status::parse(name).ok_or_else(|| {
            Problem::bad_request("invalid-query", format!("`{name}` is not a status"))
                .field("status")
        })?),
    };
    let page = document::list::<Image>(Listing {
        selection: Selection::Within(range(status)),
        order: Order::Descending,
        limit: paging.limit,
        cursor: paging.cursor.clone(),
    })
    .await?;
    let images = page
        .documents
        .into_iter()
        .map(|stored| ImageView::from(stored.value));
    Ok(paging.page(images.collect(), page.next))
}

/// Look at an image.
#[utoipa::path(get, path = "/images/{uuid}", tag = "media",
    params(("uuid" = String, Path)),
    responses((status = 200, body = ImageView), (status = 404, body = Problem)))]
pub(crate) async fn get(Path(uuid): Path<String>) -> Result<Response, Problem> {
    let image = find(&uuid).await?;
    let etag =
        HeaderValue::from_str(&format!("\"{}\"", image.version)).map_err(Problem::internal)?;
    Ok(([(header::ETAG, etag)], Json(ImageView::from(image.value))).into_response())
}
