//! Units of work as the columns that `commit` takes.

use std::collections::{HashMap, HashSet};

use emporium_adapter::{
    bindings::journal::{Event, Expectation, Put, Unit, Write},
    unit::document_of,
};
use spin_sdk::pg::wit::postgres::ParameterValue;

use crate::row::{integers, signed, smalls, texts};

/// What one call may carry. Postgres takes a gigabyte, but both ends hold it
/// several times.
const LARGEST_CALL: usize = 32 << 20;

/// Cut units into runs that `commit` takes in one call: none of a run touches
/// what another one of it does, because all of a run look before any writes.
pub(crate) fn runs<'u>(units: &[&'u Unit]) -> Vec<Vec<&'u Unit>> {
    let mut runs = Vec::new();
    let mut run: Vec<&Unit> = Vec::new();
    let mut touched = HashSet::new();
    let mut bytes = 0;
    for &unit in units {
        let size = weight(unit);
        let clashes = touches(unit).any(|thing| touched.contains(&thing));
        if !run.is_empty() && (clashes || bytes + size > LARGEST_CALL) {
            runs.push(std::mem::take(&mut run));
            touched.clear();
            bytes = 0;
        }
        touched.extend(touches(unit));
        bytes += size;
        run.push(unit);
    }
    if !run.is_empty() {
        runs.push(run);
    }
    runs
}

/// Something that only one unit of a run may have to do with.
#[derive(Hash, PartialEq, Eq)]
enum Touched<'u> {
    Id(&'u str),
    Delivery(u64),
    Document(&'u str, &'u str),
}

fn touches(unit: &Unit) -> impl Iterator<Item = Touched<'_>> {
    let documents = unit.writes.iter().map(|write| {
        let (collection, key) = document_of(write);
        Touched::Document(collection, key)
    });
    let leases = unit.settles.iter();
    let leases = leases.map(|settlement| Touched::Delivery(settlement.lease.delivery));
    let id = unit.id.as_deref().map(Touched::Id);
    documents.chain(leases).chain(id)
}

fn weight(unit: &Unit) -> usize {
    let values = unit.writes.iter().map(|write| match write {
        Write::Put(put) => put.value.len(),
        Write::Remove(_) => 0,
    });
    let envelopes = unit.events.iter().map(|event| event.envelope.len());
    values.chain(envelopes).sum()
}

/// Everything about the units of a run. Numbers of units, writes and topics are
/// places, from 1, as in Postgres.
#[derive(Default)]
struct Columns<'u> {
    unit_ids: Vec<Option<String>>,
    lease_unit: Vec<i32>,
    lease_id: Vec<u64>,
    lease_attempt: Vec<u32>,
    follower_lease: Vec<i32>,
    follower: Vec<u64>,
    write_unit: Vec<i32>,
    write_puts: Vec<i32>,
    collection: Vec<String>,
    key: Vec<String>,
    expected: Vec<i64>,
    value_at: Vec<i32>,
    value_bytes: Vec<i32>,
    entry_write: Vec<i32>,
    /// Name and value in turn.
    entry: Vec<String>,
    blob_write: Vec<i32>,
    blob: Vec<String>,
    topics: HashMap<&'u str, i32>,
    topic: Vec<String>,
    event_unit: Vec<i32>,
    event_topic: Vec<i32>,
    event_id: Vec<String>,
    kind: Vec<String>,
    subject: Vec<Option<String>>,
    not_before: Vec<Option<i64>>,
    trace: Vec<Option<String>>,
    event_at: Vec<i32>,
    event_bytes: Vec<i32>,
    /// Values and envelopes, one behind the other.
    heap: Vec<u8>,
}

/// The parameters of `commit`, in its order.
pub(crate) fn of(units: &[&Unit]) -> Vec<ParameterValue> {
    let mut columns = Columns::default();
    columns
        .heap
        .reserve(units.iter().map(|unit| weight(unit)).sum());
    for (unit, number) in units.iter().zip(1..) {
        columns.add(unit, number);
    }
    columns.into_parameters()
}

impl<'u> Columns<'u> {
    fn add(&mut self, unit: &'u Unit, number: i32) {
        self.unit_ids.push(unit.id.clone());
        for settlement in &unit.settles {
            self.lease_unit.push(number);
            self.lease_id.push(settlement.lease.delivery);
            self.lease_attempt.push(settlement.lease.attempt);
            let lease = place(self.lease_unit.len());
            for follower in &settlement.followers {
                self.follower_lease.push(lease);
                self.follower.push(*follower);
            }
        }
        for write in &unit.writes {
            self.add_write(write, number);
        }
        for event in &unit.events {
            self.add_event(event, number);
        }
    }

