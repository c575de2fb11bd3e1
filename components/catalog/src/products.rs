//! `GET /catalog/products` and `GET /catalog/products/{barcode}`.

use axum::{
    Json,
    extract::Path,
    response::{IntoResponse as _, Response},
};
use emporium_sdk::{
    document::{self, Range, Selection, entry},
    extract::Query,
    paging::{PageOf, Paging},
    problem::Problem,
};
use http::{HeaderValue, header};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    filter,
    product::{BY_BARCODE, BY_BRAND, BY_GRADE, BY_NOVA, BY_WORD, Product, words},
};

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// The tag of a brand.
    brand: Option<String>,
    /// From 1 to 4.
    nova: Option<u8>,
    /// From `A` to `E`.
    grade: Option<String>,
    /// Words of the name, all of them.
    q: Option<String>,
}

impl Filter {
    fn check(&self) -> Result<(), Problem> {
        let invalid =
            |field, detail: &str| Err(Problem::bad_request("invalid-query", detail).field(field));
        if self.nova.is_some_and(|nova| !(1..=4).contains(&nova)) {
            return invalid("nova", "`nova` is from 1 to 4");
        }
        let is_grade = |grade: &str| matches!(grade, "A" | "B" | "C" | "D" | "E");
        if self.grade().is_some_and(|grade| !is_grade(&grade)) {
            return invalid("grade", "`grade` is from `A` to `E`");
        }
        if self.q.as_deref().is_some_and(|q| words(q).is_empty()) {
            return invalid("q", "`q` has no word");
        }
        Ok(())
    }

    fn grade(&self) -> Option<String> {
        self.grade.as_ref().map(|grade| grade.to_ascii_uppercase())
    }

    /// The index that finds the fewest.
    fn selection(&self) -> Selection {
        let words = self.q.as_deref().map(words).unwrap_or_default();
        if let Some(longest) = words.into_iter().max_by_key(String::len) {
            return Selection::Equal(entry(BY_WORD, longest));
        }
        if let Some(brand) = &self.brand {
            return Selection::Equal(entry(BY_BRAND, brand));
        }
        if let Some(grade) = self.grade() {
            return Selection::Equal(entry(BY_GRADE, grade));
        }
        if let Some(nova) = self.nova {
            return Selection::Equal(entry(BY_NOVA, nova.to_string()));
        }
        Selection::Within(Range {
            index: BY_BARCODE.into(),
            from: None,
            until: None,
        })
    }

    fn wants(&self, product: &Product) -> bool {
        let asked = self.q.as_deref().map(words).unwrap_or_default();
        let has_brand = |tag: &String| product.brands.iter().any(|brand| brand.tag == *tag);
        self.nova.is_none_or(|nova| nova == product.nova)
            && self.grade().is_none_or(|grade| grade == product.grade)
            && self.brand.as_ref().is_none_or(has_brand)
            && (asked.is_empty() || asked.is_subset(&words(&product.name)))
    }
}

/// List products.
#[utoipa::path(get, path = "/catalog/products", tag = "catalog", params(Filter, Paging),
    responses((status = 200, body = PageOf<Product>), (status = 400, body = Problem)))]
pub(crate) async fn list(
    Query(filter): Query<Filter>,
    paging: Paging,
) -> Result<Response, Problem> {
    filter.check()?;
    let page = filter::list(
        filter.selection(),
        paging.limit,
        paging.cursor.clone(),
        |product| filter.wants(product),
    )
    .await?;
    let products: Vec<Product> = page.documents.into_iter().map(|d| d.value).collect();
    Ok(paging.page(products, page.next))
}

/// Look at a product.
#[utoipa::path(get, path = "/catalog/products/{barcode}", tag = "catalog",
    params(("barcode" = String, Path)),
    responses((status = 200, body = Product), (status = 404, body = Problem)))]
pub(crate) async fn get(Path(barcode): Path<String>) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("no-such-product", "there is no product of this barcode");
    let is_barcode = barcode.len() <= 24 && !barcode.is_empty();
    if !is_barcode || !barcode.bytes().all(|b| b.is_ascii_digit()) {
        return Err(unknown());
    }
    let product = document::get::<Product>(barcode)
        .await?
        .ok_or_else(unknown)?;
    let etag =
        HeaderValue::from_str(&format!("\"{}\"", product.version)).map_err(Problem::internal)?;
    Ok(([(header::ETAG, etag)], Json(product.value)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product() -> Product {
        Product {
            barcode: "1".into(),
            name: "Dark chocolate".into(),
            brands: vec![crate::product::Brand {
                tag: "x".into(),
                name: "X".into(),
            }],
            quantity: "1 g".into(),
            image_url: String::new(),
            nova: 4,
            grade: "E".into(),
            score: 20,
            energy_kj: None,
            levels: Default::default(),
        }
    }

    fn filter(q: &str, brand: &str, grade: &str) -> Filter {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Filter {
            brand: given(brand),
            nova: Some(4),
            grade: given(grade),
            q: given(q),
        }
    }

    #[test]
    fn all_wishes_count() {
        for (q, brand, grade, wanted) in [
            ("", "", "", true),
            ("CHOCOLATE", "x", "e", true),
            ("chocolate dark", "", "", true),
            ("chocolate milk", "", "", false),
            ("", "y", "", false),
            ("", "", "A", false),
        ] {
            let filter = filter(q, brand, grade);
            assert_eq!(filter.wants(&product()), wanted, "{filter:?}");
        }
    }

    #[test]
    fn the_longest_word_finds_the_fewest() {
        let selection = filter("dark chocolate", "x", "E").selection();
        assert!(
            matches!(&selection, Selection::Equal(entry) if entry.value == "chocolate"),
            "{selection:?}"
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(filter("", "", "F").check().is_err());
        assert!(filter("!?", "", "").check().is_err());
        let nova = Filter {
            nova: Some(5),
            ..Filter::default()
        };
        assert!(nova.check().is_err());
    }
}
