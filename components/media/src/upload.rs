//! `POST /images`: takes a picture in.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::{
    Json,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use emporium_sdk::{
    blobs, document, idempotency,
    image_events::ImageUploaded,
    journal::CommitError,
    problem::Problem,
    trace::Trace,
    unit::Unit,
    upload::{Found, UploadedFile, first_file},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use uuid::Uuid;

use crate::{
    SERVICE,
    file::File,
    image::{Image, Status},
    pictures::{self, Format, Properties},
    read::{ImageView, original_path},
};

/// The largest body that is taken.
const BODY_LIMIT: usize = 8_000_000;

/// Take in the first acceptable picture of a multipart body.
///
/// With an `Idempotency-Key`, the same upload again gets the same image.
#[utoipa::path(post, path = "/images", tag = "media",
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible characters")),
    request_body(content_type = "multipart/form-data", content = String,
        description = "A PNG, JPEG, GIF or WebP of at most 8 MB and 50 megapixels, under any field name"),
    responses(
        (status = 201, body = ImageView, headers(("Location" = String))),
        (status = 400, body = Problem, description = "No file, or a broken body"),
        (status = 413, body = Problem, description = "Over 8 MB"),
        (status = 415, body = Problem, description = "No picture"),
        (status = 422, body = Problem, description = "A picture that is too large, or an `Idempotency-Key` used for another")))]
pub(crate) async fn upload(
    trace: Trace,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let uuid = idempotency::identity(&headers)?;
    let is_picture = |content: &[u8]| {
        !matches!(
            pictures::probe(content),
            Err(pictures::Error::UnrecognisedFormat)
        )
    };
    let file = match first_file(request, BODY_LIMIT, is_picture).await? {
        Found::File(file) => file,
        Found::Unacceptable => {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unrecognised-format",
                "a PNG, JPEG, GIF or WebP is needed, whatever its name",
            ));
        }
        Found::Nothing => {
            return Err(Problem::bad_request("no-file", "the body has no file part").field("file"));
        }
    };
    let image = store(uuid, file, trace).await?;
    let location =
        HeaderValue::from_str(&format!("/images/{}", image.uuid)).map_err(Problem::internal)?;
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(ImageView::from(image)),
    )
        .into_response())
}

async fn store(uuid: Uuid, file: UploadedFile, trace: Trace) -> Result<Image, Problem> {
    let properties = match pictures::probe(&file.content) {
        // A damaged picture is taken in, and fails where it is decoded: the
        // uploader sees it with its reason.
        Err(pictures::Error::Malformed(_)) => None,
        probed => Some(probed.map_err(refusal)?),
    };
    let blob = blobs::put(file.content).await?;
    let image = describe(uuid, file.name, &blob, properties.as_ref());
    let mut unit = Unit::new(SERVICE, trace);
    unit.create(&image)?;
    unit.create(&File {
        file_name: image.file_name.clone(),
        title: image.filename.clone(),
        digest: image.digest.clone(),
        content_type: image.content_type.clone(),
        size_bytes: image.size_bytes,
    })?;
    unit.publish(&ImageUploaded {
        uuid: image.uuid.clone(),
        filename: image.filename.clone(),
        url: original_path(&image),
        digest: image.digest.clone(),
    })?;
    match unit.commit().await {
        Ok(_) => Ok(image),
        Err(CommitError::Conflict(_)) => same_upload(image).await,
        Err(error) => Err(error.into()),
    }
}

/// The image that an earlier request with the same `Idempotency-Key` made.
async fn same_upload(again: Image) -> Result<Image, Problem> {
    match document::get::<Image>(again.uuid).await? {
        Some(before) if before.value.digest == again.digest => Ok(before.value),
        _ => Err(idempotency::reused()),
    }
}

fn describe(
    uuid: Uuid,
    name: String,
    blob: &blobs::Blob,
    properties: Option<&Properties>,
) -> Image {
    let (extension, content_type) = match properties.map(|properties| properties.format) {
        Some(Format::Png) => ("png", "image/png"),
        Some(Format::Jpeg) => ("jpg", "image/jpeg"),
        Some(Format::Gif) => ("gif", "image/gif"),
        Some(Format::Webp) => ("webp", "image/webp"),
        None => ("bin", "application/octet-stream"),
    };
    let file_name = format!("{uuid}.{extension}");
    let mut image = Image {
        uuid: uuid.to_string(),
        filename: if name.is_empty() {
            file_name.clone()
        } else {
            name
        },
        status: Status::Pending,
        reason: None,
        history: Vec::new(),
        digest: blob.digest.clone(),
        content_type: content_type.into(),
        file_name,
        size_bytes: blob.size_bytes,
        width: properties.map_or(0, |properties| properties.width),
        height: properties.map_or(0, |properties| properties.height),
        uploaded_at_ms: now_ms(),
        url_dither: None,
    };
    image.enter(Status::Pending, None);
    image
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

/// The answer to a picture that is refused.
pub(crate) fn refusal(error: pictures::Error) -> Problem {
    use pictures::Error;
    let unprocessable =
        |code, detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
    match error {
        Error::UnrecognisedFormat => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unrecognised-format",
            "neither PNG, JPEG, GIF nor WebP",
        ),
        Error::Malformed(reason) => unprocessable("malformed", reason),
        Error::TooManyPixels(pixels) => unprocessable(
            "too-many-pixels",
            format!("the picture has {pixels} pixels of at most 50 million"),
        ),
        Error::TooMuchMemory(bytes) => unprocessable(
            "too-much-memory",
            format!("decoding the picture takes {bytes} bytes of at most 256 MiB"),
        ),
        Error::InvalidBounds => Problem::bad_request(
            "invalid-bounds",
            "`w` and `h` are from 1 to 4096, and one of them is needed with `fit`",
        ),
        Error::InvalidQuality => {
            Problem::bad_request("invalid-quality", "`q` is from 1 to 100").field("q")
        }
        Error::InvalidLevels => Problem::bad_request("invalid-levels", "levels are from 2 to 256"),
        Error::Other(cause) => Problem::internal(cause),
    }
}
