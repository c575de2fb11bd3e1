//! What `catalog` does when `media` has fetched a file, or could not.

use emporium_sdk::{
    catalog_events::{MediaFailed, MediaStored},
    consumer::{Received, Verdict},
    document,
    unit::Unit,
};

use crate::{
    ingest::{Part, Piece, State},
    species::{Media, Species},
};

/// Add the file to its species.
pub(crate) async fn on_stored(received: &Received, stored: MediaStored) -> Result<Unit, Verdict> {
    let mut unit = received.unit();
    let conversion_error = stored.conversion_error.clone();
    account(&mut unit, &stored.ingest, &stored.pokemon_name, |part| {
        if let Some(media) = part.media.get_mut(&stored.media_id) {
            media.state = State::Stored;
            media.conversion_error = conversion_error;
        }
    })
    .await?;
    let key = Species::key_of(stored.species_id);
    let Some(mut species) = document::get::<Species>(key).await? else {
        return Ok(unit);
    };
    let before = species.value.clone();
    species.value.add_media(&Media {
        media_id: stored.media_id,
        file_name: stored.file_name,
        src: stored.src,
        content_type: stored.content_type,
        width: stored.width,
        height: stored.height,
        description: String::new(),
        conversion_error: stored.conversion_error,
    });
    if species.value != before {
        unit.update(&species)?;
    }
    Ok(unit)
}

/// Tell the ingest.
pub(crate) async fn on_failed(received: &Received, failed: MediaFailed) -> Result<Unit, Verdict> {
    let mut unit = received.unit();
    account(&mut unit, &failed.ingest, &failed.pokemon_name, |part| {
        if let Some(media) = part.media.get_mut(&failed.media_id) {
            media.state = State::Failed(failed.reason);
        }
    })
    .await?;
    Ok(unit)
}

async fn account(
    unit: &mut Unit,
    ingest: &str,
    species: &str,
    change: impl FnOnce(&mut Part),
) -> Result<(), Verdict> {
    let key = Part::key_of(ingest, &Piece::Species(species.to_owned()));
    if let Some(mut part) = document::get::<Part>(key).await? {
        change(&mut part.value);
        unit.update(&part)?;
    }
    Ok(())
}
