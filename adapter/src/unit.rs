//! Units of work, as far as they can be checked without the database.

use std::collections::HashSet;

use crate::{
    bindings::journal::{CommitError, Event, Excess, Put, Removal, Unit, Write},
    failure::report_failures_as,
    names::{
        InvalidName, check_digest, check_entry_value, check_key, check_label, check_topic,
        check_traceparent,
    },
};

/// What one unit may write and publish. It bounds how long a transaction keeps
/// the others waiting.
const MOST_WRITES: usize = 1000;
const MOST_EVENTS: usize = 1000;
const MOST_SETTLED: usize = 1000;

const LARGEST_VALUE: usize = 1 << 20;
const MOST_ENTRIES: usize = 64;
const MOST_BLOBS: usize = 1000;

const LARGEST_ENVELOPE: usize = 256 << 10;

/// Refuse what the database need not be asked about.
pub fn check(unit: &Unit) -> Result<(), CommitError> {
    if let Some(id) = &unit.id {
        check_key("unit id", id)?;
    }
    within("writes of the unit", unit.writes.len(), MOST_WRITES)?;
    within("events of the unit", unit.events.len(), MOST_EVENTS)?;
    let settled = unit.settles.iter();
    let settled = settled.map(|settlement| 1 + settlement.followers.len());
    within(
        "deliveries that the unit settles",
        settled.sum(),
        MOST_SETTLED,
    )?;
    check_settled(unit)?;
    let mut written = HashSet::new();
    for write in &unit.writes {
        check_write(write)?;
        let (collection, key) = document_of(write);
        if !written.insert((collection, key)) {
            let twice = format!("document {key:?} of {collection:?} is written twice");
            return Err(CommitError::InvalidUnit(twice));
        }
    }
    unit.events.iter().try_for_each(check_event)
}

fn check_settled(unit: &Unit) -> Result<(), CommitError> {
    let mut settled = HashSet::new();
    let deliveries = unit.settles.iter().flat_map(|settlement| {
        let first = std::iter::once(settlement.lease.delivery);
        first.chain(settlement.followers.iter().copied())
    });
    for delivery in deliveries {
        if !settled.insert(delivery) {
            let twice = format!("delivery {delivery} is settled twice");
            return Err(CommitError::InvalidUnit(twice));
        }
    }
    Ok(())
}

/// The collection and key that a write concerns.
pub fn document_of(write: &Write) -> (&str, &str) {
    let (Write::Put(Put {
        collection, key, ..
    })
    | Write::Remove(Removal {
        collection, key, ..
    })) = write;
    (collection, key)
}

fn check_write(write: &Write) -> Result<(), CommitError> {
    let (collection, key) = document_of(write);
    check_label("collection", collection)?;
    check_key("key", key)?;
    if let Write::Put(put) = write {
        within("value of a document", put.value.len(), LARGEST_VALUE)?;
        within("entries of a document", put.entries.len(), MOST_ENTRIES)?;
        within("blobs of a document", put.blobs.len(), MOST_BLOBS)?;
        for entry in &put.entries {
            check_label("index", &entry.index)?;
            check_entry_value(&entry.index, &entry.value)?;
        }
        for digest in &put.blobs {
            check_digest(digest)?;
        }
    }
    Ok(())
}

fn check_event(event: &Event) -> Result<(), CommitError> {
    check_key("event id", &event.id)?;
    check_topic(&event.topic)?;
    check_key("kind", &event.kind)?;
    if let Some(subject) = &event.subject {
        check_key("subject", subject)?;
    }
    if let Some(traceparent) = &event.traceparent {
        check_traceparent(traceparent)?;
    }
    within(
        "envelope of an event",
        event.envelope.len(),
        LARGEST_ENVELOPE,
    )
}

fn within(what: &str, size: usize, limit: usize) -> Result<(), CommitError> {
    if size <= limit {
        return Ok(());
    }
    Err(CommitError::TooLarge(Excess {
        what: what.into(),
        size: size as u64,
        limit: limit as u64,
    }))
}

report_failures_as!(CommitError);

impl From<InvalidName> for CommitError {
    fn from(invalid: InvalidName) -> Self {
        Self::InvalidUnit(invalid.to_string())
    }
}
