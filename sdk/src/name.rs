//! The rule for names that may come from a request: keys of documents and ordering
//! keys.

/// The most bytes of a name, as the contract has it.
const MOST_BYTES: usize = 256;

/// How much of a wrong name its error repeats.
const SHOWN: usize = 64;

/// A name that breaks the rule.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{noun} {name:?} must be 1 to {MOST_BYTES} bytes without control characters")]
pub struct InvalidName {
    noun: &'static str,
    name: String,
}

/// Check a name. The adapter does so too, but only when it is asked: a unit that is
/// parked meanwhile would be refused when nobody waits for the answer.
pub(crate) fn check_name(noun: &'static str, name: &str) -> Result<(), InvalidName> {
    if (1..=MOST_BYTES).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(InvalidName {
        noun,
        name: name.chars().take(SHOWN).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_any_printable_text() {
        for good in ["a", "Ü/ x", &"x".repeat(256), &"ü".repeat(128)] {
            assert_eq!(check_name("ordering key", good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a\0",
            "a\nb",
            "\u{85}",
            &"x".repeat(257),
            &"ü".repeat(129),
        ] {
            let error = check_name("ordering key", bad).err();
            let error = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with("ordering key "), "{bad:?}: {error}");
            assert!(error.len() < 400, "{error}");
        }
    }
}
