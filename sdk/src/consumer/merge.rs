//! Merging of units: what several events lead to, one after the other, as one
//! unit.

use std::collections::HashMap;

use crate::{
    deliveries::Lease,
    journal::{Event, Expectation, Put, Removal, Settlement, Unit, Write},
};

/// What one unit may have. The bytes are ours: a larger one would hold its locks
/// for long.
const MOST_WRITES: usize = 1000;
const MOST_EVENTS: usize = 1000;
pub(super) const MOST_SETTLED: usize = 1000;
const MOST_BYTES: usize = 4 << 20;

/// A collection and a key.
pub(crate) type Name = (String, String);

/// Units merged into one.
#[derive(Debug)]
pub(crate) struct Merged {
    unit: Unit,
    written: HashMap<Name, Written>,
    settled: usize,
    bytes: usize,
    /// It takes nothing more: it has an id of its own, or is not well-formed.
    is_sealed: bool,
}

/// A document that was written.
#[derive(Clone, Copy, Debug)]
struct Written {
    /// Where in the writes of the unit.
    index: usize,
    /// The version that it will have; `None` if that cannot be known.
    version: Option<u64>,
    /// Which part wrote it first.
    author: usize,
}

/// What a document will be when the unit is committed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pending<'m> {
    Put {
        value: &'m [u8],
        version: u64,
    },
    Removed,
    /// Nobody knows its version before that.
    Unknown,
}

/// The unit does not go with those before it, but may by itself.
#[derive(Debug)]
pub(crate) struct Unmergeable;

impl Default for Merged {
    fn default() -> Self {
        Self {
            unit: Unit {
                id: None,
                writes: Vec::new(),
                events: Vec::new(),
                settles: Vec::new(),
            },
            written: HashMap::new(),
            settled: 0,
            bytes: 0,
            is_sealed: false,
        }
    }
}

impl Merged {
    /// Whether nothing was merged yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.settled == 0
    }

    /// Whether something of a collection is written.
    pub(crate) fn writes_to(&self, collection: &str) -> bool {
        self.written
            .keys()
            .any(|(written, _)| written == collection)
    }

    pub(crate) fn has_writes(&self) -> bool {
        !self.unit.writes.is_empty()
    }

    /// What will become of a document, if it is written.
    pub(crate) fn pending(&self, name: &Name) -> Option<Pending<'_>> {
        let written = self.written.get(name)?;
        Some(
            match (self.unit.writes.get(written.index)?, written.version) {
                (Write::Remove(_), _) => Pending::Removed,
                (Write::Put(put), Some(version)) => Pending::Put {
                    value: &put.value,
                    version,
                },
                (Write::Put(_), None) => Pending::Unknown,
            },
        )
    }

    /// The documents that are written, and which part wrote each first: its
    /// expectation is that of the whole.
    pub(crate) fn authors(&self) -> Vec<(Name, usize)> {
        let written = self.written.iter();
        written
            .map(|(name, written)| (name.clone(), written.author))
            .collect()
    }

    /// Add what the next event led to, which belongs to the part `author`. `base`
    /// knows the versions of documents that were read of the store.
    pub(crate) fn add(
        &mut self,
        unit: Unit,
        author: usize,
        settled: Settled,
        base: impl Fn(&Name) -> Option<u64>,
    ) -> Result<(), Unmergeable> {
        let is_malformed = has_duplicates(&unit);
        if !self.is_empty() {
            self.check(&unit, is_malformed)?;
        }
        self.is_sealed |= unit.id.is_some() || is_malformed;
        self.unit.id = self.unit.id.take().or(unit.id);
        self.bytes += unit.events.iter().map(event_bytes).sum::<usize>();
        self.unit.events.extend(unit.events);
        if is_malformed {
            self.unit.writes.extend(unit.writes);
        } else {
            for write in unit.writes {
                self.write(write, author, &base);
            }
        }
        self.settled += 1;
        match settled {
            Settled::Head(lease) => self.unit.settles.push(Settlement {
                lease,
                followers: Vec::new(),
            }),
            Settled::Follower(delivery) => {
                if let Some(settlement) = self.unit.settles.last_mut() {
                    settlement.followers.push(delivery);
                }
            }
        }
        Ok(())
    }

    /// The unit to commit.
    pub(crate) fn into_unit(self) -> Unit {
        self.unit
    }

    fn check(&self, unit: &Unit, is_malformed: bool) -> Result<(), Unmergeable> {
        let new_writes = unit
            .writes
            .iter()
            .filter(|write| !self.written.contains_key(&name_of(write)));
        let bytes = unit.writes.iter().map(write_bytes).sum::<usize>()
            + unit.events.iter().map(event_bytes).sum::<usize>();
        let fits = self.unit.writes.len() + new_writes.count() <= MOST_WRITES
            && self.unit.events.len() + unit.events.len() <= MOST_EVENTS
            && self.settled < MOST_SETTLED
            && self.bytes + bytes <= MOST_BYTES;
        if !fits || self.is_sealed || unit.id.is_some() || is_malformed {
            return Err(Unmergeable);
        }
        let all = unit.writes.iter().all(|write| self.goes_with(write));
        all.then_some(()).ok_or(Unmergeable)
    }

    /// Whether a write would succeed after those before it, and both are the same
    /// as one.
    fn goes_with(&self, write: &Write) -> bool {
        let Some(written) = self.written.get(&name_of(write)) else {
            return true;
        };
        let was_removed = matches!(
            self.unit.writes.get(written.index),
            Some(Write::Remove(_)) | None
        );
        let (expected, is_removal) = match write {
            Write::Put(put) => (put.expected, false),
            Write::Remove(removal) => (removal.expected, true),
        };
        match expected {
            // A document that comes again is a new one, with a new beginning.
            Expectation::Absent | Expectation::Any if was_removed => is_removal,
            Expectation::Absent => false,
            Expectation::Any => true,
            Expectation::Version(version) => !was_removed && written.version == Some(version),
        }
    }

    fn write(&mut self, write: Write, author: usize, base: impl Fn(&Name) -> Option<u64>) {
        let name = name_of(&write);
        self.bytes += write_bytes(&write);
        let before = self
            .written
            .get(&name)
            .and_then(|written| self.unit.writes.get_mut(written.index));
        let Some(before) = before else {
            let expected = *expectation_of(&write);
            let version = match expected {
                Expectation::Absent => Some(1),
                Expectation::Version(version) => Some(version + 1),
                Expectation::Any => base(&name).map(|version| version + 1),
            };
            let index = self.unit.writes.len();
            self.unit.writes.push(write);
            let written = Written {
                index,
                version,
                author,
            };
            self.written.insert(name, written);
            return;
        };
        self.bytes = self.bytes.saturating_sub(write_bytes(before));
        let expected = *expectation_of(before);
        *before = with_expectation(write, expected);
    }
}

