//! An ingest and its parts: what was asked for, and what became of each piece.
//!
//! Nothing is counted while an ingest runs. Each step writes its own part in the
//! unit that settles its event, so the parts are exact under retries and crashes
//! and nobody waits for a shared counter; the counts are made of them when
//! somebody looks (`progress`).

use std::collections::BTreeMap;

use emporium_sdk::{
    catalog_events::{GenerationRequested, PokemonNamed, ProductPageRequested},
    document::{Document, Entry, entry},
};
use serde::{Deserialize, Serialize};

/// The index of all ingests, by their start.
pub(crate) const BY_START: &str = "started";

/// An ingest as it was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ingest {
    /// A UUID.
    pub(crate) id: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) started_at_ms: u64,
    pub(crate) asked: Asked,
}

/// What an ingest reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "lowercase")]
pub(crate) enum Asked {
    /// Species. `generation` is a name or `all`.
    PokeApi { generation: String },
    /// Products.
    OpenFoodFacts { pages: u32 },
}

impl Document for Ingest {
    const COLLECTION: &'static str = "ingests";

    fn key(&self) -> String {
        self.id.clone()
    }

    fn entries(&self) -> Vec<Entry> {
        vec![entry(BY_START, format!("{:015}", self.started_at_ms))]
    }
}

/// One piece of an ingest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) ingest: String,
    pub(crate) piece: Piece,
    pub(crate) state: State,
    /// The media of a species, by media id.
    #[serde(default)]
    pub(crate) media: BTreeMap<String, MediaPart>,
    /// Of a page of products.
    #[serde(default)]
    pub(crate) products: ProductCounts,
}

/// What a part is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Piece {
    Generation(String),
    Species(String),
    Page(u32),
}

/// What became of a piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Its event is under way.
    Open,
    /// It was stored, or stored anew.
    Stored,
    /// It was there already, the same.
    Unchanged,
    /// It was given up, with the reason.
    Failed(String),
}

/// A file of a species.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MediaPart {
    pub(crate) url: String,
    pub(crate) state: State,
    /// Why it is kept as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) conversion_error: Option<String>,
}

/// What became of the products of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProductCounts {
    pub(crate) found: u64,
    pub(crate) stored: u64,
    pub(crate) unchanged: u64,
    pub(crate) duplicates: u64,
    /// By reason.
    pub(crate) rejected: BTreeMap<String, u64>,
}

impl Part {
    /// A piece whose event is published in the same unit.
    pub(crate) fn open(ingest: &str, piece: Piece) -> Self {
        Self {
            ingest: ingest.into(),
            piece,
            state: State::Open,
            media: BTreeMap::new(),
            products: ProductCounts::default(),
        }
    }

    /// The key of the part that an event is about.
    pub(crate) fn key_of(ingest: &str, piece: &Piece) -> String {
        match piece {
            Piece::Generation(name) => format!("{ingest}/generation/{name}"),
            Piece::Species(name) => format!("{ingest}/species/{name}"),
            Piece::Page(number) => format!("{ingest}/page/{number:06}"),
        }
    }

    /// What all keys of the parts of an ingest begin with.
    pub(crate) fn prefix(ingest: &str) -> String {
        format!("{ingest}/")
    }
}

impl Document for Part {
    const COLLECTION: &'static str = "ingest-parts";

    fn key(&self) -> String {
        Self::key_of(&self.ingest, &self.piece)
    }
}

/// An event that is about a part.
pub(crate) trait Step {
    /// The key of the part.
    fn part(&self) -> String;
}

impl Step for GenerationRequested {
    fn part(&self) -> String {
        Part::key_of(&self.ingest, &Piece::Generation(self.generation.clone()))
    }
}

impl Step for PokemonNamed {
    fn part(&self) -> String {
        Part::key_of(&self.ingest, &Piece::Species(self.name.clone()))
    }
}

impl Step for ProductPageRequested {
    fn part(&self) -> String {
        Part::key_of(&self.ingest, &Piece::Page(self.page))
    }
}
