//! The generation step: one event for each species of a generation.

use emporium_sdk::{
    catalog_events::{GenerationRequested, PokemonNamed},
    consumer::{Received, Verdict},
    document::{self, Stored},
    unit::Unit,
};

use crate::{
    generation,
    ingest::{Part, Piece, State, Step},
    pokeapi::{Generation, is_species_name},
    reactions::relay,
};

pub(crate) async fn handle(
    received: &Received,
    step: &GenerationRequested,
) -> Result<Unit, Verdict> {
    let name = generation::find(&step.generation)
        .ok_or_else(|| Verdict::reject(format!("`{}` is no generation", step.generation)))?;
    let (relay, settings) = relay().await?;
    let url = settings
        .pokeapi
        .resource(&["api", "v2", "generation", name]);
    let body = relay.get(&url).await?;
    let generation: Generation = serde_json::from_slice(&body)
        .map_err(|error| Verdict::reject(format!("{url} does not read: {error}")))?;
    let mut unit = received.unit();
    let Some(part) = document::get::<Part>(step.part()).await? else {
        // Somebody removed the ingest.
        return Ok(unit);
    };
    announce(&mut unit, step, &generation)?;
    unit.update(&Stored {
        value: Part {
            state: State::Stored,
            ..part.value.clone()
        },
        ..part
    })?;
    Ok(unit)
}

fn announce(
    unit: &mut Unit,
    step: &GenerationRequested,
    generation: &Generation,
) -> Result<(), Verdict> {
    for species in &generation.pokemon_species {
        let mut part = Part::open(&step.ingest, Piece::Species(species.name.clone()));
        if is_species_name(&species.name) {
            unit.publish(&PokemonNamed {
                ingest: step.ingest.clone(),
                name: species.name.clone(),
                generation: step.generation.clone(),
            })?;
        } else {
            part.piece = Piece::Species(species.name.chars().take(100).collect());
            part.state = State::Failed("it is no name of a species".into());
        }
        // A dead letter may be replayed when its species are there already.
        unit.overwrite(&part)?;
    }
    Ok(())
}
