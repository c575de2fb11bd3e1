//! The nine generations of species.

/// The names of PokeAPI, the first one first.
const NAMES: [&str; 9] = [
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

/// The generations that an ingest asks for: one by its name, or `all`.
pub(crate) fn asked_for(name: &str) -> Option<Vec<&'static str>> {
    if name == "all" {
        return Some(NAMES.to_vec());
    }
    find(name).map(|name| vec![name])
}

/// The generation of this name.
pub(crate) fn find(name: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|known| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_nine_and_one_is_one() {
        assert_eq!(asked_for("all").map(|all| all.len()), Some(9));
        assert_eq!(asked_for("generation-iv"), Some(vec!["generation-iv"]));
        for unknown in ["generation-x", "1", "", "Generation-I"] {
            assert_eq!(asked_for(unknown), None, "{unknown}");
        }
    }
}
