//! A species as the catalogue keeps it.

use emporium_sdk::document::{Document, Entry, entry};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The index of all species by number.
pub(crate) const BY_NUMBER: &str = "number";
/// The index of species by name.
pub(crate) const BY_NAME: &str = "name";
/// The index of species by generation, then number.
pub(crate) const BY_GENERATION: &str = "generation";
/// The index of species by type of the default variety, then number.
pub(crate) const BY_TYPE: &str = "type";
/// The index of species by generation, type and number.
pub(crate) const BY_GENERATION_AND_TYPE: &str = "generation-type";

/// A species with all its varieties.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Species {
    /// The number in the national index.
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) generation: String,
    pub(crate) names: Vec<InLanguage>,
    pub(crate) descriptions: Vec<InLanguage>,
    pub(crate) genera: Vec<InLanguage>,
    /// The whole chain it belongs to.
    pub(crate) evolutions: Vec<Evolution>,
    pub(crate) varieties: Vec<Variety>,
    pub(crate) special: Special,
}

/// A text and the language it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct InLanguage {
    /// As PokeAPI names it, for instance `en` or `ja-Hrkt`.
    pub(crate) language: String,
    pub(crate) text: String,
}

/// A step of an evolution chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Evolution {
    /// From 1; those that branch share one.
    pub(crate) order: u32,
    pub(crate) name: String,
}

/// One form of a species.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Variety {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) is_default: bool,
    pub(crate) height_m: f64,
    pub(crate) weight_kg: f64,
    pub(crate) types: Vec<String>,
    pub(crate) stats: Vec<Stat>,
    /// The sum of the stats.
    pub(crate) total: u32,
    /// What was fetched of it.
    pub(crate) media: Vec<Media>,
    /// What it links to, fetched or not.
    #[schema(ignore)]
    pub(crate) links: Vec<Wanted>,
}

/// A base value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SpeciesStat)]
pub(crate) struct Stat {
    pub(crate) name: String,
    pub(crate) value: u32,
}

/// A file of a variety.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SpeciesMedia)]
pub(crate) struct Media {
    pub(crate) media_id: String,
    pub(crate) file_name: String,
    /// The path of the file.
    pub(crate) src: String,
    pub(crate) content_type: String,
    /// Pixels, of a picture.
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    /// What it shows.
    pub(crate) description: String,
    /// Why it is kept as it came, where it should have been converted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conversion_error: Option<String>,
}

/// A link to a picture or sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) media_id: String,
    pub(crate) url: String,
    pub(crate) description: String,
}

/// Whether a species is out of the ordinary, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Special {
    /// Legendary, mythical or a baby.
    pub(crate) is_special: bool,
    pub(crate) legendary: bool,
    pub(crate) mythical: bool,
    pub(crate) baby: bool,
}

impl Special {
    pub(crate) fn new(legendary: bool, mythical: bool, baby: bool) -> Self {
        Self {
            is_special: legendary || mythical || baby,
            legendary,
            mythical,
            baby,
        }
    }
}

impl Species {
    /// The key of the species with this number.
    pub(crate) fn key_of(id: u32) -> String {
        format!("{id:06}")
    }

    /// The variety that stands for the species.
    pub(crate) fn default_variety(&self) -> Option<&Variety> {
        self.varieties
            .iter()
            .find(|variety| variety.is_default)
            .or(self.varieties.first())
    }

    /// Take over what was fetched for the species as it was `before`.
    pub(crate) fn keep_media(&mut self, before: &Self) {
        for media in before.varieties.iter().flat_map(|variety| &variety.media) {
            self.add_media(media);
        }
    }

    /// Add a file to every variety that links to it, in the order of the links.
    pub(crate) fn add_media(&mut self, media: &Media) {
        for variety in &mut self.varieties {
            variety.add_media(media);
        }
    }

    /// The links of which there is no file, each once, with the first variety
    /// that has it.
    pub(crate) fn missing_media(&self) -> Vec<(u32, &Wanted)> {
        let mut missing: Vec<(u32, &Wanted)> = Vec::new();
        for variety in &self.varieties {
            for wanted in &variety.links {
                let there = variety.has(&wanted.media_id)
                    || missing
                        .iter()
                        .any(|(_, known)| known.media_id == wanted.media_id);
                if !there {
                    missing.push((variety.id, wanted));
                }
            }
        }
        missing
    }

    /// The ids of all files that were fetched, each once.
    pub(crate) fn fetched_media(&self) -> std::collections::BTreeSet<&str> {
        self.varieties
            .iter()
            .flat_map(|variety| &variety.media)
            .map(|media| media.media_id.as_str())
            .collect()
    }
}

