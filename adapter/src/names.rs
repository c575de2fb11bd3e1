//! The rules for names, as the contracts word them.

/// A name that breaks its rule.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("{noun} {name:?} must be 1 to 64 characters from `a-z`, `0-9` and `-`")]
    Label { noun: &'static str, name: String },
    #[error("{noun} {name:?} must be 1 to 256 bytes without control characters")]
    Key { noun: &'static str, name: String },
    #[error("topic {0:?} must be 1 to 128 characters from `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`")]
    Topic(String),
    #[error("worker {0:?} must be 1 to 128 characters from `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`")]
    Worker(String),
    #[error("traceparent {0:?} must be as in `00-<32 digits>-<16 digits>-<2 digits>`")]
    Traceparent(String),
    #[error("the value of index {0:?} must be at most 1024 bytes without NUL")]
    EntryValue(String),
    #[error("digest {0:?} must be 64 lower-case hexadecimal digits")]
    Digest(String),
}

/// How much of a wrong name its error repeats.
const SHOWN: usize = 64;

/// A collection, an index, or a service.
pub fn check_label(noun: &'static str, name: &str) -> Result<(), InvalidName> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(InvalidName::Label {
        noun,
        name: shown(name),
    })
}

/// The key of a document, the id of a unit, the id, kind or subject of an event.
pub fn check_key(noun: &'static str, name: &str) -> Result<(), InvalidName> {
    if (1..=256).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(InvalidName::Key {
        noun,
        name: shown(name),
    })
}

pub fn check_topic(name: &str) -> Result<(), InvalidName> {
    if is_plain(name) {
        return Ok(());
    }
    Err(InvalidName::Topic(shown(name)))
}

pub fn check_worker(id: &str) -> Result<(), InvalidName> {
    if is_plain(id) {
        return Ok(());
    }
    Err(InvalidName::Worker(shown(id)))
}

/// The header of that name in version 00, as W3C words it.
pub fn check_traceparent(traceparent: &str) -> Result<(), InvalidName> {
    let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let parts: Vec<&str> = traceparent.split('-').collect();
    if let ["00", trace, span, flags] = parts[..]
        && (trace.len(), span.len(), flags.len()) == (32, 16, 2)
        && [trace, span, flags]
            .iter()
            .all(|part| part.bytes().all(digits))
    {
        return Ok(());
    }
    Err(InvalidName::Traceparent(shown(traceparent)))
}

/// The value of an index entry.
pub fn check_entry_value(index: &str, value: &str) -> Result<(), InvalidName> {
    if value.len() <= 1024 && !value.contains('\0') {
        return Ok(());
    }
    Err(InvalidName::EntryValue(index.to_owned()))
}

pub fn check_digest(digest: &str) -> Result<(), InvalidName> {
    let allowed = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digest.len() == 64 && digest.bytes().all(allowed) {
        return Ok(());
    }
    Err(InvalidName::Digest(shown(digest)))
}

/// 1 to 128 characters that need no quotes anywhere.
fn is_plain(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=128).contains(&name.len()) && name.bytes().all(allowed)
}

fn shown(name: &str) -> String {
    name.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_short_and_plain() {
        for good in ["a", "order-items", "2024", &"x".repeat(64)] {
            assert_eq!(check_label("collection", good), Ok(()), "{good}");
        }
        for bad in ["", "Orders", "a_b", "a/b", "ä", &"x".repeat(65)] {
            assert!(check_label("collection", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_any_printable_text() {
        for good in ["a", "Ü/ x", &"x".repeat(256), &"ü".repeat(128)] {
            assert_eq!(check_key("key", good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a\0",
            "a\nb",
            "\u{85}",
            &"x".repeat(257),
            &"ü".repeat(129),
        ] {
            assert!(check_key("key", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_topic_is_also_a_good_channel_name() {
        for good in ["order.placed", "Images_2-x", &"x".repeat(128)] {
            assert_eq!(check_topic(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a*", "a/b", &"x".repeat(129)] {
            assert!(check_topic(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_traceparent_is_one_of_version_00() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(check_traceparent(good), Ok(()));
        for bad in [
            "",
            "00",
            &good.to_uppercase(),
            &good.replace("00-", "01-"),
            &format!("{good}-00"),
        ] {
            assert!(check_traceparent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_digest_is_lower_case_hexadecimal() {
        assert_eq!(check_digest(&"0f".repeat(32)), Ok(()));
        for bad in ["", &"0F".repeat(32), &"0f".repeat(31), &"0g".repeat(32)] {
            assert!(check_digest(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_repeats_only_the_beginning_of_a_long_name() {
        let checked = check_label("collection", &"X".repeat(100_000));
        assert!(checked.is_err_and(|error| error.to_string().len() < 200));
    }
}
