//! `GET /soundtrack/videos/{video_id}`: how far a video has come.

use axum::{Json, extract::Path};
use emporium_sdk::{admin::Admin, document, problem::Problem};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    audio::Audio,
    video::{Format, GIVEN_UP, Progress, Video},
};

/// A video as callers see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VideoView {
    video_id: String,
    username: String,
    /// The name that the client gave it.
    file_name: String,
    size_bytes: u64,
    format: Format,
    /// `pending`, `converted`, `rejected` or `failed`.
    status: &'static str,
    /// Why it was rejected or failed: a name, then in words.
    code: Option<String>,
    reason: Option<String>,
    audio: Option<AudioView>,
}

/// A soundtrack as callers see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AudioView {
    audio_id: String,
    /// Where it can be downloaded.
    url: String,
    file_name: String,
    media_type: String,
    size_bytes: u64,
    /// What it was in the video.
    codec: String,
    sample_rate_hz: u32,
    channels: u16,
    duration_ms: u64,
}

/// Tell how far a video has come.
#[utoipa::path(get, path = "/soundtrack/videos/{video_id}", tag = "soundtrack",
    params(("video_id" = String, Path)),
    responses((status = 200, body = VideoView), (status = 401, body = Problem),
        (status = 404, body = Problem)),
    security(("admin" = [])))]
pub(crate) async fn status(
    _: Admin,
    Path(video_id): Path<String>,
) -> Result<Json<VideoView>, Problem> {
    let video = document::get::<Video>(video_id)
        .await?
        .ok_or_else(|| Problem::not_found("no-such-video", "there is no video of this id"))?
        .value;
    let mut view = VideoView {
        video_id: video.video_id,
        username: video.username,
        file_name: video.file_name,
        size_bytes: video.size_bytes,
        format: video.format,
        status: "pending",
        code: None,
        reason: None,
        audio: None,
    };
    match video.progress {
        Progress::Pending { .. } => {}
        Progress::Rejected { code, reason } => {
            view.status = "rejected";
            (view.code, view.reason) = (Some(code), Some(reason));
        }
        Progress::GivenUp { reason, .. } => {
            view.status = "failed";
            (view.code, view.reason) = (Some(GIVEN_UP.into()), Some(reason));
        }
        Progress::Converted { audio_id } => {
            view.status = "converted";
            let audio = document::get::<Audio>(audio_id).await?;
            view.audio = audio.map(|audio| AudioView::from(audio.value));
        }
    }
    Ok(Json(view))
}

impl From<Audio> for AudioView {
    fn from(audio: Audio) -> Self {
        Self {
            url: format!("/download?id={}", audio.audio_id),
            audio_id: audio.audio_id,
            file_name: audio.file_name,
            media_type: audio.media_type,
            size_bytes: audio.size_bytes,
            codec: audio.codec,
            sample_rate_hz: audio.sample_rate_hz,
            channels: audio.channels,
            duration_ms: audio.duration_ms,
        }
    }
}