    fn add_write(&mut self, write: &Write, unit: i32) {
        let (collection, key) = document_of(write);
        self.write_unit.push(unit);
        self.collection.push(collection.to_owned());
        self.key.push(key.to_owned());
        let (puts, expected) = match write {
            Write::Put(put) => (1, put.expected),
            Write::Remove(removal) => (0, removal.expected),
        };
        self.write_puts.push(puts);
        self.expected.push(match expected {
            Expectation::Absent => 0,
            // No document has it, and 0 stands for something else.
            Expectation::Version(0) => i64::MAX,
            Expectation::Version(version) => signed(version),
            Expectation::Any => -1,
        });
        let value: &[u8] = match write {
            Write::Put(put) => {
                self.add_related(put);
                &put.value
            }
            Write::Remove(_) => &[],
        };
        let (at, bytes) = self.store(value);
        self.value_at.push(at);
        self.value_bytes.push(bytes);
    }

    /// Each once, in order, so that Postgres can compare what was with what is.
    fn add_related(&mut self, put: &Put) {
        let write = place(self.write_unit.len());
        let mut entries: Vec<_> = put.entries.iter().collect();
        entries.sort_by_key(|entry| (&entry.index, &entry.value));
        entries.dedup_by_key(|entry| (&entry.index, &entry.value));
        for entry in entries {
            self.entry_write.push(write);
            self.entry
                .extend([entry.index.clone(), entry.value.clone()]);
        }
        let mut blobs: Vec<_> = put.blobs.iter().collect();
        blobs.sort();
        blobs.dedup();
        for blob in blobs {
            self.blob_write.push(write);
            self.blob.push(blob.clone());
        }
    }

    fn add_event(&mut self, event: &'u Event, unit: i32) {
        let next = place(self.topics.len() + 1);
        let topic = *self.topics.entry(&event.topic).or_insert_with(|| {
            self.topic.push(event.topic.clone());
            next
        });
        let (at, bytes) = self.store(&event.envelope);
        self.event_unit.push(unit);
        self.event_topic.push(topic);
        self.event_id.push(event.id.clone());
        self.kind.push(event.kind.clone());
        self.subject.push(event.subject.clone());
        self.not_before.push(event.not_before_ms.map(signed));
        self.trace.push(event.traceparent.clone());
        self.event_at.push(at);
        self.event_bytes.push(bytes);
    }

    /// Returns where it begins, from 1, and how long it is.
    fn store(&mut self, bytes: &[u8]) -> (i32, i32) {
        let at = place(self.heap.len() + 1);
        self.heap.extend_from_slice(bytes);
        (at, place(bytes.len()))
    }

    fn into_parameters(self) -> Vec<ParameterValue> {
        let unit_ids = if self.unit_ids.iter().any(Option::is_some) {
            self.unit_ids
        } else {
            Vec::new()
        };
        vec![
            ParameterValue::ArrayStr(unit_ids),
            smalls(self.lease_unit),
            integers(self.lease_id),
            smalls(self.lease_attempt),
            smalls(self.follower_lease),
            integers(self.follower),
            smalls(self.write_unit),
            smalls(self.write_puts),
            texts(self.collection),
            texts(self.key),
            integers(self.expected),
            smalls(self.value_at),
            smalls(self.value_bytes),
            smalls(self.entry_write),
            texts(self.entry),
            smalls(self.blob_write),
            texts(self.blob),
            texts(self.topic),
            smalls(self.event_unit),
            smalls(self.event_topic),
            texts(self.event_id),
            texts(self.kind),
            ParameterValue::ArrayStr(self.subject),
            ParameterValue::ArrayInt64(self.not_before),
            ParameterValue::ArrayStr(self.trace),
            smalls(self.event_at),
            smalls(self.event_bytes),
            ParameterValue::Binary(self.heap),
        ]
    }
}

/// A place in a call, which has at most `LARGEST_CALL` bytes or one unit.
fn place(place: usize) -> i32 {
    i32::try_from(place).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use emporium_adapter::bindings::{
        deliveries::Lease,
        journal::{Removal, Settlement},
    };

    use super::*;

    fn unit() -> Unit {
        Unit {
            id: None,
            writes: Vec::new(),
            events: Vec::new(),
            settles: Vec::new(),
        }
    }

    fn removing(key: &str) -> Unit {
        Unit {
            writes: vec![Write::Remove(Removal {
                collection: "c".into(),
                key: key.into(),
                expected: Expectation::Any,
            })],
            ..unit()
        }
    }

    fn settling(delivery: u64) -> Unit {
        Unit {
            settles: vec![Settlement {
                lease: Lease {
                    delivery,
                    attempt: 1,
                },
                followers: Vec::new(),
            }],
            ..unit()
        }
    }

    fn lengths(units: &[Unit]) -> Vec<usize> {
        let units: Vec<&Unit> = units.iter().collect();
        runs(&units).iter().map(Vec::len).collect()
    }

    #[test]
    fn units_that_do_not_meet_share_a_run() {
        let units = [removing("a"), removing("b"), settling(1), settling(2)];
        assert_eq!(lengths(&units), [4]);
        assert_eq!(lengths(&[]), [0; 0]);
    }

    #[test]
    fn a_run_ends_where_two_units_meet() {
        let units = [removing("a"), removing("b"), removing("a"), removing("b")];
        assert_eq!(lengths(&units), [2, 2]);
        assert_eq!(lengths(&[settling(1), settling(1)]), [1, 1]);
    }
}
