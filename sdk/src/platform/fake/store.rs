//! What the fake platform keeps: documents, and deliveries of one subscription.

use std::{collections::BTreeMap, time::Duration};

use super::{now, now_ms};
use crate::{
    deliveries::{Batch, Burial, Delivery, Error, Fate, Follower, Lease, Return},
    documents::Document,
    journal::{CommitError, Conflict, Event, Expectation, Receipt, Unit, Write},
};

/// A delivery that is owed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owed {
    pub(crate) subject: Option<String>,
    pub(crate) envelope: Vec<u8>,
    pub(crate) attempts: u32,
    pub(crate) due_at: Duration,
    /// Until when it is leased.
    pub(crate) leased_until: Option<Duration>,
    /// Its lease ran out.
    pub(crate) is_poisonous: bool,
    pub(crate) dead: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) latency: Duration,
    pub(crate) commit_latency: Duration,
    pub(crate) documents: BTreeMap<(String, String), Document>,
    /// What the key-value store has.
    pub(crate) stored: BTreeMap<String, Vec<u8>>,
    pub(crate) events: Vec<Event>,
    pub(crate) owed: BTreeMap<u64, Owed>,
    /// Deliveries in the order in which they were settled, and their attempts.
    pub(crate) settled: Vec<(u64, u32)>,
    /// How many units each call had, and how many keys.
    pub(crate) commits: Vec<usize>,
    pub(crate) reads: Vec<usize>,
    pub(crate) claims: usize,
    pub(crate) extended: usize,
    pub(crate) wakes: usize,
    pub(crate) random: u64,
    /// Wait before the second attempt.
    pub(crate) backoff: Duration,
    /// What every commit of several events is refused for.
    pub(crate) refuses_merged: Option<CommitError>,
    /// What every commit that puts a document of that key is refused for.
    pub(crate) refuses_key: Option<(&'static str, CommitError)>,
    /// How long a renewal takes, if that is not `latency`.
    pub(crate) renewal_latency: Option<Duration>,
}

impl Default for Fake {
    fn default() -> Self {
        let ms = Duration::from_millis(1);
        Self {
            latency: ms,
            commit_latency: 2 * ms,
            documents: BTreeMap::new(),
            stored: BTreeMap::new(),
            events: Vec::new(),
            owed: BTreeMap::new(),
            settled: Vec::new(),
            commits: Vec::new(),
            reads: Vec::new(),
            claims: 0,
            extended: 0,
            wakes: 0,
            random: 1,
            backoff: 80 * ms,
            refuses_merged: None,
            refuses_key: None,
            renewal_latency: None,
        }
    }
}

impl Fake {
    /// Owe a delivery. Returns its number.
    pub(crate) fn owe(&mut self, subject: Option<&str>, envelope: &[u8]) -> u64 {
        let delivery = self.owed.len() as u64 + self.settled.len() as u64 + 1;
        let owed = Owed {
            subject: subject.map(Into::into),
            envelope: envelope.to_vec(),
            ..Owed::default()
        };
        self.owed.insert(delivery, owed);
        delivery
    }

    pub(super) fn document(&self, collection: &str, key: &str) -> Option<Document> {
        self.documents
            .get(&(collection.into(), key.into()))
            .cloned()
    }

    pub(super) fn documents_of(&self, collection: &str) -> Vec<Document> {
        let documents = self.documents.iter();
        let documents = documents.filter(|((within, _), _)| within == collection);
        documents.map(|(_, document)| document.clone()).collect()
    }

    pub(super) fn claim(&mut self, limit: usize, lease: Duration) -> Batch {
        self.claims += 1;
        let now = now();
        for owed in self.owed.values_mut() {
            if owed.leased_until.is_some_and(|until| until <= now) {
                owed.leased_until = None;
                owed.is_poisonous = true;
            }
        }
        let poisonous = self.heads().into_iter().find(|delivery| {
            let owed = &self.owed[delivery];
            owed.is_poisonous && owed.due_at <= now
        });
        if let Some(delivery) = poisonous {
            let delivery = self.lease(delivery, lease, 0);
            return self.batch(vec![delivery], true);
        }
        let mut deliveries = Vec::new();
        let mut room = limit;
        for head in self.heads() {
            if room == 0 {
                break;
            }
            if self.owed[&head].due_at <= now {
                let delivery = self.lease(head, lease, room - 1);
                room -= 1 + delivery.followers.len();
                deliveries.push(delivery);
            }
        }
        self.batch(deliveries, false)
    }

    fn batch(&self, deliveries: Vec<Delivery>, suspect: bool) -> Batch {
        let heads = self.heads();
        let due_at = heads.iter().map(|head| self.owed[head].due_at).min();
        Batch {
            deliveries,
            suspect,
            next_due_in_ms: due_at.map(|due_at| due_at.saturating_sub(now()).as_millis() as u64),
        }
    }

    /// Deliveries that may be leased: no earlier one of their key is owed.
    fn heads(&self) -> Vec<u64> {
        let mut keys = std::collections::HashSet::new();
        let mut heads = Vec::new();
        for (delivery, owed) in self.owed.iter().filter(|(_, owed)| owed.dead.is_none()) {
            let is_first = owed.subject.as_ref().is_none_or(|key| keys.insert(key));
            if is_first && owed.leased_until.is_none() {
                heads.push(*delivery);
            }
        }
        heads
    }

