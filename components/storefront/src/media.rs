//! The public API of `media`, as far as the pages need it.

use axum::body::Body;
use emporium_sdk::extract::read_body;
use http::{Method, Request, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use spin_sdk::http::send;

const ORIGIN: &str = "http://media.spin.internal";

/// The most bytes of an answer that are read.
const ANSWER_LIMIT: usize = 4 << 20;

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

/// Why `media` did not do what was asked.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// In words, for the visitor.
    pub(crate) detail: String,
}

/// Read a page of images; `query` is passed on.
pub(crate) async fn list(query: &str) -> Result<Page, Refusal> {
    ask(
        Method::GET,
        &format!("/images?{query}"),
        None,
        Body::empty(),
    )
    .await
}

/// Read an image.
pub(crate) async fn get(uuid: &str) -> Result<Image, Refusal> {
    ask(Method::GET, &path(uuid)?, None, Body::empty()).await
}

/// Pass an upload on, as it comes in.
pub(crate) async fn upload(content_type: &str, body: Body) -> Result<Image, Refusal> {
    ask(Method::POST, "/images", Some(content_type), body).await
}

/// Schedule an image for deletion.
pub(crate) async fn delete(uuid: &str) -> Result<(), Refusal> {
    let path = path(uuid)?;
    exchange(Method::DELETE, &path, None, Body::empty())
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

async fn ask<T: DeserializeOwned>(
    method: Method,
    path: &str,
    content_type: Option<&str>,
    body: Body,
) -> Result<T, Refusal> {
    let answer = exchange(method, path, content_type, body).await?;
    serde_json::from_slice(&answer).map_err(away)
}

async fn exchange(
    method: Method,
    path: &str,
    content_type: Option<&str>,
    body: Body,
) -> Result<bytes::Bytes, Refusal> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{ORIGIN}{path}"));
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    let request = request.body(body).map_err(away)?;
    let response = send(request).await.map_err(away)?;
    let status = response.status();
    let answer = read_body(Body::new(response.into_body()), ANSWER_LIMIT)
        .await
        .map_err(|problem| away(problem.detail()))?;
    if status.is_success() {
        return Ok(answer);
    }
    let detail = serde_json::from_slice::<serde_json::Value>(&answer)
        .ok()
        .and_then(|problem| Some(problem.get("detail")?.as_str()?.to_owned()))
        .unwrap_or_else(|| "The picture service could not do that.".into());
    Err(Refusal { status, detail })
}

fn away(cause: impl std::fmt::Display) -> Refusal {
    eprintln!("`media` does not answer: {cause}");
    Refusal {
        status: StatusCode::SERVICE_UNAVAILABLE,
        detail: "The picture service does not answer. Please try again.".into(),
    }
}
