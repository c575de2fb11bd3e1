//! What the platform holds, as simply as it can be said.

use std::collections::{BTreeMap, BTreeSet};

use emporium_tests::platform::*;
use journal::{Expectation, Unit, Write};

use super::served::{Moment, Served, State};

#[derive(Clone)]
pub(super) struct Published {
    pub(super) id: String,
    pub(super) topic: String,
    pub(super) key: Option<String>,
    pub(super) due: Moment,
}

/// A document, or what is kept of one that was removed.
#[derive(Default, Clone)]
pub(super) struct Kept {
    pub(super) version: u64,
    pub(super) value: Option<String>,
}

#[derive(Default)]
pub(super) struct World {
    pub(super) served: Vec<Served>,
    pub(super) events: Vec<Published>,
    pub(super) documents: BTreeMap<String, Kept>,
    pub(super) units: BTreeSet<String>,
    /// When each is gone unless it is heard of.
    pub(super) workers: BTreeMap<String, Moment>,
}

/// What a unit comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed(Vec<u64>),
    Repeated,
    LeaseLost,
    Conflict,
}

impl World {
    /// Do what a unit says, unless it is refused.
    pub(super) fn commit(&mut self, unit: &Unit, now: Moment) -> Outcome {
        if unit.id.as_ref().is_some_and(|id| self.units.contains(id)) {
            return Outcome::Repeated;
        }
        let can_settle = |settlement| {
            let mut served = self.served.iter();
            served.any(|served| served.can_settle(settlement))
        };
        if !unit.settles.iter().all(can_settle) {
            return Outcome::LeaseLost;
        }
        if unit.writes.iter().any(|write| !self.is_as_expected(write)) {
            return Outcome::Conflict;
        }
        for settlement in &unit.settles {
            for served in &mut self.served {
                served.settle(settlement, now);
            }
        }
        let versions = unit.writes.iter().map(|write| self.write(write)).collect();
        for event in &unit.events {
            self.publish(event, now);
        }
        self.units.extend(unit.id.clone());
        Outcome::Committed(versions)
    }

    /// Create a subscription that is owed every event there is.
    pub(super) fn subscribe(&mut self, place: usize) {
        let Self { served, events, .. } = self;
        let served = &mut served[place];
        if !served.exists {
            served.exists = true;
            for event in events {
                if event.topic == served.subscription.topic {
                    served.owe(event);
                }
            }
        }
    }

    /// Whether a delivery waits for its key.
    pub(super) fn waits(&self, id: u64) -> bool {
        let mut deliveries = self.served.iter().flat_map(|served| &served.deliveries);
        deliveries.any(|one| one.id == Some(id) && one.state == State::Waiting)
    }

    /// How many deliveries of an event there are.
    pub(super) fn unsettled(&self, event: &str) -> u32 {
        let deliveries = self.served.iter().flat_map(|served| &served.deliveries);
        deliveries.filter(|one| one.event == event).count() as u32
    }

    /// Give back what the workers held that are gone.
    pub(super) fn end_leases_of_gone(&mut self, now: Moment) {
        let gone: Vec<String> = self
            .workers
            .iter()
            .filter(|(_, until)| until.is_over(now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.leave(&id, now);
        }
    }

    pub(super) fn leave(&mut self, worker: &str, now: Moment) {
        self.workers.remove(worker);
        let deliveries = self
            .served
            .iter_mut()
            .flat_map(|served| &mut served.deliveries);
        for delivery in deliveries {
            if delivery.state == State::Leased && delivery.worker.as_deref() == Some(worker) {
                delivery.worker = None;
                if !delivery.due.is_over(now) {
                    delivery.due = Moment::PAST;
                }
            }
        }
    }

    /// Forget all that nobody needs.
    pub(super) fn sweep(&mut self) {
        let owed: BTreeSet<String> = self
            .served
            .iter()
            .flat_map(|served| &served.deliveries)
            .map(|delivery| delivery.event.clone())
            .collect();
        self.events.retain(|event| owed.contains(&event.id));
        self.documents.retain(|_, kept| kept.value.is_some());
        self.units.clear();
    }

    fn is_as_expected(&self, write: &Write) -> bool {
        let (Write::Put(journal::Put { key, expected, .. })
        | Write::Remove(journal::Removal { key, expected, .. })) = write;
        let found = self
            .documents
            .get(key)
            .filter(|kept| kept.value.is_some())
            .map(|kept| kept.version);
        match *expected {
            Expectation::Any => true,
            Expectation::Absent => found.is_none(),
            Expectation::Version(version) => found == Some(version),
        }
    }

    /// Returns the version that the document then has.
    fn write(&mut self, write: &Write) -> u64 {
        match write {
            Write::Put(put) => {
                let kept = self.documents.entry(put.key.clone()).or_default();
                kept.version += 1;
                kept.value = Some(String::from_utf8(put.value.clone()).expect("text"));
                kept.version
            }
            Write::Remove(removal) => match self.documents.get_mut(&removal.key) {
                Some(kept) if kept.value.is_some() => {
                    kept.version += 1;
                    kept.value = None;
                    kept.version
                }
                _ => 0,
            },
        }
    }

    fn publish(&mut self, event: &journal::Event, now: Moment) {
        if self.events.iter().any(|known| known.id == event.id) {
            return;
        }
        let not_before = event.not_before_ms.unwrap_or(0);
        let published = Published {
            id: event.id.clone(),
            topic: event.topic.clone(),
            key: event.subject.clone(),
            due: Moment {
                earliest: now.earliest.max(not_before),
                latest: now.latest.max(not_before),
            },
        };
        let served = self.served.iter_mut().filter(|served| served.exists);
        for served in served.filter(|served| served.subscription.topic == event.topic) {
            served.owe(&published);
        }
        self.events.push(published);
    }
}
