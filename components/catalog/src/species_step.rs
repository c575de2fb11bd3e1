//! The species step: reads a species, its chain and its varieties, and asks for
//! the media that are not there yet.

use std::collections::BTreeMap;

use emporium_sdk::{
    catalog_events::{PokemonMediaFound, PokemonNamed},
    consumer::{Received, Verdict},
    document::{self, Stored},
    unit::Unit,
};
use futures::future::{join, join_all};
use serde::de::DeserializeOwned;
use url::Url;

use crate::{
    assembly::assemble,
    ingest::{MediaPart, Part, State, Step},
    pokeapi::{EvolutionChain, PokemonRecord, SpeciesRecord, is_species_name},
    reactions::relay,
    relay::Relay,
    settings::Source,
    species::Species,
};

/// The most media that one unit asks for: a unit has room for 1000 events. The
/// rest is asked for by the same event, once more.
const MEDIA_AT_ONCE: usize = 900;

pub(crate) async fn handle(received: &Received, step: &PokemonNamed) -> Result<Unit, Verdict> {
    if !is_species_name(&step.name) {
        return Err(Verdict::reject("it is no name of a species"));
    }
    let (relay, settings) = relay().await?;
    let mut species = fetch(relay, &settings.pokeapi, &step.name).await?;
    let mut unit = received.unit();
    let Some(mut part) = document::get::<Part>(step.part()).await? else {
        // Somebody removed the ingest.
        return Ok(unit);
    };
    let before = document::get::<Species>(Species::key_of(species.id)).await?;
    let state = put(&mut unit, &mut species, before)?;
    // A second round for the rest of the media must not say "unchanged".
    if part.value.state != State::Stored {
        part.value.state = state;
    }
    request_media(&mut unit, step, &species, &mut part.value.media)?;
    unit.update(&part)?;
    Ok(unit)
}

/// Read all that a species is made of.
async fn fetch(relay: &Relay, source: &Source, name: &str) -> Result<Species, Verdict> {
    let url = source.resource(&["api", "v2", "pokemon-species", name]);
    let record: SpeciesRecord = read(relay, &url).await?;
    let chain = async {
        match &record.evolution_chain {
            Some(link) => read(relay, &named(source, &link.url)?).await.map(Some),
            None => Ok(None),
        }
    };
    let varieties = record.varieties.iter().map(async |variety| {
        let url = named(source, &variety.pokemon.url)?;
        read::<PokemonRecord>(relay, &url).await
    });
    // Not `try_join`: the failure of one must not cut off the others, whose answers
    // are under way, and would be asked for again.
    let (chain, varieties) = join(chain, join_all(varieties)).await;
    let chain: Option<EvolutionChain> = chain?;
    let varieties: Vec<PokemonRecord> = varieties.into_iter().collect::<Result<_, _>>()?;
    Ok(assemble(&record, chain.as_ref(), &varieties))
}

async fn read<T: DeserializeOwned>(relay: &Relay, url: &Url) -> Result<T, Verdict> {
    let body = relay.get(url).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Verdict::reject(format!("{url} does not read: {error}")))
}

fn named(source: &Source, url: &str) -> Result<Url, Verdict> {
    source
        .named(url)
        .ok_or_else(|| Verdict::reject(format!("{url:?} is not at the source of its species")))
}

/// Store a species, unless it is there already, the same.
fn put(
    unit: &mut Unit,
    species: &mut Species,
    before: Option<Stored<Species>>,
) -> Result<State, Verdict> {
    let Some(before) = before else {
        unit.create(species)?;
        return Ok(State::Stored);
    };
    species.keep_media(&before.value);
    if *species == before.value {
        return Ok(State::Unchanged);
    }
    unit.update(&Stored {
        value: species.clone(),
        ..before
    })?;
    Ok(State::Stored)
}

/// Ask for the media that are missing; note those that are there.
fn request_media(
    unit: &mut Unit,
    step: &PokemonNamed,
    species: &Species,
    media: &mut BTreeMap<String, MediaPart>,
) -> Result<(), Verdict> {
    let fetched = species.fetched_media();
    for wanted in species.varieties.iter().flat_map(|variety| &variety.links) {
        if fetched.contains(wanted.media_id.as_str()) && !media.contains_key(&wanted.media_id) {
            let there = MediaPart {
                url: wanted.url.clone(),
                state: State::Unchanged,
                conversion_error: None,
            };
            media.insert(wanted.media_id.clone(), there);
        }
    }
    let mut missing = species.missing_media();
    missing.retain(|(_, wanted)| !media.contains_key(&wanted.media_id));
    for (pokemon_id, wanted) in missing.iter().take(MEDIA_AT_ONCE) {
        let open = MediaPart {
            url: wanted.url.clone(),
            state: State::Open,
            conversion_error: None,
        };
        media.insert(wanted.media_id.clone(), open);
        unit.publish(&PokemonMediaFound {
            ingest: step.ingest.clone(),
            pokemon_name: species.name.clone(),
            species_id: species.id,
            pokemon_id: *pokemon_id,
            description: wanted.description.clone(),
            url: wanted.url.clone(),
            media_id: wanted.media_id.clone(),
        })?;
    }
    if missing.len() > MEDIA_AT_ONCE {
        unit.publish(step)?;
    }
    Ok(())
}
