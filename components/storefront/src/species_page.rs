//! `GET /species/{name}`: one species, with its pictures, cries, stats, evolutions
//! and varieties.

use axum::{extract::Path, response::Response};
use futures::future::join_all;
use http::StatusCode;
use maud::{Markup, html};

use crate::{
    catalog::{self, Evolution, Media, Species, Variety},
    chart::chart,
    layout::{message, page},
    neighbour::Refusal,
    species_list::{portrait, types},
    words::{generation, label, number},
};

/// `GET /species/{name}`.
pub(crate) async fn show(Path(name): Path<String>) -> Response {
    let species = match catalog::species(&name).await {
        Ok(species) => species,
        Err(refusal) => return refused(&refusal),
    };
    let (before, after) = (species.id.checked_sub(1), species.id.checked_add(1));
    let beside = [before, after].map(async |id| match id {
        Some(id @ 1..) => catalog::species(&id.to_string()).await.ok(),
        _ => None,
    });
    let relatives = species
        .evolutions
        .iter()
        .map(|evolution| relative(&species, evolution));
    let (beside, relatives) = futures::future::join(join_all(beside), join_all(relatives)).await;
    let title = species.title();
    page(
        StatusCode::OK,
        &title,
        &whole(&species, &relatives, &beside),
    )
}

/// A step of the evolution, with a picture where it is in the catalogue.
struct Relative<'species> {
    evolution: &'species Evolution,
    title: String,
    picture: Option<Media>,
    known: bool,
}

async fn relative<'species>(
    species: &Species,
    evolution: &'species Evolution,
) -> Relative<'species> {
    let other = match evolution.name == species.name {
        true => Some(species.clone()),
        false => catalog::species(&evolution.name).await.ok(),
    };
    let title = other.as_ref().map(Species::title);
    Relative {
        evolution,
        title: title.unwrap_or_else(|| label(&evolution.name)),
        picture: other.as_ref().and_then(|other| picture(other).cloned()),
        known: other.is_some(),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let title = match refusal.status {
        StatusCode::NOT_FOUND => "No such species",
        _ => "That did not work",
    };
    message(refusal.status, title, &refusal.detail)
}

fn picture(species: &Species) -> Option<&Media> {
    let media = &species.default_variety()?.media;
    media.iter().find(|media| media.is_picture())
}

fn whole(species: &Species, relatives: &[Relative], beside: &[Option<Species>]) -> Markup {
    let kind = species
        .default_variety()
        .and_then(|variety| variety.types.first())
        .map_or("normal", String::as_str);
    html! {
        article.creature-page data-type=(kind) {
            (head(species))
            @if let Some(variety) = species.default_variety() { (facts(species, variety)) }
            (evolutions(species, relatives))
            (varieties(species))
            (languages(species))
            (neighbours(beside))
        }
    }
}

fn head(species: &Species) -> Markup {
    let kinds = species
        .default_variety()
        .map_or(&[][..], |variety| &variety.types);
    let special = species.special;
    html! {
        header.introduction {
            div.stage { (portrait(picture(species), &species.title())) }
            div {
                p.number { (number(species.id)) " · " (generation(&species.generation)) }
                h1 { (species.title()) }
                @if let Some(genus) = Species::english(&species.genera) { p.genus { (genus) } }
                p {
                    (types(kinds))
                    @if special.legendary { span.special { "Legendary" } }
                    @if special.mythical { span.special { "Mythical" } }
                    @if special.baby { span.special { "Baby" } }
                }
                @if let Some(text) = Species::english(&species.descriptions) { p.description { (text) } }
            }
        }
    }
}

fn facts(species: &Species, variety: &Variety) -> Markup {
    let name = species.title();
    html! {
        section.facts-and-stats {
            figure {
                (chart(&variety.stats, &format!("Stats of {name}")))
                figcaption { "Total " strong { (variety.total) } }
            }
            div {
                dl.measures {
                    div { dt { "Height" } dd { (variety.height_m) " m" } }
                    div { dt { "Weight" } dd { (variety.weight_kg) " kg" } }
                    div { dt { "Varieties" } dd { (species.varieties.len()) } }
                }
                (cries(&variety.media))
            }
        }
    }
}

fn cries(media: &[Media]) -> Markup {
    let cries: Vec<&Media> = media.iter().filter(|media| media.is_sound()).collect();
    html! {
        @if !cries.is_empty() {
            h2 { "Cries" }
            ul.cries {
                @for cry in cries {
                    li {
                        span { (words_of(cry)) }
                        audio controls preload="none" src=(cry.src) {
                            a href=(cry.src) { "Listen" }
                        }
                    }
                }
            }
        }
    }
}

/// `cry, latest` as `Latest`.
fn words_of(media: &Media) -> String {
    let words = media.description.strip_prefix("cry, ");
    label(words.unwrap_or(&media.description))
}

