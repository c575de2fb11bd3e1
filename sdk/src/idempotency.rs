//! `Idempotency-Key`: a request that is sent again does what it did before.

use http::{HeaderMap, StatusCode};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::problem::Problem;

/// The header.
const KEY: &str = "Idempotency-Key";

/// The identity of what a request makes: made from its `Idempotency-Key`, so that
/// the same key finds what it made before, or new.
pub fn identity(headers: &HeaderMap) -> Result<Uuid, Problem> {
    let Some(key) = headers.get(KEY) else {
        return Ok(Uuid::now_v7());
    };
    let is_key = (1..=255).contains(&key.len()) && key.as_bytes().iter().all(u8::is_ascii_graphic);
    if !is_key {
        return Err(Problem::bad_request(
            "invalid-idempotency-key",
            "`Idempotency-Key` has 1 to 255 visible characters",
        )
        .field(KEY));
    }
    let digest = Sha256::digest(key.as_bytes());
    let mut bytes = [0; 16];
    bytes
        .iter_mut()
        .zip(digest)
        .for_each(|(byte, from)| *byte = from);
    Ok(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// The answer to a key that came with another request before.
pub fn reused() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
        "this `Idempotency-Key` came with another request before",
    )
    .field(KEY)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn key(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn a_key_always_makes_the_same_identity() {
        let [first, again, other] = ["a", "a", "b"].map(|k| identity(&key(k)).ok());
        assert!(first.is_some() && first == again && first != other);
    }

    #[test]
    fn without_a_key_every_request_is_new() {
        let none = HeaderMap::new();
        assert_ne!(identity(&none).ok(), identity(&none).ok());
    }

    #[test]
    fn a_malformed_key_is_refused() {
        assert!(identity(&key("")).is_err());
        assert!(identity(&key("a b")).is_err());
    }
}
