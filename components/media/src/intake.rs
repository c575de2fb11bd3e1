//! What `media` does when somebody found a picture or sound: fetches it once,
//! converts it where that is possible, and tells.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use emporium_sdk::{
    blobs,
    catalog_events::{MediaFailed, MediaStored, PokemonMediaFound},
    consumer::{Policy, Received, Subscription, Verdict, failure_notice::or_notify},
    document,
    unit::Unit,
};

use crate::{
    SERVICE,
    fetch::{FetchError, Settings, fetch},
    fetched::{Fetched, Outcome, Stored},
    file::{File, is_file_name},
    kind::Kind,
    pictures::{self, Encoding},
};

/// Waiting for servers: many at once, as many as memory has room for.
pub(crate) const FOUND: Subscription = Subscription {
    policy: Policy {
        max_attempts: 5,
        backoff_cap_ms: 20_000,
        pause_after: 0,
        ..Subscription::new(SERVICE, "").policy
    },
    batch: 32,
    lease: Duration::from_secs(50),
    ..Subscription::new(SERVICE, "pokemon-media-event")
};

/// How long what is not there is not asked for again.
const NEGATIVE_MS: u64 = 3_600_000;

/// Why a GIF of several pictures is kept as it came.
const ANIMATED: &str = "it is animated, and would lose all pictures but one";

pub(crate) async fn on_found(received: &Received) -> Result<Unit, Verdict> {
    let found: PokemonMediaFound = received.data()?;
    if !is_file_name(&found.media_id) {
        return Err(Verdict::reject("the media id can be no file name"));
    }
    let known = document::get::<Fetched>(&found.media_id).await?;
    match known.map(|known| known.value.outcome) {
        Some(Outcome::Stored(stored)) => return tell_stored(received, &found, stored),
        Some(Outcome::Failed { reason, until_ms }) if until_ms > now_ms() => {
            return tell_failed(received, &found, reason);
        }
        _ => {}
    }
    let tell = async |reason: &str| tell_failed(received, &found, reason.to_owned());
    or_notify(received, tell, bring(received, &found)).await
}

async fn bring(received: &Received, found: &PokemonMediaFound) -> Result<Unit, Verdict> {
    let settings = Settings::get().await.map_err(Verdict::retry)?;
    match fetch(&found.url, &settings).await {
        Ok(content) => take_in(received, found, content).await,
        Err(FetchError::Prohibited(reason)) => tell_failed(received, found, reason),
        Err(FetchError::Useless(reason)) => give_up(received, found, reason),
        Err(FetchError::Away(reason)) => Err(Verdict::retry(reason)),
    }
}

/// Keep what was fetched.
async fn take_in(
    received: &Received,
    found: &PokemonMediaFound,
    content: Bytes,
) -> Result<Unit, Verdict> {
    let Some(kind) = Kind::of(&content) else {
        let reason = "it is neither PNG, JPEG, GIF, WebP, SVG nor OGG, whatever it is called";
        return give_up(received, found, reason.into());
    };
    let (kind, content, conversion_error) = convert(kind, content);
    let properties = pictures::probe(&content).ok();
    let stored = Stored {
        file_name: format!("{}.{}", found.media_id, kind.extension()),
        content_type: kind.content_type().into(),
        width: properties.as_ref().map(|properties| properties.width),
        height: properties.as_ref().map(|properties| properties.height),
        conversion_error,
    };
    let blob = blobs::put(content.into()).await?;
    let mut unit = tell_stored(received, found, stored.clone())?;
    unit.overwrite(&File {
        file_name: stored.file_name.clone(),
        title: title(found, kind),
        digest: blob.digest,
        content_type: stored.content_type.clone(),
        size_bytes: blob.size_bytes,
    })?;
    unit.overwrite(&Fetched {
        media_id: found.media_id.clone(),
        url: found.url.clone(),
        outcome: Outcome::Stored(stored),
    })?;
    Ok(unit)
}

/// Pictures become WebP, without loss. What cannot be converted is kept as it
/// came, and says why.
fn convert(kind: Kind, content: Bytes) -> (Kind, Bytes, Option<String>) {
    if kind == Kind::AnimatedGif {
        return (kind, content, Some(ANIMATED.into()));
    }
    if !kind.is_converted() {
        return (kind, content, None);
    }
    match pictures::convert(&content, Encoding::Webp) {
        Ok(picture) => (Kind::Webp, picture.content.into(), None),
        Err(error) => (kind, content, Some(error.to_string())),
    }
}

/// Remember that there is nothing to keep, and tell.
fn give_up(
    received: &Received,
    found: &PokemonMediaFound,
    reason: String,
) -> Result<Unit, Verdict> {
    let mut unit = tell_failed(received, found, reason.clone())?;
    unit.overwrite(&Fetched {
        media_id: found.media_id.clone(),
        url: found.url.clone(),
        outcome: Outcome::Failed {
            reason,
            until_ms: now_ms() + NEGATIVE_MS,
        },
    })?;
    Ok(unit)
}

fn tell_stored(
    received: &Received,
    found: &PokemonMediaFound,
    stored: Stored,
) -> Result<Unit, Verdict> {
    let mut unit = received.unit();
    unit.publish(&MediaStored {
        ingest: found.ingest.clone(),
        species_id: found.species_id,
        pokemon_name: found.pokemon_name.clone(),
        url: found.url.clone(),
        media_id: found.media_id.clone(),
        src: format!("/api/v1/file/{}", stored.file_name),
        file_name: stored.file_name,
        content_type: stored.content_type,
        width: stored.width,
        height: stored.height,
        conversion_error: stored.conversion_error,
    })?;
    Ok(unit)
}

fn tell_failed(
    received: &Received,
    found: &PokemonMediaFound,
    reason: String,
) -> Result<Unit, Verdict> {
    let mut unit = received.unit();
    unit.publish(&MediaFailed {
        ingest: found.ingest.clone(),
        species_id: found.species_id,
        pokemon_name: found.pokemon_name.clone(),
        url: found.url.clone(),
        media_id: found.media_id.clone(),
        reason,
    })?;
    Ok(unit)
}

/// What to call the file when it is saved, for instance
/// `bulbasaur-front-default.webp`.
fn title(found: &PokemonMediaFound, kind: Kind) -> String {
    let words = found
        .description
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let mut title = found.pokemon_name.clone();
    for word in words {
        title.push('-');
        title.push_str(word);
    }
    format!("{title}.{}", kind.extension())
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_file_is_called_after_what_it_shows() {
        let found = PokemonMediaFound {
            ingest: String::new(),
            pokemon_name: "mr-mime".into(),
            species_id: 122,
            pokemon_id: 122,
            description: "official artwork, front default".into(),
            url: String::new(),
            media_id: String::new(),
        };
        assert_eq!(
            title(&found, Kind::Webp),
            "mr-mime-official-artwork-front-default.webp"
        );
    }
}
