//! The product step: reads a page of Open Food Facts, keeps what passes the rules,
//! counts what does not, and asks for the next page.

use std::collections::{BTreeMap, BTreeSet};

use emporium_sdk::{
    catalog_events::ProductPageRequested,
    consumer::{Received, Verdict},
    document,
    unit::Unit,
};
use serde::Deserialize;
use url::Url;

use crate::{
    ingest::{Part, Piece, ProductCounts, State, Step},
    product::{FIELDS, Offer, Product, STATES},
    reactions::relay,
    relay::{Relay, RelayError},
    settings::Source,
};

/// Products on a page.
const PAGE_SIZE: usize = 100;

/// `/api/v2/search`.
#[derive(Debug, Deserialize)]
struct Page {
    products: Vec<Offer>,
}

/// `/brands.json`.
#[derive(Debug, Deserialize)]
struct Brands {
    tags: Vec<BrandTag>,
}

#[derive(Debug, Deserialize)]
struct BrandTag {
    id: String,
    name: String,
}

pub(crate) async fn handle(
    received: &Received,
    step: &ProductPageRequested,
) -> Result<Unit, Verdict> {
    let (relay, settings) = relay().await?;
    let brands = brands(relay, &settings.openfoodfacts).await?;
    let url = page_url(&settings.openfoodfacts, step.page);
    let page: Page = serde_json::from_slice(&relay.get(&url).await?)
        .map_err(|error| Verdict::reject(format!("{url} does not read: {error}")))?;
    let mut unit = received.unit();
    let Some(mut part) = document::get::<Part>(step.part()).await? else {
        // Somebody removed the ingest.
        return Ok(unit);
    };
    let is_last = page.products.is_empty() || step.page >= step.last;
    part.value.products = store(&mut unit, page.products, &brands).await?;
    part.value.state = State::Stored;
    unit.update(&part)?;
    if !is_last {
        let next = ProductPageRequested {
            page: step.page + 1,
            ..step.clone()
        };
        // A dead letter may be replayed when the next page is there already.
        unit.overwrite(&Part::open(&step.ingest, Piece::Page(next.page)))?;
        unit.publish(&next)?;
    }
    Ok(unit)
}

fn page_url(source: &Source, page: u32) -> Url {
    let mut url = source.resource(&["api", "v2", "search"]);
    url.query_pairs_mut()
        .append_pair("states_tags", &STATES.join(","))
        .append_pair("fields", FIELDS)
        .append_pair("sort_by", "created_t")
        .append_pair("page_size", &PAGE_SIZE.to_string())
        .append_pair("page", &page.to_string());
    url
}

/// The names of brands by their tags: read once, and kept by the relay. Where there
/// is no such list, names are made of the tags.
async fn brands(relay: &Relay, source: &Source) -> Result<BTreeMap<String, String>, Verdict> {
    let url = source.resource(&["brands.json"]);
    let body = match relay.get(&url).await {
        Ok(body) => body,
        Err(RelayError::Absent(_) | RelayError::Refused(_)) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.into()),
    };
    let brands: Brands = serde_json::from_slice(&body)
        .map_err(|error| Verdict::reject(format!("{url} does not read: {error}")))?;
    let named = brands.tags.into_iter().map(|tag| (tag.id, tag.name));
    Ok(named.collect())
}

async fn store(
    unit: &mut Unit,
    offers: Vec<Offer>,
    brands: &BTreeMap<String, String>,
) -> Result<ProductCounts, Verdict> {
    let mut counts = ProductCounts {
        found: offers.len() as u64,
        ..ProductCounts::default()
    };
    let mut products: Vec<Product> = Vec::new();
    let mut known = BTreeSet::new();
    for offer in &offers {
        match Product::parse(offer, brands) {
            Ok(product) if known.insert(product.barcode.clone()) => products.push(product),
            Ok(_) => counts.duplicates += 1,
            Err(rejection) => {
                *counts.rejected.entry(rejection.name().into()).or_default() += 1;
            }
        }
    }
    let keys = products.iter().map(|product| product.barcode.clone());
    let before = match products.is_empty() {
        true => Vec::new(),
        false => document::get_many::<Product>(keys.collect()).await?,
    };
    for (product, before) in products.into_iter().zip(before) {
        match before {
            Some(before) if before.value == product => counts.unchanged += 1,
            Some(mut before) => {
                before.value = product;
                unit.update(&before)?;
                counts.stored += 1;
            }
            None => {
                unit.create(&product)?;
                counts.stored += 1;
            }
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::InvalidSource;

    #[test]
    fn the_query_is_spelt_as_upstream_wants_it() -> Result<(), InvalidSource> {
        let source: Source = "https://world.openfoodfacts.org".parse()?;
        let url = page_url(&source, 3);
        let pairs: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(url.path(), "/api/v2/search");
        assert_eq!(pairs.get("page").map(String::as_str), Some("3"));
        assert_eq!(pairs.get("page_size").map(String::as_str), Some("100"));
        assert_eq!(pairs.get("fields").map(String::as_str), Some(FIELDS));
        let states = pairs.get("states_tags").map_or(0, |s| s.split(',').count());
        assert_eq!(states, 6);
        Ok(())
    }
}
