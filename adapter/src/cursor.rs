//! Cursors: where a page of a listing ended, opaque to whoever carries them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// A cursor that no listing of this kind has given out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one that this listing gave out")]
pub struct InvalidCursor;

/// The integers of databases are signed.
const LARGEST: u64 = i64::MAX as u64;

/// The place between two texts, as in an index.
pub fn write_texts<const N: usize>(place: [&str; N]) -> String {
    encode(place.into_iter().map(Value::from).collect())
}

pub fn parse_texts<const N: usize>(cursor: &str) -> Result<[String; N], InvalidCursor> {
    decode(cursor, |value| match value {
        // Not every database can compare what contains NUL.
        Value::String(text) if !text.contains('\0') => Some(text),
        _ => None,
    })
}

/// The place between two numbers, as in a history.
pub fn write_numbers<const N: usize>(place: [u64; N]) -> String {
    encode(place.into_iter().map(Value::from).collect())
}

pub fn parse_numbers<const N: usize>(cursor: &str) -> Result<[u64; N], InvalidCursor> {
    decode(cursor, |value| {
        value.as_u64().filter(|number| *number <= LARGEST)
    })
}

fn encode(place: Vec<Value>) -> String {
    URL_SAFE_NO_PAD.encode(Value::Array(place).to_string())
}

fn decode<T, const N: usize>(
    cursor: &str,
    part: impl Fn(Value) -> Option<T>,
) -> Result<[T; N], InvalidCursor> {
    let json = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)?;
    let place: Vec<Value> = serde_json::from_slice(&json).map_err(|_| InvalidCursor)?;
    let place: Option<Vec<T>> = place.into_iter().map(part).collect();
    place
        .and_then(|place| place.try_into().ok())
        .ok_or(InvalidCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        assert_eq!(
            parse_texts(&write_texts(["ä\"", ""])),
            Ok(["ä\"".to_owned(), String::new()])
        );
        assert_eq!(
            parse_numbers(&write_numbers([0, LARGEST])),
            Ok([0, LARGEST])
        );
    }

    #[test]
    fn a_cursor_of_another_kind_is_refused() {
        assert_eq!(
            parse_texts::<1>(&write_texts(["a", "b"])),
            Err(InvalidCursor)
        );
        assert_eq!(parse_texts::<2>(&write_numbers([1, 2])), Err(InvalidCursor));
        assert_eq!(
            parse_numbers::<2>(&write_texts(["1", "2"])),
            Err(InvalidCursor)
        );
        assert_eq!(parse_texts::<1>(&write_texts(["\0"])), Err(InvalidCursor));
        assert_eq!(
            parse_numbers::<1>(&write_numbers([u64::MAX])),
            Err(InvalidCursor)
        );
        for garbage in ["", "%", "AAAA", "bnVsbA"] {
            assert_eq!(parse_texts::<1>(garbage), Err(InvalidCursor), "{garbage}");
        }
    }
}
