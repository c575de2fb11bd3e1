//! A product, and the rules by which it is taken from Open Food Facts.

use std::collections::{BTreeMap, BTreeSet};

use emporium_sdk::document::{Document, Entry, entry};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The index of all products by barcode.
pub(crate) const BY_BARCODE: &str = "barcode";
/// The index of products by the tag of each of their brands.
pub(crate) const BY_BRAND: &str = "brand";
pub(crate) const BY_NOVA: &str = "nova";
pub(crate) const BY_GRADE: &str = "grade";
/// The index of products by each word of their names.
pub(crate) const BY_WORD: &str = "word";

/// The members that are asked for: those of `Offer`, and no other.
pub(crate) const FIELDS: &str = "code,product_name,brands_tags,quantity,image_url,nova_group,\
     nutriscore_grade,nutriscore_score,nutriments,nutrient_levels,states_tags";

/// What volunteers must have seen to.
pub(crate) const STATES: [&str; 6] = [
    "en:product-name-completed",
    "en:brands-completed",
    "en:quantity-completed",
    "en:front-photo-selected",
    "en:nutrition-facts-completed",
    "en:checked",
];

/// The nutrients whose levels are kept.
const NUTRIENTS: [&str; 4] = ["fat", "saturated-fat", "sugars", "salt"];

/// The most words of a name that it is found by.
const WORDS: usize = 24;

/// A product that was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = CatalogProduct)]
pub(crate) struct Product {
    pub(crate) barcode: String,
    pub(crate) name: String,
    pub(crate) brands: Vec<Brand>,
    pub(crate) quantity: String,
    pub(crate) image_url: String,
    /// How processed it is, from 1 to 4.
    pub(crate) nova: u8,
    /// Nutri-Score, from `A` to `E`.
    pub(crate) grade: String,
    /// Nutri-Score in points, from -15 to 40.
    pub(crate) score: i32,
    /// Kilojoules in 100 g, where they are known.
    pub(crate) energy_kj: Option<f64>,
    /// `low`, `moderate` or `high`, by nutrient.
    pub(crate) levels: BTreeMap<String, String>,
}

/// A brand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProductBrand)]
pub(crate) struct Brand {
    /// Its name in lower case, with `-` between words.
    pub(crate) tag: String,
    pub(crate) name: String,
}

/// A product as Open Food Facts has it. Volunteers fill it in, so a number may
/// come as a text, and anything may be missing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Offer {
    pub(crate) code: Value,
    pub(crate) product_name: Option<String>,
    pub(crate) brands_tags: Option<Vec<String>>,
    pub(crate) quantity: Option<String>,
    pub(crate) image_url: Option<String>,
    pub(crate) nova_group: Value,
    pub(crate) nutriscore_grade: Option<String>,
    pub(crate) nutriscore_score: Value,
    pub(crate) nutriments: Value,
    pub(crate) nutrient_levels: BTreeMap<String, Value>,
    pub(crate) states_tags: Vec<String>,
}

/// Why an offer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rejection {
    StatesIncomplete,
    NoBarcode,
    NoName,
    NoQuantity,
    NoImage,
    NovaOutOfRange,
    ScoreOutOfRange,
    GradeUnknown,
    LevelsUnknown,
}

impl Rejection {
    /// The name that callers see.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::StatesIncomplete => "states-incomplete",
            Self::NoBarcode => "no-barcode",
            Self::NoName => "no-name",
            Self::NoQuantity => "no-quantity",
            Self::NoImage => "no-image",
            Self::NovaOutOfRange => "nova-out-of-range",
            Self::ScoreOutOfRange => "score-out-of-range",
            Self::GradeUnknown => "grade-unknown",
            Self::LevelsUnknown => "levels-unknown",
        }
    }
}

