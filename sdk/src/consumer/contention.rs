//! Contention: chains that write the same documents are handled one after the
//! other, as one unit, instead of side by side.

use std::{collections::VecDeque, rc::Rc, time::Duration};

use super::received::Chain;
use crate::{
    journal::{Conflict, Unit, Write},
    unit::{conflict_pause, is_same},
};

/// How many documents are remembered.
const MOST_DOCUMENTS: usize = 64;

/// How long is tried in all. Tries cost no attempt; what goes on for longer than
/// that does.
const PATIENCE: Duration = Duration::from_secs(20);

/// Chains that are to be handled together, one series at a time.
#[derive(Default)]
pub(super) struct Contention {
    /// Documents that somebody else wrote first.
    documents: Vec<(String, String)>,
    waiting: VecDeque<Rc<Chain>>,
    /// Between the beginning of a series and the end of its commit.
    is_busy: bool,
    /// Conflicts since the last series that was committed.
    conflicts: u32,
    /// How many events the next series may have, if that is limited.
    size: Option<usize>,
    resumes_at: Duration,
    /// Of the latest events, the share that wrote such documents: 0 to 1.
    share: f32,
}

/// What to do about a conflict.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// Another writer came between: try again.
    Again,
    /// It is no other writer: the handler expects what is not so.
    Refuse,
    /// Other writers came between for too long.
    GiveBack,
}

impl Contention {
    /// Whether new events most likely write contended documents.
    pub(super) fn is_likely(&self) -> bool {
        !self.documents.is_empty() && self.share >= 0.5
    }

    /// Whether a unit writes a contended document.
    pub(super) fn concerns(&self, unit: &Unit) -> bool {
        !self.documents.is_empty()
            && unit.writes.iter().any(|write| {
                let (collection, key) = match write {
                    Write::Put(put) => (&put.collection, &put.key),
                    Write::Remove(removal) => (&removal.collection, &removal.key),
                };
                self.documents
                    .iter()
                    .any(|(c, k)| c == collection && k == key)
            })
    }

    /// Count whether an event wrote a contended document.
    pub(super) fn note(&mut self, is_contended: bool) {
        self.share += (f32::from(u8::from(is_contended)) - self.share) / 16.0;
    }

    /// Have a chain handled in a series.
    pub(super) fn push(&mut self, chain: Rc<Chain>) {
        self.waiting.push_back(chain);
    }

    /// Have chains handled before those that wait.
    pub(super) fn push_front(&mut self, chains: Vec<Rc<Chain>>) {
        for chain in chains.into_iter().rev() {
            self.waiting.push_front(chain);
        }
    }

    /// Whether no series is under way or waits.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_busy && self.waiting.is_empty()
    }

    /// Take back what waits and meets a condition.
    pub(super) fn remove(&mut self, is_meant: impl Fn(&Chain) -> bool) -> Vec<Rc<Chain>> {
        let (removed, kept): (VecDeque<_>, _) =
            self.waiting.drain(..).partition(|chain| is_meant(chain));
        self.waiting = kept;
        removed.into()
    }

    /// When the next series may begin, if something waits for it.
    pub(super) fn resumes_at(&self) -> Option<Duration> {
        (!self.is_busy && !self.waiting.is_empty()).then_some(self.resumes_at)
    }

    /// Begin the next series: its chains, and how many events at most.
    pub(super) fn begin(&mut self, now: Duration, most: usize) -> Option<(Vec<Rc<Chain>>, usize)> {
        if self.resumes_at()? > now {
            return None;
        }
        self.is_busy = true;
        let most = self.size.unwrap_or(most).clamp(1, most.max(1));
        let mut events = 0;
        let mut chains = Vec::new();
        while events < most
            && let Some(chain) = self.waiting.pop_front()
        {
            events += chain.events.len();
            chains.push(chain);
        }
        Some((chains, most))
    }

    /// The series ended, and is not tried again.
    pub(super) fn ended(&mut self) {
        self.is_busy = false;
        self.conflicts = 0;
        // Grown beyond any series it means no limit.
        self.size = self.size.map(|size| size * 2).filter(|size| *size < 2000);
    }

    /// The series was called off.
    pub(super) fn aborted(&mut self) {
        self.is_busy = false;
    }

    /// So many events failed as a whole: try fewer.
    pub(super) fn split(&mut self, events: usize) {
        self.size = Some((events / 2).max(1));
    }

    /// Remember a document that somebody else wrote first.
    pub(super) fn remember(&mut self, conflict: &Conflict) {
        let name = (conflict.collection.clone(), conflict.key.clone());
        if !self.documents.contains(&name) {
            self.documents.truncate(MOST_DOCUMENTS - 1);
            self.documents.insert(0, name);
        }
        self.note(true);
    }

    /// A series of so many events was refused for a conflict: wait a little before
    /// the next.
    pub(super) fn lost(&mut self, events: usize, now: Duration, random: u64) {
        self.is_busy = false;
        self.conflicts += 1;
        // Who loses again and again becomes faster than the others.
        if self.conflicts.is_multiple_of(2) {
            self.split(events);
        }
        self.resumes_at = now + conflict_pause(self.conflicts, random);
    }
}

/// What to do about a conflict of the chain that expected what was not so.
pub(super) fn respond(chain: &Chain, conflict: &Conflict, now: Duration) -> Response {
    let mut conflicts = chain.conflicts.borrow_mut();
    let since = *conflicts.since.get_or_insert(now);
    let latest = conflicts.latest.replace(conflict.clone());
    // Since then it read the document again, and nobody wrote it.
    if latest.is_some_and(|latest| is_same(&latest, conflict)) {
        Response::Refuse
    } else if now.saturating_sub(since) > PATIENCE {
        Response::GiveBack
    } else {
        Response::Again
    }
}

#[cfg(test)]
mod tests;
