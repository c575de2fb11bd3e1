//! Taking the soundtrack out of a video, piece by piece.

use emporium_sdk::{
    blobs::{self, Upload},
    consumer::Verdict,
};
use uuid::Uuid;

use crate::{
    audio::{Audio, file_name},
    soundtracks::{Codec, Encoding, Error, Extraction, Step},
    video::{Format, Video},
};

/// Over what `audio` makes of any video that is taken in.
const AUDIO_LIMIT: u64 = 600 << 20;

/// Why there is no soundtrack, and never will be.
#[derive(Debug)]
pub(crate) struct Rejection {
    /// The name of the error in the contract of `audio`.
    pub(crate) code: &'static str,
    pub(crate) reason: String,
}

/// Take the soundtrack out of the video stored under `digest`. The inner error
/// says why it never can be.
pub(crate) async fn convert(
    video: &Video,
    digest: &str,
) -> Result<Result<Audio, Rejection>, Verdict> {
    let encoding = match video.format {
        Format::Copy => Encoding::Copy,
        Format::Wav => Encoding::Wav,
    };
    let extraction = Extraction::new(video.size_bytes, encoding);
    let upload = Upload::start(AUDIO_LIMIT).await?;
    let mut found = None;
    loop {
        let step = match extraction.next() {
            Ok(step) => step,
            Err(error) => return reject(error).map(Err),
        };
        match step {
            Step::Need(range) => {
                let piece = blobs::read(digest.into(), range.offset, range.length).await?;
                let piece = piece.ok_or_else(|| Verdict::retry("the video cannot be read"))?;
                extraction.supply(&piece).map_err(Verdict::retry)?;
            }
            Step::Found(track) => found = Some(track),
            Step::Content(content) => upload.write(content).await?,
            Step::Done => break,
        }
    }
    let track = found.ok_or_else(|| Verdict::retry("a soundtrack without a track"))?;
    let blob = Upload::finish(upload).await?;
    Ok(Ok(Audio {
        audio_id: Uuid::now_v7().to_string(),
        video_id: video.video_id.clone(),
        username: video.username.clone(),
        file_name: file_name(&video.file_name, &track.extension),
        digest: blob.digest,
        size_bytes: blob.size_bytes,
        media_type: track.media_type,
        codec: match track.codec {
            Codec::Aac => "aac",
            Codec::Mp3 => "mp3",
            Codec::Opus => "opus",
            Codec::Vorbis => "vorbis",
        }
        .into(),
        sample_rate_hz: track.sample_rate_hz,
        channels: track.channels,
        duration_ms: track.duration_ms,
    }))
}

fn reject(error: Error) -> Result<Rejection, Verdict> {
    let (code, reason) = match error {
        Error::UnsupportedContainer => (
            "unsupported-container",
            "neither MP4, QuickTime, Matroska nor WebM".into(),
        ),
        Error::NoAudioTrack => ("no-audio-track", "the video has no sound".into()),
        Error::UnsupportedCodec(codec) => (
            "unsupported-codec",
            format!("the sound is {codec}, which cannot be taken out in this format"),
        ),
        Error::Malformed(what) => ("malformed", format!("the video is damaged: {what}")),
        Error::TooLarge(what) => ("too-large", format!("too large: {what}")),
        Error::NotAskedFor => return Err(Verdict::retry("the video is shorter than it was")),
        Error::Other(cause) => return Err(Verdict::retry(cause)),
    };
    Ok(Rejection { code, reason })
}