/// What an event that was handled settles.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Settled {
    Head(Lease),
    /// Of the head that was settled last.
    Follower(u64),
}

/// The collection and key that a write concerns.
pub(crate) fn name_of(write: &Write) -> Name {
    match write {
        Write::Put(put) => (put.collection.clone(), put.key.clone()),
        Write::Remove(removal) => (removal.collection.clone(), removal.key.clone()),
    }
}

fn expectation_of(write: &Write) -> &Expectation {
    match write {
        Write::Put(put) => &put.expected,
        Write::Remove(removal) => &removal.expected,
    }
}

fn with_expectation(write: Write, expected: Expectation) -> Write {
    match write {
        Write::Put(put) => Write::Put(Put { expected, ..put }),
        Write::Remove(removal) => Write::Remove(Removal {
            expected,
            ..removal
        }),
    }
}

/// A unit that writes a document twice is refused, and must be refused alone.
fn has_duplicates(unit: &Unit) -> bool {
    if unit.writes.len() < 2 {
        return false;
    }
    let mut names: Vec<Name> = unit.writes.iter().map(name_of).collect();
    names.sort_unstable();
    names
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a == b))
}

fn write_bytes(write: &Write) -> usize {
    match write {
        Write::Put(put) => {
            let entries = put.entries.iter().map(|entry| entry.value.len() + 64);
            put.value.len() + put.key.len() + 64 * put.blobs.len() + entries.sum::<usize>() + 128
        }
        Write::Remove(removal) => removal.key.len() + 128,
    }
}

pub(super) fn unit_bytes(unit: &Unit) -> usize {
    unit.writes.iter().map(write_bytes).sum::<usize>()
        + unit.events.iter().map(event_bytes).sum::<usize>()
}

fn event_bytes(event: &Event) -> usize {
    event.envelope.len() + 256
}

#[cfg(test)]
mod tests;