fn evolutions(species: &Species, relatives: &[Relative]) -> Markup {
    html! {
        @if relatives.len() > 1 {
            section {
                h2 { "Evolution" }
                ol.evolution {
                    @for stage in relatives.chunk_by(|one, next| one.evolution.order == next.evolution.order) {
                        li { ul { @for relative in stage { li { (step(species, relative)) } } } }
                    }
                }
            }
        }
    }
}

fn step(species: &Species, relative: &Relative) -> Markup {
    let name = &relative.evolution.name;
    let shown = html! {
        (portrait(relative.picture.as_ref(), ""))
        span.name { (relative.title) }
    };
    html! {
        @if *name == species.name { span.here aria-current="page" { (shown) } }
        @else if relative.known { a href={ "/species/" (name) } { (shown) } }
        @else { span.absent { (shown) } }
    }
}

fn varieties(species: &Species) -> Markup {
    html! {
        section {
            h2 { @if species.varieties.len() == 1 { "Pictures" } @else { "Varieties" } }
            @for variety in &species.varieties {
                details.variety open[variety.is_default] {
                    summary {
                        strong { (label(&variety.name)) }
                        (types(&variety.types))
                        span.measure { (variety.height_m) " m · " (variety.weight_kg) " kg · total " (variety.total) }
                    }
                    ul.pictures {
                        @for picture in variety.media.iter().filter(|media| media.is_picture()) {
                            li {
                                figure {
                                    a href=(picture.src) { (portrait(Some(picture), &label(&variety.name))) }
                                    figcaption { (label(&picture.description)) }
                                }
                            }
                        }
                    }
                    @if !variety.is_default { (cries(&variety.media)) }
                }
            }
        }
    }
}

fn languages(species: &Species) -> Markup {
    html! {
        @if !species.names.is_empty() {
            details.languages {
                summary { "In other languages" }
                dl {
                    @for name in &species.names {
                        div { dt { (name.language) } dd lang=(name.language) { (name.text) } }
                    }
                }
            }
        }
    }
}

/// The species before and after.
fn neighbours(beside: &[Option<Species>]) -> Markup {
    let mut beside = beside.iter();
    let (before, after) = (
        beside.next().cloned().flatten(),
        beside.next().cloned().flatten(),
    );
    html! {
        nav.neighbours aria-label="Other species" {
            @if let Some(before) = before {
                a rel="prev" href={ "/species/" (before.name) } { "← " (number(before.id)) " " (before.title()) }
            }
            @if let Some(after) = after {
                a.after rel="next" href={ "/species/" (after.name) } { (number(after.id)) " " (after.title()) " →" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{InLanguage, Special};

    fn species() -> Species {
        let media = |content_type: &str, description: &str| Media {
            src: format!("/api/v1/file/{description}"),
            content_type: content_type.into(),
            width: Some(8),
            height: Some(8),
            description: description.into(),
        };
        Species {
            id: 1,
            name: "bulbasaur".into(),
            generation: "generation-i".into(),
            names: Vec::new(),
            descriptions: vec![InLanguage {
                language: "en".into(),
                text: "<script>alert(1)</script>".into(),
            }],
            genera: Vec::new(),
            evolutions: ["bulbasaur", "ivysaur"]
                .into_iter()
                .zip(1..)
                .map(|(name, order)| Evolution {
                    order,
                    name: name.into(),
                })
                .collect(),
            varieties: vec![Variety {
                name: "bulbasaur".into(),
                is_default: true,
                height_m: 0.7,
                weight_kg: 6.9,
                types: vec!["grass".into()],
                stats: Vec::new(),
                total: 318,
                media: vec![
                    media("audio/ogg", "cry, latest"),
                    media("image/webp", "front"),
                ],
            }],
            special: Special {
                legendary: false,
                mythical: false,
                baby: false,
            },
        }
    }

    fn rendered() -> String {
        let species = species();
        let relatives: Vec<Relative> = species
            .evolutions
            .iter()
            .map(|evolution| Relative {
                evolution,
                title: label(&evolution.name),
                picture: None,
                known: evolution.order == 1,
            })
            .collect();
        whole(&species, &relatives, &[None, None]).into_string()
    }

    #[test]
    fn a_description_is_text() {
        assert!(!rendered().contains("<script"));
    }

    #[test]
    fn a_cry_can_be_played_without_a_script() {
        let html = rendered();
        assert!(
            html.contains("<audio controls preload=\"none\" src=\"/api/v1/file/cry, latest\">")
        );
        assert!(html.contains("<span>Latest</span>"), "{html}");
    }

    #[test]
    fn an_evolution_that_is_not_in_the_catalogue_is_no_link() {
        let html = rendered();
        assert!(!html.contains("href=\"/species/ivysaur\""), "{html}");
        assert!(html.contains("Ivysaur"));
    }
}
