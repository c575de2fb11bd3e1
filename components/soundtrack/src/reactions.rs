//! What `soundtrack` does when a video was uploaded.

use std::time::Duration;

use emporium_sdk::{
    consumer::{Received, Subscription, Verdict, drain, failure_notice::or_notify},
    deliveries, document,
    soundtrack_events::{AudioExtracted, VideoUploaded},
    unit::Unit,
};

use crate::{
    SERVICE,
    convert::{Rejection, convert},
    video::{Progress, Video},
};

/// One at a time, and others may help. The lease is longer than any handler may
/// run; also how long a video waits when a host dies with it.
const VIDEOS: Subscription = Subscription {
    batch: 1,
    lease: Duration::from_secs(60),
    ..Subscription::new(SERVICE, "video")
};

/// Handle what is due.
pub(crate) async fn react() -> Result<(), deliveries::Error> {
    drain(&VIDEOS, on_video).await
}

async fn on_video(received: &Received) -> Result<Unit, Verdict> {
    let uploaded: VideoUploaded = received.data()?;
    let tell = async |reason: &str| give_up(received, &uploaded.video_id, reason).await;
    or_notify(received, tell, take_out(received, &uploaded.video_id)).await
}

async fn take_out(received: &Received, video_id: &str) -> Result<Unit, Verdict> {
    let mut unit = received.unit();
    let Some(mut video) = document::get::<Video>(video_id).await? else {
        return Ok(unit);
    };
    let Some(digest) = video.value.digest() else {
        // Done before. Whoever is slower loses by the version of the video.
        return Ok(unit);
    };
    video.value.progress = match convert(&video.value, digest).await? {
        Ok(audio) => {
            unit.create(&audio)?;
            unit.publish(&AudioExtracted {
                username: audio.username,
                video_id: audio.video_id,
                audio_id: audio.audio_id.clone(),
            })?;
            Progress::Converted {
                audio_id: audio.audio_id,
            }
        }
        Err(Rejection { code, reason }) => Progress::Rejected {
            code: code.into(),
            reason,
        },
    };
    unit.update(&video)?;
    Ok(unit)
}

/// Tell who waits for the soundtrack; the video is kept for a replay.
async fn give_up(received: &Received, video_id: &str, reason: &str) -> Result<Unit, Verdict> {
    let mut unit = received.unit();
    if let Some(mut video) = document::get::<Video>(video_id).await?
        && let Some(digest) = video.value.digest()
    {
        video.value.progress = Progress::GivenUp {
            digest: digest.to_owned(),
            reason: reason.to_owned(),
        };
        unit.update(&video)?;
    }
    Ok(unit)
}