impl Variety {
    fn has(&self, media_id: &str) -> bool {
        self.media.iter().any(|media| media.media_id == media_id)
    }

    fn add_media(&mut self, media: &Media) {
        let Some(wanted) = self
            .links
            .iter()
            .find(|wanted| wanted.media_id == media.media_id)
        else {
            return;
        };
        let media = Media {
            description: wanted.description.clone(),
            ..media.clone()
        };
        self.media.retain(|known| known.media_id != media.media_id);
        self.media.push(media);
        let place = |media: &Media| {
            self.links
                .iter()
                .position(|wanted| wanted.media_id == media.media_id)
        };
        self.media.sort_by_key(place);
    }
}

impl Document for Species {
    const COLLECTION: &'static str = "species";

    fn key(&self) -> String {
        Self::key_of(self.id)
    }

    fn entries(&self) -> Vec<Entry> {
        let number = Self::key_of(self.id);
        let mut entries = vec![
            entry(BY_NUMBER, &number),
            entry(BY_NAME, &self.name),
            entry(BY_GENERATION, format!("{}/{number}", self.generation)),
        ];
        for kind in self.default_variety().map_or(&[][..], |v| &v.types) {
            entries.push(entry(BY_TYPE, format!("{kind}/{number}")));
            entries.push(entry(
                BY_GENERATION_AND_TYPE,
                format!("{}/{kind}/{number}", self.generation),
            ));
        }
        entries
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn wanted(id: &str) -> Wanted {
        Wanted {
            media_id: id.into(),
            url: format!("https://m/{id}"),
            description: format!("view {id}"),
        }
    }

    pub(crate) fn media(id: &str) -> Media {
        Media {
            media_id: id.into(),
            file_name: format!("{id}.webp"),
            src: format!("/api/v1/file/{id}.webp"),
            content_type: "image/webp".into(),
            width: Some(1),
            height: Some(1),
            description: String::new(),
            conversion_error: None,
        }
    }

    pub(crate) fn species(links: &[&[&str]]) -> Species {
        let variety = |(number, links): (u32, &&[&str])| Variety {
            id: number,
            name: format!("v{number}"),
            is_default: number == 0,
            height_m: 0.7,
            weight_kg: 6.9,
            types: vec!["grass".into()],
            stats: Vec::new(),
            total: 0,
            media: Vec::new(),
            links: links.iter().map(|id| wanted(id)).collect(),
        };
        Species {
            id: 1,
            name: "bulbasaur".into(),
            generation: "generation-i".into(),
            names: Vec::new(),
            descriptions: Vec::new(),
            genera: Vec::new(),
            evolutions: Vec::new(),
            varieties: (0..).zip(links).map(variety).collect(),
            special: Special::new(false, false, false),
        }
    }

    #[test]
    fn one_of_three_flags_makes_a_species_special() {
        for (flags, special) in [
            ((false, false, false), false),
            ((true, false, false), true),
            ((false, true, false), true),
            ((false, false, true), true),
        ] {
            let (legendary, mythical, baby) = flags;
            assert_eq!(Special::new(legendary, mythical, baby).is_special, special);
        }
    }

    #[test]
    fn a_replay_keeps_what_was_fetched() {
        let mut before = species(&[&["a", "b"], &["b", "c"]]);
        before.add_media(&media("b"));
        assert_eq!(before.fetched_media().len(), 1);
        let mut again = species(&[&["a", "b"], &["b", "c"]]);
        again.keep_media(&before);
        assert_eq!(again, before);
    }

    #[test]
    fn a_file_goes_to_every_variety_that_links_to_it_in_order() {
        let mut species = species(&[&["a", "b"], &["b", "c"]]);
        for id in ["b", "a", "unknown", "b"] {
            species.add_media(&media(id));
        }
        let ids: Vec<Vec<&str>> = species
            .varieties
            .iter()
            .map(|variety| variety.media.iter().map(|m| m.media_id.as_str()).collect())
            .collect();
        assert_eq!(ids, [vec!["a", "b"], vec!["b"]]);
    }

    #[test]
    fn what_is_missing_is_missing_once() {
        let mut species = species(&[&["a", "b"], &["b", "c"]]);
        species.add_media(&media("a"));
        let missing: Vec<(u32, &str)> = species
            .missing_media()
            .into_iter()
            .map(|(id, wanted)| (id, wanted.media_id.as_str()))
            .collect();
        assert_eq!(missing, [(0, "b"), (1, "c")]);
    }
}
