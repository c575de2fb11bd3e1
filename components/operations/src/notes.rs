//! What this service remembers from one call to the next, in whatever instance: a
//! host may use a fresh one for each.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, de::DeserializeOwned};
use spin_sdk::key_value::Store;

/// The store that it shares with the parked writes, whose keys are UUIDs.
const STORE: &str = "parked";

/// Why a note cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoteError {
    #[error("the key-value store `{STORE}`: {0}")]
    Store(#[from] spin_sdk::key_value::Error),
    #[error("a note does not serialise: {0}")]
    Unserialisable(#[from] serde_json::Error),
}

/// Read a note. One that does not read is none: an older release wrote it.
pub(crate) async fn read<T: DeserializeOwned>(name: &str) -> Result<Option<T>, NoteError> {
    let bytes = Store::open(STORE).await?.get(name).await?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Write a note, in the place of what it said before.
pub(crate) async fn write<T: Serialize>(name: &str, note: &T) -> Result<(), NoteError> {
    let bytes = serde_json::to_vec(note)?;
    Ok(Store::open(STORE).await?.set(name, bytes).await?)
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
