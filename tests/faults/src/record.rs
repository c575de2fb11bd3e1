//! The record of a run: every entry that was sent, and what its publisher knows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ledger::{Entry, Outcome};

/// Entries in the order in which they were sent, at least inside of an account:
/// the next one of an account is sent when the outcome of the last is known.
#[derive(Clone, Debug, Default)]
pub struct Record(Arc<Mutex<Vec<(Entry, Outcome)>>>);

impl Record {
    pub fn add(&self, entries: Vec<Entry>, outcome: Outcome) {
        let sent = entries.into_iter().map(|entry| (entry, outcome));
        self.lock().extend(sent);
    }

    /// All that was sent until now.
    pub fn entries(&self) -> Vec<(Entry, Outcome)> {
        self.lock().clone()
    }

    /// The ids of acknowledged entries that can be handled.
    pub fn owed(&self) -> Vec<String> {
        let sent = self.lock();
        let owed = sent.iter().filter(|(entry, outcome)| {
            *outcome == Outcome::Acknowledged && !entry.conduct.is_poison()
        });
        owed.map(|(entry, _)| entry.id.clone()).collect()
    }

    /// Whether the entry with this id is acknowledged.
    pub fn has_acknowledged(&self, id: &str) -> bool {
        // It is among the latest.
        let sent = self.lock();
        let mut found = sent.iter().rev().filter(|(entry, _)| entry.id == id);
        found.any(|(_, outcome)| *outcome == Outcome::Acknowledged)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// How many of them are acknowledged.
    pub fn acknowledged(&self) -> usize {
        let sent = self.lock();
        let acknowledged = |(_, outcome): &&(Entry, Outcome)| *outcome == Outcome::Acknowledged;
        sent.iter().filter(acknowledged).count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Entry, Outcome)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
