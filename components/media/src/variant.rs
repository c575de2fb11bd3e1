//! `GET /images/{uuid}/file`: an image in the size and format a caller wants,
//! made once and kept.

use axum::{extract::Path, response::Response};
use emporium_sdk::{
    blob, blobs,
    document::{self, Document, Listing, Order, Selection, Stored},
    download::{Disposition, Download},
    extract::Query,
    journal::CommitError,
    problem::Problem,
    trace::Trace,
    unit::Unit,
};
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};

use crate::{
    SERVICE,
    image::Image,
    read::find,
    shape::{InvalidWish, Shape, Wish},
    upload::refusal,
};

/// The width of the small version that is made on upload.
pub(crate) const THUMBNAIL: u32 = 480;

/// The most variants that are kept of one image; more are made for each request,
/// so that a caller who asks for every size fills no disk.
const KEPT: u32 = 64;

/// Originals are at most as large as an upload.
pub(crate) const ORIGINAL_LIMIT: u64 = 8_000_000;

/// A version of an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Variant {
    /// The uuid of the image and the name of the shape.
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) content_type: String,
    pub(crate) size_bytes: u64,
}

impl Document for Variant {
    const COLLECTION: &'static str = "variants";

    fn key(&self) -> String {
        self.name.clone()
    }

    fn blobs(&self) -> Vec<String> {
        vec![self.digest.clone()]
    }
}

/// Serve an image resized and converted; without EXIF, upright.
#[utoipa::path(get, path = "/images/{uuid}/file", tag = "media",
    params(("uuid" = String, Path), Wish),
    responses(
        (status = 200, description = "The picture", content_type = "image/*"),
        (status = 304, description = "The caller has it"),
        (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem, description = "The image cannot be decoded")))]
pub(crate) async fn file(
    Path(uuid): Path<String>,
    Query(wish): Query<Wish>,
    trace: Trace,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let image = find(&uuid).await?.value;
    let shape = wish.parse(&headers, &image.content_type).map_err(invalid)?;
    let variant = match document::get::<Variant>(key(&image, &shape)).await? {
        Some(variant) => variant.value,
        None => make_and_keep(&image, &shape, trace).await?,
    };
    let mut response = Download {
        digest: variant.digest,
        size_bytes: variant.size_bytes,
        content_type: variant.content_type,
        file_name: format!("{}-{}", image.uuid, shape.name()),
        modified_at_ms: image.uploaded_at_ms,
        disposition: Disposition::Inline,
        cache_control: "public, max-age=86400",
    }
    .respond(&headers)?;
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// All kept variants of an image, for the unit that removes them.
pub(crate) async fn kept(uuid: &str) -> Result<Vec<Stored<Variant>>, document::ReadError> {
    let page = document::list::<Variant>(Listing {
        selection: Selection::KeyPrefix(format!("{uuid}/")),
        order: Order::Ascending,
        // Two requests at once may pass the limit a little.
        limit: KEPT * 4,
        cursor: None,
    })
    .await?;
    Ok(page.documents)
}

/// Make a variant and store its content; the document is the caller's to commit.
pub(crate) async fn make(image: &Image, shape: &Shape) -> Result<Variant, Problem> {
    let original = blob::read(&image.digest, ORIGINAL_LIMIT)
        .await?
        .ok_or_else(|| Problem::internal(format!("the original of {} is gone", image.uuid)))?;
    let content = shape.apply(&original).map_err(refusal)?;
    let blob = blobs::put(content).await?;
    Ok(Variant {
        name: key(image, shape),
        digest: blob.digest,
        content_type: shape.content_type().into(),
        size_bytes: blob.size_bytes,
    })
}

async fn make_and_keep(image: &Image, shape: &Shape, trace: Trace) -> Result<Variant, Problem> {
    let variant = make(image, shape).await?;
    if kept(&image.uuid).await?.len() < KEPT as usize {
        let mut unit = Unit::new(SERVICE, trace);
        unit.create(&variant)?;
        match unit.commit().await {
            // Somebody else made the same one meanwhile.
            Ok(_) | Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(variant)
}

fn key(image: &Image, shape: &Shape) -> String {
    format!("{}/{}", image.uuid, shape.name())
}

fn invalid(InvalidWish(member): InvalidWish) -> Problem {
    Problem::bad_request(
        "invalid-query",
        format!("`{member}` is out of range; see the API description"),
    )
    .field(member)
}
