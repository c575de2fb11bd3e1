//! `GET /food` and `GET /food/{barcode}`: products, and what they are made of.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;

use crate::{
    catalog::{self, Page, Product},
    layout::{message, page},
    neighbour::Refusal,
    query::query,
    words::label,
};

/// How many products a page shows.
const PAGE: &str = "36";

const GRADES: [&str; 5] = ["A", "B", "C", "D", "E"];

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wish {
    q: Option<String>,
    brand: Option<String>,
    grade: Option<String>,
    cursor: Option<String>,
}

impl Wish {
    fn is_for_all(&self) -> bool {
        self.query(None).is_empty()
    }

    fn query(&self, cursor: Option<&str>) -> String {
        query(&[
            ("q", self.q.as_deref()),
            ("brand", self.brand.as_deref()),
            ("grade", self.grade.as_deref()),
            ("cursor", cursor),
        ])
    }
}

/// `GET /food`.
pub(crate) async fn list(Query(wish): Query<Wish>) -> Response {
    let asked = format!("limit={PAGE}&{}", wish.query(wish.cursor.as_deref()));
    match catalog::list_products(&asked).await {
        Ok(products) => page(StatusCode::OK, "Food", &listing(&wish, &products)),
        Err(refusal) => refused(&refusal),
    }
}

/// `GET /food/{barcode}`.
pub(crate) async fn one(Path(barcode): Path<String>) -> Response {
    match catalog::product(&barcode).await {
        Ok(product) => page(StatusCode::OK, &product.name, &detail(&product)),
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let title = match refusal.status {
        StatusCode::NOT_FOUND => "No such product",
        _ => "That did not work",
    };
    message(refusal.status, title, &refusal.detail)
}

fn listing(wish: &Wish, products: &Page<Product>) -> Markup {
    html! {
        section.opening {
            h1 { "Food" }
            form.filter action="/food" method="get" role="search" {
                label { span { "Name" }
                    input type="search" name="q" value=[wish.q.as_deref()] placeholder="chocolate";
                }
                label { span { "Nutri-Score" }
                    select name="grade" {
                        option value="" { "All" }
                        @for grade in GRADES {
                            option value=(grade) selected[wish.grade.as_deref() == Some(grade)] { (grade) }
                        }
                    }
                }
                @if let Some(brand) = &wish.brand { input type="hidden" name="brand" value=(brand); }
                button.button type="submit" { "Find" }
            }
        }
        ul.products { @for product in &products.items { (card(product)) } }
        @if products.items.is_empty() {
            p.empty {
                @if wish.is_for_all() { "No food here yet." }
                @else { "Nothing found. Whole words are looked for." }
            }
        }
        @if let Some(cursor) = &products.next {
            p.more { a.button href={ "/food?" (wish.query(Some(cursor))) } rel="next" { "More food" } }
        }
    }
}

fn card(product: &Product) -> Markup {
    html! {
        li.product {
            a.name href={ "/food/" (product.barcode) } { (product.name) }
            p.facts { (brands(product)) " · " (product.quantity) }
            (score(product))
        }
    }
}

fn brands(product: &Product) -> String {
    let names: Vec<&str> = product
        .brands
        .iter()
        .map(|brand| brand.name.as_str())
        .collect();
    match names.is_empty() {
        true => "No brand".into(),
        false => names.join(", "),
    }
}

/// The Nutri-Score, as the row of letters that is on packages.
fn score(product: &Product) -> Markup {
    html! {
        p.score role="img" aria-label={ "Nutri-Score " (product.grade) } {
            @for grade in GRADES {
                span data-grade=(grade) data-given[grade == product.grade] aria-hidden="true" { (grade) }
            }
        }
    }
}

fn detail(product: &Product) -> Markup {
    html! {
        article.product-page {
            p.number { (product.barcode) }
            h1 { (product.name) }
            p.lead {
                @for (place, brand) in product.brands.iter().enumerate() {
                    @if place > 0 { ", " }
                    a href={ "/food?" (query(&[("brand", Some(&brand.tag))])) } { (brand.name) }
                }
                @if !product.brands.is_empty() { " · " }
                (product.quantity)
            }
            div.verdicts {
                section {
                    h2 { "Nutri-Score" }
                    (score(product))
                    p.facts { (product.score) " points, from −15 to 40; fewer are better" }
                }
                section {
                    h2 { "Processing" }
                    p.nova data-group=(product.nova) { strong { (product.nova) } " " (processing(product.nova)) }
                    @if let Some(energy) = product.energy_kj {
                        p.facts { (energy) " kJ in 100 g" }
                    }
                }
            }
            section {
                h2 { "In it" }
                ul.levels {
                    @for (nutrient, level) in &product.levels {
                        li data-level=(level) {
                            span { (label(nutrient)) }
                            span.meter aria-hidden="true" { i {} i {} i {} }
                            strong { (level) }
                        }
                    }
                }
            }
            p.links {
                a.button.quiet href={ "https://world.openfoodfacts.org/product/" (product.barcode) } rel="noreferrer" { "At Open Food Facts" }
            }
        }
    }
}

/// The four groups of NOVA.
fn processing(nova: u8) -> &'static str {
    match nova {
        1 => "Unprocessed, or minimally",
        2 => "An ingredient of the kitchen",
        3 => "Processed",
        _ => "Ultra-processed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product() -> Product {
        Product {
            barcode: "3017620422003".into(),
            name: "<i>Nut</i>".into(),
            brands: Vec::new(),
            quantity: "400 g".into(),
            nova: 4,
            grade: "E".into(),
            score: 26,
            energy_kj: None,
            levels: [("fat".to_owned(), "high".to_owned())].into(),
        }
    }

    #[test]
    fn a_name_is_text() {
        for html in [card(&product()), detail(&product())] {
            assert!(!html.into_string().contains("<i>Nut"));
        }
    }

    #[test]
    fn one_grade_is_given() {
        let html = score(&product()).into_string();
        assert_eq!(html.matches("data-given").count(), 1);
        assert!(html.contains("data-grade=\"E\" data-given"), "{html}");
    }
}
