//! The right to fill a shelf: one holder at a time, over all instances.
//!
//! A key-value store has no atomic change, and two that fill one shelf at once
//! would lose what the other put there, so that upstream is asked again. The
//! platform's documents have one.

use std::time::Duration;

use emporium_sdk::{
    document::{self, Document, Stored},
    journal::CommitError,
    trace::Trace,
    unit::Unit,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{RelayError, now_ms, shelf::Place};
use crate::SERVICE;

/// Longer than any holder needs, so that only one that died loses it.
const HELD_MS: u64 = 60_000;

/// How long to wait for a holder before giving up, and between two looks.
const PATIENCE_MS: u64 = 22_000;
const LOOK_AGAIN: Duration = Duration::from_millis(15);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Lock {
    shelf: String,
    holder: Uuid,
    until_ms: u64,
}

impl Document for Lock {
    const COLLECTION: &'static str = "relay-locks";

    fn key(&self) -> String {
        self.shelf.clone()
    }
}

/// A held lock. It must be released; if the instance dies, it runs out.
pub(crate) struct Held(Stored<Lock>);

/// Take the lock of a shelf, waiting for whoever has it.
pub(crate) async fn take(place: Place) -> Result<Held, RelayError> {
    let begun = now_ms();
    loop {
        if let Some(held) = attempt(place).await? {
            return Ok(held);
        }
        if now_ms().saturating_sub(begun) > PATIENCE_MS {
            return Err(RelayError::Unavailable("the shelf is busy".into()));
        }
        spin_sdk::time::sleep(LOOK_AGAIN).await;
    }
}

async fn attempt(place: Place) -> Result<Option<Held>, RelayError> {
    let lock = Lock {
        shelf: place.key(),
        holder: Uuid::new_v4(),
        until_ms: now_ms() + HELD_MS,
    };
    let mut unit = Unit::new(SERVICE, Trace::start());
    unit.create(&lock)?;
    if let Some(held) = won(unit, lock.clone()).await? {
        return Ok(Some(held));
    }
    match document::get::<Lock>(place.key()).await? {
        Some(dead) if dead.value.until_ms < now_ms() => {
            let mut unit = Unit::new(SERVICE, Trace::start());
            unit.update(&Stored {
                value: lock.clone(),
                ..dead
            })?;
            won(unit, lock).await
        }
        _ => Ok(None),
    }
}

async fn won(unit: Unit, lock: Lock) -> Result<Option<Held>, RelayError> {
    match unit.commit().await {
        Ok(versions) => Ok(Some(Held(Stored {
            version: versions.first().copied().unwrap_or_default(),
            created_at_ms: 0,
            updated_at_ms: 0,
            value: lock,
        }))),
        Err(CommitError::Conflict(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Held {
    /// Let the next one have it.
    pub(crate) async fn release(self) {
        let mut unit = Unit::new(SERVICE, Trace::start());
        unit.remove(&self.0);
        if let Err(error) = unit.commit().await {
            // It runs out.
            eprintln!("releasing `{}`: {error}", self.0.value.shelf);
        }
    }
}
