//! A video and what became of it.

use emporium_sdk::document::Document;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What to make of the soundtrack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// As it is in the video, without loss.
    #[default]
    Copy,
    /// Decoded.
    Wav,
}

/// The code of what nobody could take out.
pub(crate) const GIVEN_UP: &str = "given-up";

/// How far a video has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    /// Stored under this SHA-256, waiting for its soundtrack to be taken out.
    Pending { digest: String },
    /// The soundtrack is there; the video is not kept.
    Converted { audio_id: String },
    /// Nobody could take it out; a replay of its dead letter tries again.
    GivenUp { digest: String, reason: String },
    /// It has no soundtrack that can be taken out; the video is not kept.
    Rejected { code: String, reason: String },
}

/// An uploaded video.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Video {
    pub(crate) video_id: String,
    /// Who uploaded it.
    pub(crate) username: String,
    /// The name that the client gave it; may be empty.
    pub(crate) file_name: String,
    pub(crate) size_bytes: u64,
    pub(crate) format: Format,
    pub(crate) progress: Progress,
}

impl Video {
    /// Where its content is, as long as its soundtrack is to be taken out.
    pub(crate) fn digest(&self) -> Option<&str> {
        match &self.progress {
            Progress::Pending { digest } | Progress::GivenUp { digest, .. } => Some(digest),
            Progress::Converted { .. } | Progress::Rejected { .. } => None,
        }
    }
}

impl Document for Video {
    const COLLECTION: &'static str = "videos";

    fn key(&self) -> String {
        self.video_id.clone()
    }

    /// The video itself is needed once. Nothing refers to it afterwards, so it is
    /// swept.
    fn blobs(&self) -> Vec<String> {
        self.digest().map(str::to_owned).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_video_is_kept_until_its_soundtrack_is_there() {
        let mut video = Video {
            video_id: "v".into(),
            username: "admin".into(),
            file_name: String::new(),
            size_bytes: 1,
            format: Format::Copy,
            progress: Progress::Pending { digest: "d".into() },
        };
        assert_eq!(video.blobs(), ["d"]);
        video.progress = Progress::Converted {
            audio_id: "a".into(),
        };
        assert!(video.blobs().is_empty());
        let (digest, reason) = (String::from("d"), String::new());
        video.progress = Progress::GivenUp { digest, reason };
        assert_eq!(video.blobs(), ["d"]);
        let (code, reason) = (String::new(), String::new());
        video.progress = Progress::Rejected { code, reason };
        assert!(video.blobs().is_empty());
    }
}
