//! `GET /api/v1/file/{file_name}`: files as they came.

use axum::{extract::Path, response::Response};
use emporium_sdk::{
    document,
    download::{Disposition, Download},
    extract::Query,
    problem::Problem,
};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::file::{File, is_file_name};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Options {
    /// Offer to save the file instead of showing it.
    #[serde(default)]
    download: bool,
}

/// An SVG can have scripts and links. Shown by itself, it may run none and load
/// nothing, and is of no origin; in an `img` it never could.
const SVG_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");

/// Serve a file: conditional, ranged, streamed.
#[utoipa::path(get, path = "/api/v1/file/{file_name}", tag = "media",
    params(("file_name" = String, Path, description = "1 to 128 of `A-Z a-z 0-9 . _ -`"), Options),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream"),
        (status = 206, description = "A part of it"),
        (status = 304, description = "The caller has it"),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 416, body = Problem)))]
pub(crate) async fn file(
    Path(file_name): Path<String>,
    Query(options): Query<Options>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !is_file_name(&file_name) {
        return Err(Problem::bad_request(
            "invalid-file-name",
            "a file name has 1 to 128 characters from `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`",
        ));
    }
    let file = document::get::<File>(file_name)
        .await?
        .ok_or_else(|| Problem::not_found("no-such-file", "there is no file of this name"))?;
    let is_svg = file.value.content_type == "image/svg+xml";
    let mut response = Download {
        digest: file.value.digest,
        size_bytes: file.value.size_bytes,
        content_type: file.value.content_type,
        file_name: file.value.title,
        modified_at_ms: file.updated_at_ms,
        disposition: match options.download {
            true => Disposition::Attachment,
            false => Disposition::Inline,
        },
        // A file name is never given to other content.
        cache_control: "public, max-age=31536000, immutable",
    }
    .respond(&headers)?;
    if is_svg {
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, SVG_POLICY);
    }
    Ok(response)
}
