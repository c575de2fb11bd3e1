//! Names of upstream in words that visitors read.

/// `mr-mime` as `Mr mime`, `hp` as `HP`.
pub(crate) fn label(name: &str) -> String {
    if matches!(name, "hp") {
        return name.to_ascii_uppercase();
    }
    let words = name.replace(['-', '_'], " ");
    let mut letters = words.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// `generation-iv` as `Generation IV`.
pub(crate) fn generation(name: &str) -> String {
    match name.split_once('-') {
        Some(("generation", number)) => format!("Generation {}", number.to_ascii_uppercase()),
        _ => label(name),
    }
}

/// A number of a species, as `No. 007`.
pub(crate) fn number(id: u32) -> String {
    format!("No. {id:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words() {
        assert_eq!(label("special-attack"), "Special attack");
        assert_eq!(label("hp"), "HP");
        assert_eq!(label(""), "");
        assert_eq!(generation("generation-iv"), "Generation IV");
        assert_eq!(number(7), "No. 007");
    }
}