    fn lease(&mut self, delivery: u64, lease: Duration, room: usize) -> Delivery {
        let owed = self.owed.get_mut(&delivery).expect("owed");
        let is_first = owed.attempts == 0;
        owed.attempts += 1;
        owed.leased_until = Some(now() + lease);
        let owed = owed.clone();
        let later = self.owed.range(delivery + 1..);
        let followers = later.filter(|(_, follower)| {
            is_first
                && owed.subject.is_some()
                && follower.subject == owed.subject
                && follower.dead.is_none()
        });
        // One that was tried before goes by itself, and so do those behind it.
        let followers = followers.take_while(|(_, follower)| follower.attempts == 0);
        let followers = followers.take(room).map(|(delivery, follower)| Follower {
            delivery: *delivery,
            event_id: format!("e{delivery}"),
            kind: "KIND".into(),
            envelope: follower.envelope.clone(),
        });
        Delivery {
            lease: Lease {
                delivery,
                attempt: owed.attempts,
            },
            event_id: format!("e{delivery}"),
            kind: "KIND".into(),
            subject: owed.subject.clone(),
            envelope: owed.envelope.clone(),
            followers: followers.collect(),
        }
    }

    fn held(&mut self, lease: Lease) -> Option<&mut Owed> {
        let now = now();
        self.owed.get_mut(&lease.delivery).filter(|owed| {
            owed.attempts == lease.attempt && owed.leased_until.is_some_and(|until| until > now)
        })
    }

    pub(super) fn extend(&mut self, held: Lease, lease: Duration) -> Result<(), Error> {
        self.extended += 1;
        let owed = self.held(held).ok_or(Error::LeaseLost)?;
        owed.leased_until = Some(now() + lease);
        Ok(())
    }

    pub(super) fn release(&mut self, back: Return) -> Result<Fate, Error> {
        let backoff = self.backoff;
        let owed = self.held(back.lease).ok_or(Error::LeaseLost)?;
        owed.leased_until = None;
        owed.is_poisonous = false;
        let wait = back.retry_after_ms.map_or(backoff, Duration::from_millis);
        owed.due_at = now() + wait;
        Ok(Fate::RetriedAtMs(owed.due_at.as_millis() as u64))
    }

    pub(super) fn bury(&mut self, burial: Burial) -> Result<(), Error> {
        let owed = self.held(burial.lease).ok_or(Error::LeaseLost)?;
        owed.leased_until = None;
        owed.dead = Some(burial.reason);
        Ok(())
    }

    /// Commit a unit, all or nothing.
    pub(crate) fn commit(&mut self, unit: Unit) -> Result<Receipt, CommitError> {
        let settles = unit.settles.iter();
        let count: usize = settles.map(|settles| 1 + settles.followers.len()).sum();
        if count > 1
            && let Some(error) = &self.refuses_merged
        {
            return Err(error.clone());
        }
        if let Some((key, error)) = &self.refuses_key
            && unit
                .writes
                .iter()
                .any(|write| matches!(write, Write::Put(put) if put.key == *key))
        {
            return Err(error.clone());
        }
        for settlement in &unit.settles {
            if self.held(settlement.lease).is_none() {
                return Err(CommitError::LeaseLost);
            }
        }
        for write in &unit.writes {
            self.check(write)?;
        }
        let versions = unit
            .writes
            .into_iter()
            .map(|write| self.apply(write))
            .collect();
        self.events.extend(unit.events);
        for settlement in unit.settles {
            let attempt = settlement.lease.attempt;
            self.settle(settlement.lease.delivery, attempt);
            for follower in settlement.followers {
                self.settle(follower, 1);
            }
        }
        Ok(Receipt { versions })
    }

    fn settle(&mut self, delivery: u64, attempt: u32) {
        assert!(self.owed.remove(&delivery).is_some(), "{delivery} is owed");
        self.settled.push((delivery, attempt));
    }

    fn check(&self, write: &Write) -> Result<(), CommitError> {
        let (collection, key, expected) = match write {
            Write::Put(put) => (&put.collection, &put.key, put.expected),
            Write::Remove(removal) => (&removal.collection, &removal.key, removal.expected),
        };
        let found = self.document(collection, key).map(|found| found.version);
        let is_as_expected = match expected {
            Expectation::Absent => found.is_none(),
            Expectation::Version(version) => found == Some(version),
            Expectation::Any => true,
        };
        if is_as_expected {
            return Ok(());
        }
        Err(CommitError::Conflict(Conflict {
            collection: collection.clone(),
            key: key.clone(),
            found,
        }))
    }

    fn apply(&mut self, write: Write) -> u64 {
        match write {
            Write::Put(put) => {
                let name = (put.collection, put.key.clone());
                let before = self.documents.get(&name);
                let document = Document {
                    key: put.key,
                    version: before.map_or(1, |before| before.version + 1),
                    value: put.value,
                    created_at_ms: before.map_or_else(now_ms, |before| before.created_at_ms),
                    updated_at_ms: now_ms(),
                };
                let version = document.version;
                self.documents.insert(name, document);
                version
            }
            Write::Remove(removal) => {
                let removed = self.documents.remove(&(removal.collection, removal.key));
                removed.map_or(0, |removed| removed.version + 1)
            }
        }
    }
}
