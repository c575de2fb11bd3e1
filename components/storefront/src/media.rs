//! The public API of `media`, as far as the pages need it.

use axum::body::Body;
use http::{Method, StatusCode};
use serde::Deserialize;

use crate::neighbour::{Neighbour, Refusal};

const MEDIA: Neighbour = Neighbour {
    id: "media",
    called: "The picture service",
};

/// An image.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Image {
    pub(crate) uuid: String,
    pub(crate) filename: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) url: String,
    pub(crate) url_thumbnail: String,
    pub(crate) url_dither: Option<String>,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) size_bytes: u64,
}

/// A page of images.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) items: Vec<Image>,
    pub(crate) next: Option<String>,
}

/// Read a page of images; `query` is passed on.
pub(crate) async fn list(query: &str) -> Result<Page, Refusal> {
    MEDIA.get(&format!("/images?{query}")).await
}

/// Read an image.
pub(crate) async fn get(uuid: &str) -> Result<Image, Refusal> {
    MEDIA.get(&path(uuid)?).await
}

/// Pass an upload on, as it comes in.
pub(crate) async fn upload(content_type: &str, body: Body) -> Result<Image, Refusal> {
    MEDIA
        .ask(Method::POST, "/images", Some(content_type), body)
        .await
}

/// Schedule an image for deletion.
pub(crate) async fn delete(uuid: &str) -> Result<(), Refusal> {
    let path = path(uuid)?;
    MEDIA
        .exchange(Method::DELETE, &path, None, Body::empty())
        .await
        .map(drop)
}

/// The path of an image. What is no uuid names none, and cannot lead elsewhere.
fn path(uuid: &str) -> Result<String, Refusal> {
    let is_uuid = uuid.len() == 36 && uuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if is_uuid {
        return Ok(format!("/images/{uuid}"));
    }
    Err(Refusal {
        status: StatusCode::NOT_FOUND,
        detail: "There is no such picture.".into(),
    })
}
