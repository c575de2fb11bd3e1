//! A soundtrack that was taken out.

use emporium_sdk::document::Document;
use serde::{Deserialize, Serialize};

/// A soundtrack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Audio {
    pub(crate) audio_id: String,
    pub(crate) video_id: String,
    /// Who uploaded the video.
    pub(crate) username: String,
    pub(crate) file_name: String,
    pub(crate) digest: String,
    pub(crate) size_bytes: u64,
    pub(crate) media_type: String,
    /// `aac`, `mp3`, `opus` or `vorbis`: what it was in the video.
    pub(crate) codec: String,
    pub(crate) sample_rate_hz: u32,
    pub(crate) channels: u16,
    pub(crate) duration_ms: u64,
}

impl Document for Audio {
    const COLLECTION: &'static str = "audios";

    fn key(&self) -> String {
        self.audio_id.clone()
    }

    fn blobs(&self) -> Vec<String> {
        vec![self.digest.clone()]
    }
}

/// What to call the soundtrack of a video of this name.
pub(crate) fn file_name(video: &str, extension: &str) -> String {
    let stem = video.rsplit_once('.').map_or(video, |(stem, _)| stem);
    match stem {
        "" => format!("soundtrack.{extension}"),
        stem => format!("{stem}.{extension}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soundtrack_is_called_as_its_video() {
        for (video, audio) in [
            ("talk.mp4", "talk.m4a"),
            ("my.talk.mkv", "my.talk.m4a"),
            ("talk", "talk.m4a"),
            (".mp4", "soundtrack.m4a"),
            ("", "soundtrack.m4a"),
        ] {
            assert_eq!(file_name(video, "m4a"), audio);
        }
    }
}
