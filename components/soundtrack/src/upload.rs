//! `POST /upload`: takes a video in, chunk by chunk.

use axum::{
    Json,
    extract::Request,
    response::{IntoResponse, Response},
};
use emporium_sdk::{
    admin::Admin, extract::Query, problem::Problem, soundtrack_events::VideoUploaded, trace::Trace,
    unit::Unit, upload::store_file,
};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    SERVICE,
    demo::Demo,
    video::{Format, Progress, Video},
};

/// The largest body that is taken.
const BODY_LIMIT: usize = 64_000_000;

/// Whose videos those of the administrator are: the token names nobody.
const ADMINISTRATOR: &str = "admin";

/// Whose videos those of the test route are.
const TESTER: &str = "test";

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Options {
    /// `copy`, without loss, or `wav`.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// A video that was taken in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    video_id: String,
}

/// Take in a video. Its soundtrack follows soon, or the reason why there is none.
#[utoipa::path(post, path = "/upload", tag = "soundtrack",
    params(Options),
    request_body(content_type = "multipart/form-data", content = String,
        description = "A video of at most 64 MB in the field `file`"),
    responses(
        (status = 202, body = Accepted, headers(("Location" = String))),
        (status = 400, body = Problem, description = "No file, or a broken body"),
        (status = 401, body = Problem),
        (status = 413, body = Problem, description = "Over 64 MB")),
    security(("admin" = [])))]
pub(crate) async fn upload(
    _: Admin,
    trace: Trace,
    Query(options): Query<Options>,
    request: Request,
) -> Result<Response, Problem> {
    accept(ADMINISTRATOR, options, trace, request).await
}

/// The same for everybody. It exists only if the variable `demo` is on.
#[utoipa::path(post, path = "/test/upload", tag = "soundtrack",
    params(Options),
    request_body(content_type = "multipart/form-data", content = String),
    responses((status = 202, body = Accepted), (status = 404, body = Problem)))]
pub(crate) async fn test_upload(
    _: Demo,
    trace: Trace,
    Query(options): Query<Options>,
    request: Request,
) -> Result<Response, Problem> {
    accept(TESTER, options, trace, request).await
}

async fn accept(
    username: &str,
    options: Options,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    let Some(file) = store_file(request, "file", BODY_LIMIT).await? else {
        return Err(Problem::bad_request(
            "no-file",
            "the body has no file in the field `file`, or an empty one",
        )
        .field("file"));
    };
    let video = Video {
        video_id: Uuid::now_v7().to_string(),
        username: username.into(),
        file_name: file.name,
        size_bytes: file.blob.size_bytes,
        format: options.format,
        progress: Progress::Pending {
            digest: file.blob.digest,
        },
    };
    let mut unit = Unit::new(SERVICE, trace);
    unit.create(&video)?;
    unit.publish(&VideoUploaded {
        username: video.username,
        video_id: video.video_id.clone(),
        audio_id: None,
    })?;
    unit.commit().await?;
    let location = format!("/soundtrack/videos/{}", video.video_id);
    let location = HeaderValue::from_str(&location).map_err(Problem::internal)?;
    let accepted = Accepted {
        video_id: video.video_id,
    };
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(accepted),
    )
        .into_response())
}
