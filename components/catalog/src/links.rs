//! The media that a variety links to: every distinct URL, and what it shows.

use std::collections::BTreeSet;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::pokeapi::PokemonRecord;

/// A picture or sound elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaLink {
    pub(crate) url: String,
    /// What it shows, in words.
    pub(crate) description: String,
}

/// The links of a variety, the plainest view first. A URL that is given for
/// several views is described by the plainest of them.
pub(crate) fn media_links(pokemon: &PokemonRecord) -> Vec<MediaLink> {
    let mut found = Vec::new();
    collect(&pokemon.sprites, &mut Vec::new(), &mut found);
    collect(&pokemon.cries, &mut vec!["cry"], &mut found);
    found.sort();
    let mut known = BTreeSet::new();
    let mut links = Vec::new();
    for (view, url) in found {
        if known.insert(url) {
            links.push(MediaLink {
                url: url.to_owned(),
                description: view.words,
            });
        }
    }
    links
}

/// The id of the file that a URL becomes, which is the same for whoever asks.
pub(crate) fn media_id(url: &str) -> Uuid {
    let digest = Sha256::digest(url.as_bytes());
    let mut bytes = [0; 16];
    bytes
        .iter_mut()
        .zip(digest)
        .for_each(|(byte, from)| *byte = from);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Where in the tree a URL stood, ordered by how plain a view that is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct View {
    depth: usize,
    from_behind: bool,
    is_variation: bool,
    words: String,
}

fn collect<'tree>(
    tree: &'tree Value,
    path: &mut Vec<&'tree str>,
    found: &mut Vec<(View, &'tree str)>,
) {
    match tree {
        Value::String(text) if text.starts_with("https://") || text.starts_with("http://") => {
            found.push((View::of(path), text));
        }
        Value::Object(members) => {
            for (name, member) in members {
                path.push(name);
                collect(member, path, found);
                path.pop();
            }
        }
        Value::Array(items) => {
            for item in items {
                collect(item, path, found);
            }
        }
        _ => {}
    }
}

impl View {
    fn of(path: &[&str]) -> Self {
        let last = path.last().copied().unwrap_or_default();
        // These two only group.
        let parts = path
            .iter()
            .filter(|part| !matches!(**part, "other" | "versions"));
        let words: Vec<String> = parts.map(|part| part.replace(['_', '-'], " ")).collect();
        Self {
            depth: path.len(),
            from_behind: last.starts_with("back"),
            is_variation: !last.ends_with("default") && last != "latest",
            words: words.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pokemon(sprites: Value) -> PokemonRecord {
        PokemonRecord {
            id: 1,
            name: "bulbasaur".into(),
            height: 7,
            weight: 69,
            types: Vec::new(),
            stats: Vec::new(),
            sprites,
            cries: json!({"latest": "https://m/l.ogg", "legacy": null}),
        }
    }

    fn described(links: &[MediaLink]) -> Vec<(&str, &str)> {
        links
            .iter()
            .map(|link| (link.url.as_str(), link.description.as_str()))
            .collect()
    }

    #[test]
    fn each_url_is_there_once_under_its_plainest_view() {
        let links = media_links(&pokemon(json!({
            "back_default": "https://m/1.png",
            "front_default": "https://m/1.png",
            "front_shiny": "https://m/s.png",
            "front_female": null,
            "other": {"official-artwork": {"front_default": "https://m/big.png"}},
        })));
        assert_eq!(
            described(&links),
            [
                ("https://m/1.png", "front default"),
                ("https://m/s.png", "front shiny"),
                ("https://m/l.ogg", "cry, latest"),
                ("https://m/big.png", "official artwork, front default"),
            ]
        );
    }

    #[test]
    fn what_is_no_url_is_no_link() {
        let links = media_links(&pokemon(
            json!({"a": "file:///etc/passwd", "b": 1, "c": ["x"]}),
        ));
        assert_eq!(described(&links), [("https://m/l.ogg", "cry, latest")]);
    }

    #[test]
    fn a_url_always_has_the_same_id() {
        assert_eq!(media_id("https://m/1.png"), media_id("https://m/1.png"));
        assert_ne!(media_id("https://m/1.png"), media_id("https://m/2.png"));
    }
}
