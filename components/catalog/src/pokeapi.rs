//! What PokeAPI answers, as far as the catalogue reads it.

use serde::Deserialize;
use serde_json::Value;

/// A reference to another resource.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) url: String,
}

/// `/generation/{name}`.
#[derive(Debug, Deserialize)]
pub(crate) struct Generation {
    pub(crate) pokemon_species: Vec<Named>,
}

/// `/pokemon-species/{name}`.
#[derive(Debug, Deserialize)]
pub(crate) struct SpeciesRecord {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) generation: Named,
    pub(crate) names: Vec<NameText>,
    pub(crate) flavor_text_entries: Vec<FlavorText>,
    pub(crate) genera: Vec<GenusText>,
    /// A few species belong to no chain.
    pub(crate) evolution_chain: Option<Link>,
    pub(crate) varieties: Vec<VarietyLink>,
    pub(crate) is_legendary: bool,
    pub(crate) is_mythical: bool,
    pub(crate) is_baby: bool,
}

/// A reference without a name.
#[derive(Debug, Deserialize)]
pub(crate) struct Link {
    pub(crate) url: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NameText {
    pub(crate) name: String,
    pub(crate) language: Named,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FlavorText {
    pub(crate) flavor_text: String,
    pub(crate) language: Named,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GenusText {
    pub(crate) genus: String,
    pub(crate) language: Named,
}

#[derive(Debug, Deserialize)]
pub(crate) struct VarietyLink {
    pub(crate) is_default: bool,
    pub(crate) pokemon: Named,
}

/// `/evolution-chain/{id}`.
#[derive(Debug, Deserialize)]
pub(crate) struct EvolutionChain {
    pub(crate) chain: ChainLink,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChainLink {
    pub(crate) species: Named,
    #[serde(default)]
    pub(crate) evolves_to: Vec<ChainLink>,
}

/// `/pokemon/{id}`: one variety.
#[derive(Debug, Deserialize)]
pub(crate) struct PokemonRecord {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// Decimetres.
    pub(crate) height: u32,
    /// Hectograms.
    pub(crate) weight: u32,
    pub(crate) types: Vec<TypeSlot>,
    pub(crate) stats: Vec<StatValue>,
    /// Trees of URLs, differently deep.
    #[serde(default)]
    pub(crate) sprites: Value,
    #[serde(default)]
    pub(crate) cries: Value,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TypeSlot {
    pub(crate) slot: u32,
    #[serde(rename = "type")]
    pub(crate) kind: Named,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StatValue {
    pub(crate) base_stat: u32,
    pub(crate) stat: Named,
}

/// Whether this can be the name of a species: 2 to 100 of `A-Z a-z 0-9 -`.
pub(crate) fn is_species_name(name: &str) -> bool {
    (2..=100).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["mr-mime", "ho-oh", "Porygon2", &"a".repeat(100)] {
            assert!(is_species_name(good), "{good}");
        }
        for bad in ["", "a", "a b", "nidoran♀", "../x", "a_b", &"a".repeat(101)] {
            assert!(!is_species_name(bad), "{bad}");
        }
    }
}
