//! The public API of `catalog`, as far as the pages need it.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;

use crate::{
    neighbour::{Neighbour, Refusal},
    words::label,
};

const CATALOG: Neighbour = Neighbour {
    id: "catalog",
    called: "The catalogue",
};

/// A page of something.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// A species in a list.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SpeciesSummary {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) english_name: Option<String>,
    pub(crate) types: Vec<String>,
    pub(crate) picture: Option<Media>,
    pub(crate) special: Special,
}

/// A species.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Species {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) generation: String,
    pub(crate) names: Vec<InLanguage>,
    pub(crate) descriptions: Vec<InLanguage>,
    pub(crate) genera: Vec<InLanguage>,
    pub(crate) evolutions: Vec<Evolution>,
    pub(crate) varieties: Vec<Variety>,
    pub(crate) special: Special,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct InLanguage {
    pub(crate) language: String,
    pub(crate) text: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Evolution {
    pub(crate) order: u32,
    pub(crate) name: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Variety {
    pub(crate) name: String,
    pub(crate) is_default: bool,
    pub(crate) height_m: f64,
    pub(crate) weight_kg: f64,
    pub(crate) types: Vec<String>,
    pub(crate) stats: Vec<Stat>,
    pub(crate) total: u32,
    pub(crate) media: Vec<Media>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Stat {
    pub(crate) name: String,
    pub(crate) value: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Media {
    pub(crate) src: String,
    pub(crate) content_type: String,
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    pub(crate) description: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Special {
    pub(crate) legendary: bool,
    pub(crate) mythical: bool,
    pub(crate) baby: bool,
}

/// A product.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Product {
    pub(crate) barcode: String,
    pub(crate) name: String,
    pub(crate) brands: Vec<Brand>,
    pub(crate) quantity: String,
    pub(crate) nova: u8,
    pub(crate) grade: String,
    pub(crate) score: i32,
    pub(crate) energy_kj: Option<f64>,
    pub(crate) levels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Brand {
    pub(crate) tag: String,
    pub(crate) name: String,
}

impl SpeciesSummary {
    /// What visitors call it.
    pub(crate) fn title(&self) -> String {
        self.english_name
            .clone()
            .unwrap_or_else(|| label(&self.name))
    }
}

impl Species {
    /// What visitors call it.
    pub(crate) fn title(&self) -> String {
        Self::english(&self.names).map_or_else(|| label(&self.name), str::to_owned)
    }

    /// The variety that stands for the species.
    pub(crate) fn default_variety(&self) -> Option<&Variety> {
        let default = self.varieties.iter().find(|variety| variety.is_default);
        default.or(self.varieties.first())
    }

    /// What an English reader reads.
    pub(crate) fn english(texts: &[InLanguage]) -> Option<&str> {
        let text = texts.iter().find(|text| text.language == "en");
        text.map(|text| text.text.as_str())
    }
}

impl Media {
    pub(crate) fn is_picture(&self) -> bool {
        self.content_type.starts_with("image/")
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.content_type.starts_with("audio/")
    }
}

/// Read a page of species; `query` is passed on.
pub(crate) async fn list_species(query: &str) -> Result<Page<SpeciesSummary>, Refusal> {
    CATALOG.get(&format!("/pokemon?{query}")).await
}

/// Read a species by its number or name.
pub(crate) async fn species(id_or_name: &str) -> Result<Species, Refusal> {
    let is_plain = id_or_name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if id_or_name.is_empty() || !is_plain {
        return Err(unknown("There is no such species."));
    }
    CATALOG.get(&format!("/pokemon/{id_or_name}")).await
}

/// Read a page of products; `query` is passed on.
pub(crate) async fn list_products(query: &str) -> Result<Page<Product>, Refusal> {
    CATALOG.get(&format!("/catalog/products?{query}")).await
}

/// Read a product.
pub(crate) async fn product(barcode: &str) -> Result<Product, Refusal> {
    if barcode.is_empty() || !barcode.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unknown("There is no such product."));
    }
    CATALOG.get(&format!("/catalog/products/{barcode}")).await
}

/// What is no name leads nowhere.
fn unknown(detail: &str) -> Refusal {
    Refusal {
        status: StatusCode::NOT_FOUND,
        detail: detail.into(),
    }
}
