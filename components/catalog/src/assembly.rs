//! Makes a species of what upstream says of it.

use std::collections::BTreeSet;

use crate::{
    links::{media_id, media_links},
    pokeapi::{ChainLink, EvolutionChain, FlavorText, PokemonRecord, SpeciesRecord},
    species::{Evolution, InLanguage, Special, Species, Stat, Variety, Wanted},
};

/// Put a species together. `varieties` stand in the order of the record's.
pub(crate) fn assemble(
    record: &SpeciesRecord,
    chain: Option<&EvolutionChain>,
    varieties: &[PokemonRecord],
) -> Species {
    Species {
        id: record.id,
        name: record.name.clone(),
        generation: record.generation.name.clone(),
        names: record
            .names
            .iter()
            .map(|name| text(&name.language.name, &name.name))
            .collect(),
        descriptions: descriptions(&record.flavor_text_entries),
        genera: record
            .genera
            .iter()
            .map(|genus| text(&genus.language.name, &genus.genus))
            .collect(),
        evolutions: chain.map_or_else(Vec::new, evolutions),
        varieties: record
            .varieties
            .iter()
            .zip(varieties)
            .map(|(link, pokemon)| variety(link.is_default, pokemon))
            .collect(),
        special: Special::new(record.is_legendary, record.is_mythical, record.is_baby),
    }
}

fn text(language: &str, text: &str) -> InLanguage {
    InLanguage {
        language: language.into(),
        text: one_line(text),
    }
}

/// Most games say the same: each text once per language, in the order of games.
fn descriptions(entries: &[FlavorText]) -> Vec<InLanguage> {
    let mut known = BTreeSet::new();
    entries
        .iter()
        .map(|entry| text(&entry.language.name, &entry.flavor_text))
        .filter(|entry| known.insert((entry.language.clone(), entry.text.clone())))
        .collect()
}

/// The line and page breaks of a small screen become spaces, and a word that a
/// soft hyphen broke is whole again.
fn one_line(text: &str) -> String {
    let text = text.replace("\u{ad}\n", "").replace('\u{ad}', "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The chain, level by level.
fn evolutions(chain: &EvolutionChain) -> Vec<Evolution> {
    let mut evolutions = Vec::new();
    let mut level: Vec<&ChainLink> = vec![&chain.chain];
    let mut order = 1;
    while !level.is_empty() {
        evolutions.extend(level.iter().map(|link| Evolution {
            order,
            name: link.species.name.clone(),
        }));
        level = level.iter().flat_map(|link| &link.evolves_to).collect();
        order += 1;
    }
    evolutions
}

fn variety(is_default: bool, pokemon: &PokemonRecord) -> Variety {
    let mut types: Vec<_> = pokemon.types.iter().collect();
    types.sort_by_key(|kind| kind.slot);
    Variety {
        id: pokemon.id,
        name: pokemon.name.clone(),
        is_default,
        // Dividing by ten gives the double closest to the decimal, which prints
        // as it.
        height_m: f64::from(pokemon.height) / 10.0,
        weight_kg: f64::from(pokemon.weight) / 10.0,
        types: types
            .into_iter()
            .map(|kind| kind.kind.name.clone())
            .collect(),
        stats: pokemon
            .stats
            .iter()
            .map(|stat| Stat {
                name: stat.stat.name.clone(),
                value: stat.base_stat,
            })
            .collect(),
        total: pokemon.stats.iter().map(|stat| stat.base_stat).sum(),
        media: Vec::new(),
        links: media_links(pokemon)
            .into_iter()
            .map(|link| Wanted {
                media_id: media_id(&link.url).to_string(),
                url: link.url,
                description: link.description,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn named(name: &str) -> Value {
        json!({"name": name, "url": format!("https://p/{name}/")})
    }

    fn assembled() -> Result<Species, serde_json::Error> {
        let flavor = |text: &str, version: &str| json!({"flavor_text": text, "language": named("en"), "version": named(version)});
        let record = serde_json::from_value(json!({
            "id": 133, "name": "eevee", "generation": named("generation-i"),
            "names": [{"name": "イーブイ", "language": named("ja")}],
            "flavor_text_entries": [
                flavor("Its gene\u{ad}\ntic code\u{c}is irregular.", "red"),
                flavor("Its genetic code is irregular.", "blue"),
            ],
            "genera": [{"genus": "Evolution Pokémon", "language": named("en")}],
            "evolution_chain": {"url": "https://p/evolution-chain/67/"},
            "varieties": [{"is_default": true, "pokemon": named("eevee")}],
            "is_legendary": false, "is_mythical": false, "is_baby": true,
            "unknown_member": 1,
        }))?;
        let leaf = |name: &str| json!({"species": named(name), "evolves_to": []});
        let chain = serde_json::from_value(json!({"chain": {
            "species": named("eevee"),
            "evolves_to": [leaf("vaporeon"), leaf("jolteon")],
        }}))?;
        let pokemon = serde_json::from_value(json!({
            "id": 133, "name": "eevee", "height": 3, "weight": 65,
            "types": [{"slot": 2, "type": named("fairy")}, {"slot": 1, "type": named("normal")}],
            "stats": [{"base_stat": 55, "stat": named("hp")}, {"base_stat": 70, "stat": named("speed")}],
            "sprites": {"front_default": "https://m/133.png"},
        }))?;
        Ok(assemble(&record, Some(&chain), &[pokemon]))
    }

    #[test]
    fn no_precision_is_lost() -> Result<(), serde_json::Error> {
        let species = serde_json::to_value(assembled()?)?;
        for (member, text) in [
            ("height_m", "0.3"),
            ("weight_kg", "6.5"),
            ("total", "125"),
            ("types", r#"["normal","fairy"]"#),
        ] {
            let value = species.pointer(&format!("/varieties/0/{member}"));
            assert_eq!(value.map(Value::to_string).as_deref(), Some(text));
        }
        Ok(())
    }

    #[test]
    fn branches_of_a_chain_share_their_order() -> Result<(), serde_json::Error> {
        let evolutions = assembled()?.evolutions;
        let orders: Vec<(u32, &str)> = evolutions
            .iter()
            .map(|evolution| (evolution.order, evolution.name.as_str()))
            .collect();
        assert_eq!(orders, [(1, "eevee"), (2, "vaporeon"), (2, "jolteon")]);
        Ok(())
    }

    #[test]
    fn a_text_is_there_once_and_on_one_line() -> Result<(), serde_json::Error> {
        let species = assembled()?;
        let texts: Vec<&str> = species
            .descriptions
            .iter()
            .map(|description| description.text.as_str())
            .collect();
        assert_eq!(texts, ["Its genetic code is irregular."]);
        assert!(species.special.is_special);
        Ok(())
    }
}
