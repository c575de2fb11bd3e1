//! `GET /pokemon` and `GET /pokemon/{id or name}`.

use axum::{
    Json,
    extract::Path,
    response::{IntoResponse as _, Response},
};
use emporium_sdk::{
    document::{self, Listing, Order, Range, Selection, Stored, entry},
    extract::Query,
    paging::{PageOf, Paging},
    problem::Problem,
};
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    generation,
    pokeapi::is_species_name,
    species::{
        BY_GENERATION, BY_GENERATION_AND_TYPE, BY_NAME, BY_NUMBER, BY_TYPE, Evolution, InLanguage,
        Media, Special, Species, Stat, Variety,
    },
};

/// A species as callers see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpeciesView {
    id: u32,
    name: String,
    generation: String,
    names: Vec<InLanguage>,
    descriptions: Vec<InLanguage>,
    genera: Vec<InLanguage>,
    evolutions: Vec<Evolution>,
    varieties: Vec<VarietyView>,
    special: Special,
}

/// A variety as callers see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VarietyView {
    id: u32,
    name: String,
    is_default: bool,
    height_m: f64,
    weight_kg: f64,
    types: Vec<String>,
    stats: Vec<Stat>,
    /// The sum of the stats.
    total: u32,
    media: Vec<Media>,
}

/// A species in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpeciesSummary {
    id: u32,
    name: String,
    /// What it is called in English, if upstream says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    english_name: Option<String>,
    generation: String,
    /// Of the default variety.
    types: Vec<String>,
    /// The first picture of the default variety, if one was fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<Media>,
    varieties: usize,
    special: Special,
}

impl From<Species> for SpeciesView {
    fn from(species: Species) -> Self {
        Self {
            id: species.id,
            name: species.name,
            generation: species.generation,
            names: species.names,
            descriptions: species.descriptions,
            genera: species.genera,
            evolutions: species.evolutions,
            varieties: species.varieties.into_iter().map(Into::into).collect(),
            special: species.special,
        }
    }
}

impl From<Variety> for VarietyView {
    fn from(variety: Variety) -> Self {
        Self {
            id: variety.id,
            name: variety.name,
            is_default: variety.is_default,
            height_m: variety.height_m,
            weight_kg: variety.weight_kg,
            types: variety.types,
            stats: variety.stats,
            total: variety.total,
            media: variety.media,
        }
    }
}

impl From<Species> for SpeciesSummary {
    fn from(species: Species) -> Self {
        let shown = species.default_variety().cloned();
        let (types, media) = shown.map_or_else(Default::default, |v| (v.types, v.media));
        let mut names = species.names.into_iter();
        let english = names.find(|name| name.language == "en");
        Self {
            id: species.id,
            name: species.name,
            english_name: english.map(|name| name.text),
            generation: species.generation,
            types,
            picture: media
                .into_iter()
                .find(|media| media.content_type.starts_with("image/")),
            varieties: species.varieties.len(),
            special: species.special,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// `generation-i` to `generation-ix`.
    generation: Option<String>,
    /// A type of the default variety, for instance `grass`.
    r#type: Option<String>,
}

impl Filter {
    fn range(&self) -> Result<Range, Problem> {
        let generation = match self.generation.as_deref() {
            None => None,
            Some(name) => Some(generation::find(name).ok_or_else(|| {
                Problem::bad_request("invalid-query", format!("`{name}` is not a generation"))
                    .field("generation")
            })?),
        };
        let kind = self.r#type.as_deref();
        if kind.is_some_and(|kind| !is_species_name(kind)) {
            return Err(
                Problem::bad_request("invalid-query", "`type` is the name of a type").field("type"),
            );
        }
        Ok(match (generation, kind) {
            (None, None) => Range {
                index: BY_NUMBER.into(),
                from: None,
                until: None,
            },
            (Some(generation), None) => below(BY_GENERATION, generation),
            (None, Some(kind)) => below(BY_TYPE, kind),
            (Some(generation), Some(kind)) => {
                below(BY_GENERATION_AND_TYPE, &format!("{generation}/{kind}"))
            }
        })
    }
}

/// The entries `{value}/...` of an index.
fn below(index: &str, value: &str) -> Range {
    Range {
        index: index.into(),
        from: Some(format!("{value}/")),
        // `0` is the character after `/`.
        until: Some(format!("{value}0")),
    }
}

/// List species by their numbers.
#[utoipa::path(get, path = "/pokemon", tag = "catalog", params(Filter, Paging),
    responses((status = 200, body = PageOf<SpeciesSummary>), (status = 400, body = Problem)))]
