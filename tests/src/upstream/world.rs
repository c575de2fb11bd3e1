//! What there is to be asked for: a few species and products.

use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};
use serde_json::{Value, json};

use super::Upstream;
use crate::pictures::encode;

impl Upstream {
    /// Put a species there: its record, its one variety, and media for it.
    pub fn species(&self, id: u32, name: &str, chain: u32, mythical: bool) {
        let base = &self.origin;
        let named = |kind: &str, name: &str| json!({"name": name, "url": format!("{base}/api/v2/{kind}/{name}/")});
        let pokemon = json!({"name": name, "url": format!("{base}/api/v2/pokemon/{id}/")});
        let text = |text: &str, language: &str| json!({"flavor_text": text, "language": named("language", language)});
        self.json(
            &format!("/api/v2/pokemon-species/{name}"),
            &json!({
                "id": id, "name": name, "generation": named("generation", "generation-i"),
                "names": [{"name": english_name(name), "language": named("language", "en")}],
                "flavor_text_entries": [
                    text("There is a plant seed on its back\nright from the day this\u{c}POKéMON is born.", "en"),
                    text("Au matin de sa vie.", "fr"),
                ],
                "genera": [{"genus": "Seed Pokémon", "language": named("language", "en")}],
                "evolution_chain": {"url": format!("{base}/api/v2/evolution-chain/{chain}/")},
                "varieties": [{"is_default": true, "pokemon": pokemon}],
                "is_legendary": false, "is_mythical": mythical, "is_baby": false,
            }),
        );
        let media = |kind: &str| format!("{base}/media/{id}{kind}");
        self.json(
            &format!("/api/v2/pokemon/{id}/"),
            &json!({
                "id": id, "name": name, "height": 7, "weight": 69,
                "types": [
                    {"slot": 2, "type": named("type", "poison")},
                    {"slot": 1, "type": named("type", if mythical { "psychic" } else { "grass" })},
                ],
                "stats": [
                    {"base_stat": 45, "stat": named("stat", "hp")},
                    {"base_stat": 49, "stat": named("stat", "attack")},
                ],
                "sprites": {
                    "front_default": media(".png"), "back_default": media(".png"),
                    "front_female": null,
                    "other": {
                        "dream_world": {"front_default": media(".svg")},
                        "showdown": {"front_default": media(".gif")},
                    },
                },
                "cries": {"latest": media(".ogg"), "legacy": null},
            }),
        );
        self.serve(&format!("/media/{id}.png"), "image/png", sprite(id));
        self.serve(&format!("/media/{id}.svg"), "image/svg+xml", svg());
        self.serve(&format!("/media/{id}.gif"), "image/gif", animated_gif());
        self.serve(&format!("/media/{id}.ogg"), "audio/ogg", ogg(id));
    }

    /// Answer `/api/v2/search` with these products, on one page.
    pub fn products(&self, products: &[Value]) {
        self.json("/api/v2/search?page=1", &json!({"products": products}));
        self.json("/api/v2/search?page=2", &json!({"products": []}));
    }

    fn json(&self, path: &str, value: &Value) {
        self.serve(path, "application/json", value.to_string().into_bytes());
    }

    pub(super) fn fill(&self) {
        let base = &self.origin;
        let species = |name: &str| json!({"name": name, "url": format!("{base}/api/v2/pokemon-species/{name}/")});
        let all = ["bulbasaur", "ivysaur", "mew"].map(species);
        let generation = json!({"pokemon_species": all});
        self.json("/api/v2/generation/generation-i", &generation);
        let ivysaur = json!({"species": species("ivysaur"), "evolves_to": []});
        let chain = json!({"chain": {"species": species("bulbasaur"), "evolves_to": [ivysaur]}});
        self.json("/api/v2/evolution-chain/1/", &chain);
        let chain = json!({"chain": {"species": species("mew"), "evolves_to": []}});
        self.json("/api/v2/evolution-chain/78/", &chain);
        self.species(1, "bulbasaur", 1, false);
        self.species(2, "ivysaur", 1, false);
        self.species(151, "mew", 78, true);
    }
}

/// A small picture with transparency, different for each `seed`.
pub fn sprite(seed: u32) -> Vec<u8> {
    let picture = RgbaImage::from_fn(24, 20, |x, y| {
        let level = |factor: u32| (x * factor + y * 7 + seed * 31) as u8;
        Rgba([level(11), level(5), level(3), level(13)])
    });
    encode(&DynamicImage::ImageRgba8(picture), ImageFormat::Png)
}

/// What a species is called: not always what its name in URLs looks like.
fn english_name(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).chain(['♀']).collect()
}

fn svg() -> Vec<u8> {
    let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'>\
         <script>alert(1)</script><rect width='8' height='8' fill='teal'/></svg>";
    svg.into()
}

fn ogg(seed: u32) -> Vec<u8> {
    [b"OggS\0\x02".as_slice(), &seed.to_le_bytes(), &[0; 64]].concat()
}

/// A GIF of two pictures, each one pixel.
fn animated_gif() -> Vec<u8> {
    let head = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    let picture = b"\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0";
    [head, picture.repeat(2), b"\x3b".to_vec()].concat()
}