impl Product {
    /// Take an offer, or say what is the first thing wrong with it. `brands` knows
    /// the names of brands by their tags.
    pub(crate) fn parse(
        offer: &Offer,
        brands: &BTreeMap<String, String>,
    ) -> Result<Self, Rejection> {
        let states: BTreeSet<&str> = offer.states_tags.iter().map(String::as_str).collect();
        if !STATES.iter().all(|state| states.contains(state)) {
            return Err(Rejection::StatesIncomplete);
        }
        let barcode = barcode(&offer.code).ok_or(Rejection::NoBarcode)?;
        let name = filled(&offer.product_name).ok_or(Rejection::NoName)?;
        let quantity = filled(&offer.quantity).ok_or(Rejection::NoQuantity)?;
        let image_url = filled(&offer.image_url)
            .filter(|url| url.starts_with("https://") || url.starts_with("http://"))
            .ok_or(Rejection::NoImage)?;
        let nova = whole(&offer.nova_group)
            .filter(|nova| (1..=4).contains(nova))
            .and_then(|nova| u8::try_from(nova).ok())
            .ok_or(Rejection::NovaOutOfRange)?;
        let score = whole(&offer.nutriscore_score)
            .filter(|score| (-15..=40).contains(score))
            .and_then(|score| i32::try_from(score).ok())
            .ok_or(Rejection::ScoreOutOfRange)?;
        let grade = filled(&offer.nutriscore_grade)
            .map(|grade| grade.to_ascii_uppercase())
            .filter(|grade| matches!(grade.as_str(), "A" | "B" | "C" | "D" | "E"))
            .ok_or(Rejection::GradeUnknown)?;
        let levels = levels(&offer.nutrient_levels).ok_or(Rejection::LevelsUnknown)?;
        let tags = offer.brands_tags.iter().flatten();
        Ok(Self {
            barcode,
            name,
            brands: tags.map(|tag| Brand::named(tag, brands)).collect(),
            quantity,
            image_url,
            nova,
            grade,
            score,
            energy_kj: number(offer.nutriments.get("energy_100g")),
            levels,
        })
    }
}

impl Brand {
    /// The brand of a tag, by its known name or one made of the tag.
    fn named(tag: &str, known: &BTreeMap<String, String>) -> Self {
        // A tag may name its language first.
        let bare = tag.split_once(':').map_or(tag, |(_, bare)| bare);
        let name = known.get(bare).cloned().unwrap_or_else(|| {
            let words = bare.split('-').filter(|word| !word.is_empty());
            words.map(capitalised).collect::<Vec<_>>().join(" ")
        });
        Self {
            tag: bare.to_owned(),
            name,
        }
    }
}

impl Document for Product {
    const COLLECTION: &'static str = "products";

    fn key(&self) -> String {
        self.barcode.clone()
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = vec![
            entry(BY_BARCODE, &self.barcode),
            entry(BY_NOVA, self.nova.to_string()),
            entry(BY_GRADE, &self.grade),
        ];
        let brands: BTreeSet<&str> = self.brands.iter().map(|brand| brand.tag.as_str()).collect();
        entries.extend(brands.into_iter().take(24).map(|tag| entry(BY_BRAND, tag)));
        entries.extend(
            words(&self.name)
                .into_iter()
                .take(WORDS)
                .map(|word| entry(BY_WORD, word)),
        );
        entries
    }
}

/// The words of a text, as they are searched for: lower case, each once, in the
/// order of the alphabet.
pub(crate) fn words(text: &str) -> BTreeSet<String> {
    text.to_lowercase()
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty() && word.len() <= 100)
        .map(str::to_owned)
        .collect()
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

fn filled(text: &Option<String>) -> Option<String> {
    let text = text.as_deref()?.trim();
    (!text.is_empty() && text.len() <= 2_000).then(|| text.to_owned())
}

/// 4 to 24 digits: GTINs have up to 14, and shops make their own.
fn barcode(code: &Value) -> Option<String> {
    let code = match code {
        Value::String(code) => code.trim().to_owned(),
        Value::Number(code) => code.to_string(),
        _ => return None,
    };
    let is_barcode = (4..=24).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
    is_barcode.then_some(code)
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_i64().or_else(|| {
            let number = value.as_f64()?;
            (number.fract() == 0.0 && number.abs() < 1e9).then_some(number as i64)
        }),
    }
}

fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    }
}

