//! `GET /species`: all species, to be looked through.

use axum::{extract::Query, response::Response};
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    catalog::{self, Media, Page, SpeciesSummary},
    layout::{message, page},
    query::query,
    words::{generation, label, number},
};

/// How many species a page shows.
const PAGE: &str = "48";

const GENERATIONS: [&str; 9] = [
    "generation-i",
    "generation-ii",
    "generation-iii",
    "generation-iv",
    "generation-v",
    "generation-vi",
    "generation-vii",
    "generation-viii",
    "generation-ix",
];

const TYPES: [&str; 18] = [
    "bug", "dark", "dragon", "electric", "fairy", "fighting", "fire", "flying", "ghost", "grass",
    "ground", "ice", "normal", "poison", "psychic", "rock", "steel", "water",
];

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wish {
    generation: Option<String>,
    r#type: Option<String>,
    cursor: Option<String>,
}

impl Wish {
    fn query(&self, cursor: Option<&str>) -> String {
        query(&[
            ("generation", self.generation.as_deref()),
            ("type", self.r#type.as_deref()),
            ("cursor", cursor),
        ])
    }
}

/// `GET /species`.
pub(crate) async fn show(Query(wish): Query<Wish>) -> Response {
    let asked = format!("limit={PAGE}&{}", wish.query(wish.cursor.as_deref()));
    match catalog::list_species(&asked).await {
        Ok(species) => page(StatusCode::OK, "Species", &list(&wish, &species)),
        Err(refusal) => message(refusal.status, "That did not work", &refusal.detail),
    }
}

fn list(wish: &Wish, species: &Page<SpeciesSummary>) -> Markup {
    html! {
        section.opening {
            h1 { "Species" }
            form.filter action="/species" method="get" {
                (choice("generation", "Generation", "All", &GENERATIONS, wish.generation.as_deref(), generation))
                (choice("type", "Type", "All", &TYPES, wish.r#type.as_deref(), label))
                button.button type="submit" { "Show" }
            }
        }
        ul.species { @for one in &species.items { (card(one)) } }
        @if species.items.is_empty() {
            p.empty { "No species here yet." }
        }
        @if let Some(cursor) = &species.next {
            p.more { a.button href={ "/species?" (wish.query(Some(cursor))) } rel="next" { "More species" } }
        }
    }
}

fn choice(
    name: &str,
    title: &str,
    every: &str,
    options: &[&str],
    chosen: Option<&str>,
    words: impl Fn(&str) -> String,
) -> Markup {
    html! {
        label { span { (title) }
            select name=(name) {
                option value="" { (every) }
                @for option in options {
                    option value=(option) selected[chosen == Some(*option)] { (words(option)) }
                }
            }
        }
    }
}

/// A species in a list.
fn card(species: &SpeciesSummary) -> Markup {
    let kind = species.types.first().map_or("normal", String::as_str);
    html! {
        li.creature data-type=(kind) {
            a href={ "/species/" (species.name) } {
                (portrait(species.picture.as_ref(), &species.title()))
                span.number { (number(species.id)) }
                strong.name { (species.title()) }
            }
            (types(&species.types))
            @if let Some(word) = special(species) { span.special { (word) } }
        }
    }
}

fn special(species: &SpeciesSummary) -> Option<&'static str> {
    let special = species.special;
    match (special.legendary, special.mythical, special.baby) {
        (true, ..) => Some("Legendary"),
        (_, true, _) => Some("Mythical"),
        (.., true) => Some("Baby"),
        _ => None,
    }
}

/// The picture of a species, or a place for it.
pub(crate) fn portrait(picture: Option<&Media>, alt: &str) -> Markup {
    html! {
        span.portrait {
            @match picture {
                Some(picture) => {
                    img src=(picture.src) alt=(alt) width=[picture.width] height=[picture.height] loading="lazy";
                }
                None => { span.unseen aria-hidden="true" { "?" } }
            }
        }
    }
}

/// The types, as small coloured words.
pub(crate) fn types(types: &[String]) -> Markup {
    html! {
        span.types { @for kind in types { span.type data-type=(kind) { (label(kind)) } } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Special;

    fn species(name: &str) -> SpeciesSummary {
        SpeciesSummary {
            id: 7,
            name: name.into(),
            english_name: None,
            types: vec!["water".into()],
            picture: None,
            special: Special {
                legendary: false,
                mythical: true,
                baby: false,
            },
        }
    }

    #[test]
    fn a_name_is_text() {
        let html = card(&species("<b>x</b>")).into_string();
        assert!(!html.contains("<b>x"), "{html}");
    }

    #[test]
    fn what_was_chosen_stays_chosen() {
        let wish = Wish {
            r#type: Some("fire".into()),
            ..Wish::default()
        };
        let none = Page {
            items: Vec::new(),
            next: Some("a b".into()),
        };
        let html = list(&wish, &none).into_string();
        assert!(html.contains("<option value=\"fire\" selected>"), "{html}");
        assert!(
            html.contains("/species?type=fire&amp;cursor=a%20b"),
            "{html}"
        );
    }

    #[test]
    fn the_special_ones_say_so() {
        assert!(card(&species("mew")).into_string().contains("Mythical"));
    }
}
