//! `GET /download`: a soundtrack, ranged and streamed.

use axum::response::Response;
use emporium_sdk::{
    admin::Admin,
    document::{self, Stored},
    download::{Disposition, Download},
    extract::Query,
    problem::Problem,
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    audio::Audio,
    demo::Demo,
    video::{GIVEN_UP, Progress, Video},
};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Of a soundtrack, or of the video that it was taken out of.
    id: String,
}

/// Download a soundtrack: conditional, ranged, streamed.
#[utoipa::path(get, path = "/download", tag = "soundtrack",
    params(Wanted),
    responses(
        (status = 200, description = "The soundtrack", content_type = "audio/*"),
        (status = 206, description = "A part of it"),
        (status = 304, description = "The caller has it"),
        (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It is not ready yet"),
        (status = 416, body = Problem),
        (status = 422, body = Problem, description = "There is none; the detail says why")),
    security(("admin" = [])))]
pub(crate) async fn download(
    _: Admin,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    serve(wanted, &headers).await
}

/// The same for everybody. It exists only if the variable `demo` is on.
#[utoipa::path(get, path = "/test/download", tag = "soundtrack",
    params(Wanted),
    responses((status = 200, content_type = "audio/*"), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn test_download(
    _: Demo,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    serve(wanted, &headers).await
}

async fn serve(wanted: Wanted, request: &HeaderMap) -> Result<Response, Problem> {
    let audio = find(wanted.id).await?;
    Download {
        digest: audio.value.digest,
        size_bytes: audio.value.size_bytes,
        content_type: audio.value.media_type,
        file_name: audio.value.file_name,
        modified_at_ms: audio.updated_at_ms,
        disposition: Disposition::Attachment,
        // The soundtrack of a video never changes, but not everybody may hear it.
        cache_control: "private, max-age=31536000, immutable",
    }
    .respond(request)
}

/// The soundtrack of this id, or that of the video of this id.
async fn find(id: String) -> Result<Stored<Audio>, Problem> {
    let unknown = || Problem::not_found("no-such-audio", "there is no soundtrack of this id");
    if let Some(audio) = document::get::<Audio>(&id).await? {
        return Ok(audio);
    }
    let video = document::get::<Video>(&id).await?.ok_or_else(unknown)?;
    match video.value.progress {
        Progress::Converted { audio_id } => {
            document::get::<Audio>(audio_id).await?.ok_or_else(unknown)
        }
        Progress::Pending { .. } => Err(Problem::new(
            StatusCode::CONFLICT,
            "not-ready",
            "the soundtrack has not been taken out yet; try again soon",
        )),
        Progress::Rejected { code, reason } => Err(none(code, reason)),
        Progress::GivenUp { reason, .. } => Err(none(GIVEN_UP.into(), reason)),
    }
}

fn none(code: String, reason: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, reason)
}