/// The levels, if there are all of them and each is one of the three.
fn levels(given: &BTreeMap<String, Value>) -> Option<BTreeMap<String, String>> {
    NUTRIENTS
        .into_iter()
        .map(|nutrient| {
            let level = given.get(nutrient)?.as_str()?;
            matches!(level, "low" | "moderate" | "high")
                .then(|| (nutrient.to_owned(), level.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn offer() -> Value {
        json!({
            "code": "3017620422003", "product_name": "Crème à tartiner", "quantity": "400 g",
            "brands_tags": ["nutella", "xx:la-belle-vie"], "image_url": "https://i/1.jpg",
            "nova_group": 4, "nutriscore_grade": "e", "nutriscore_score": 26,
            "nutriments": {"energy_100g": 2252},
            "nutrient_levels": {"fat": "high", "saturated-fat": "high", "sugars": "moderate", "salt": "low"},
            "states_tags": STATES,
        })
    }

    fn parse(offer: Value) -> Result<Product, Rejection> {
        let known = BTreeMap::from([("nutella".to_owned(), "NUTELLA®".to_owned())]);
        let offer: Offer = serde_json::from_value(offer).unwrap_or_default();
        Product::parse(&offer, &known)
    }

    fn with(member: &str, value: Value) -> Result<Product, Rejection> {
        let mut offer = offer();
        if let Some(members) = offer.as_object_mut() {
            members.insert(member.into(), value);
        }
        parse(offer)
    }

    #[test]
    fn a_whole_offer_is_taken() -> Result<(), Rejection> {
        let product = parse(offer())?;
        assert_eq!((product.grade.as_str(), product.nova), ("E", 4));
        let brands: Vec<&str> = product.brands.iter().map(|b| b.name.as_str()).collect();
        assert_eq!(brands, ["NUTELLA®", "La Belle Vie"]);
        assert_eq!(product.energy_kj, Some(2252.0));
        Ok(())
    }

    #[test]
    fn each_rule_rejects_by_its_own_name() {
        for (member, value, rejection) in [
            (
                "states_tags",
                json!(["en:checked"]),
                Rejection::StatesIncomplete,
            ),
            ("code", json!("12ab"), Rejection::NoBarcode),
            ("code", json!(null), Rejection::NoBarcode),
            ("product_name", json!(" "), Rejection::NoName),
            ("quantity", json!(""), Rejection::NoQuantity),
            ("image_url", json!(null), Rejection::NoImage),
            (
                "image_url",
                json!("javascript:alert(1)"),
                Rejection::NoImage,
            ),
            ("nova_group", json!(0), Rejection::NovaOutOfRange),
            ("nova_group", json!(5), Rejection::NovaOutOfRange),
            ("nova_group", json!(2.5), Rejection::NovaOutOfRange),
            ("nutriscore_score", json!(-16), Rejection::ScoreOutOfRange),
            ("nutriscore_score", json!(41), Rejection::ScoreOutOfRange),
            ("nutriscore_grade", json!("f"), Rejection::GradeUnknown),
            (
                "nutriscore_grade",
                json!("unknown"),
                Rejection::GradeUnknown,
            ),
            (
                "nutrient_levels",
                json!({"fat": "high"}),
                Rejection::LevelsUnknown,
            ),
        ] {
            assert_eq!(
                with(member, value.clone()),
                Err(rejection),
                "{member} {value}"
            );
        }
    }

    #[test]
    fn the_ends_of_the_ranges_are_taken() {
        for (member, value) in [
            ("nova_group", json!(1)),
            ("nova_group", json!("4")),
            ("nutriscore_score", json!(-15)),
            ("nutriscore_score", json!("40")),
            ("nutriscore_grade", json!("A")),
        ] {
            assert!(with(member, value.clone()).is_ok(), "{member} {value}");
        }
    }

    #[test]
    fn every_member_that_is_read_is_asked_for() {
        let members = offer();
        let read: BTreeSet<&str> = members
            .as_object()
            .into_iter()
            .flat_map(|members| members.keys().map(String::as_str))
            .collect();
        let asked: BTreeSet<&str> = FIELDS.split(',').collect();
        assert_eq!(asked, read);
    }

    #[test]
    fn a_name_is_found_by_its_words() {
        let found: Vec<String> = words("Crème à Tartiner, à la noisette")
            .into_iter()
            .collect();
        assert_eq!(found, ["crème", "la", "noisette", "tartiner", "à"]);
    }
}