pub(crate) async fn list(
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Response, Problem> {
    let page = document::list::<Species>(Listing {
        selection: Selection::Within(filter.range()?),
        order: Order::Ascending,
        limit: paging.limit,
        cursor: paging.cursor.clone(),
    })
    .await?;
    let species = page.documents.into_iter();
    let species = species.map(|species| SpeciesSummary::from(species.value));
    Ok(paging.page(species.collect(), page.next))
}

/// Look at a species, by its number or its name.
#[utoipa::path(get, path = "/pokemon/{id_or_name}", tag = "catalog",
    params(("id_or_name" = String, Path)),
    responses((status = 200, body = SpeciesView), (status = 404, body = Problem)))]
pub(crate) async fn get(Path(id_or_name): Path<String>) -> Result<Response, Problem> {
    let species = find(&id_or_name).await?.ok_or_else(|| {
        Problem::not_found(
            "no-such-species",
            "there is no species of this number or name",
        )
    })?;
    let etag =
        HeaderValue::from_str(&format!("\"{}\"", species.version)).map_err(Problem::internal)?;
    Ok((
        [(header::ETAG, etag)],
        Json(SpeciesView::from(species.value)),
    )
        .into_response())
}

async fn find(id_or_name: &str) -> Result<Option<Stored<Species>>, Problem> {
    if let Ok(id) = id_or_name.parse::<u32>() {
        return Ok(document::get(Species::key_of(id)).await?);
    }
    let name = id_or_name.to_ascii_lowercase();
    if !is_species_name(&name) {
        return Ok(None);
    }
    let page = document::list(Listing {
        selection: Selection::Equal(entry(BY_NAME, name)),
        order: Order::Ascending,
        limit: 1,
        cursor: None,
    })
    .await?;
    Ok(page.documents.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::species::tests::{media, species};

    #[test]
    fn a_filter_finds_its_own_and_no_more() {
        let filter = |generation: Option<&str>, kind: Option<&str>| Filter {
            generation: generation.map(Into::into),
            r#type: kind.map(Into::into),
        };
        let range = filter(Some("generation-i"), Some("fire")).range().ok();
        let range = range.map(|range| (range.index, range.from, range.until));
        let expected = (
            BY_GENERATION_AND_TYPE.to_owned(),
            Some("generation-i/fire/".to_owned()),
            Some("generation-i/fire0".to_owned()),
        );
        assert_eq!(range, Some(expected));
        // `generation-ii` is not among the entries of `generation-i`.
        let range = filter(Some("generation-i"), None).range().ok();
        let until = range.and_then(|range| range.until).unwrap_or_default();
        assert!("generation-ii/000152" > until.as_str());
        assert!(filter(Some("generation-x"), None).range().is_err());
        assert!(filter(None, Some("a/b")).range().is_err());
    }

    #[test]
    fn a_summary_shows_a_picture_and_no_sound() {
        let mut species = species(&[&["cry", "front"]]);
        let mut cry = media("cry");
        cry.content_type = "audio/ogg".into();
        species.add_media(&cry);
        species.add_media(&media("front"));
        let summary = SpeciesSummary::from(species);
        let shown = summary.picture.map(|picture| picture.media_id);
        assert_eq!(shown.as_deref(), Some("front"));
    }
}
