//! What the database holds of one topic and of its one subscriber, and what
//! publishers and consumers do to it.
//!
//! Each function is a transaction, or the part of one between two moments at
//! which others can come between. It returns nothing if it waits for a lock.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Fence, Policy, Rules};

/// A subscription, and an event, numbered in the order of publication.
pub(crate) type Id = (u8, u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    pub key: Option<char>,
    pub stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Unpublished,
    /// Its publisher has inserted it, with what is owed, and not committed: nobody
    /// else sees it.
    InFlight {
        owed: Option<Status>,
        wakes: bool,
    },
    Stored,
    Swept,
}

/// One event owed to one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    pub key: Option<char>,
    pub status: Status,
    /// Only grows, so that it fences.
    pub attempt: u8,
    /// How many of the attempts do not count: those before a replay.
    pub forgiven: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Ready,
    Leased {
        ran_out: bool,
    },
    /// For its next attempt. It may hold its key meanwhile.
    Delayed {
        is_due: bool,
        holds: bool,
    },
    /// For an earlier one with its key.
    Waiting,
    Dead {
        blocks: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    pub id: Id,
    pub attempt: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Database {
    pub events: Vec<Event>,
    pub subscription: Option<u8>,
    pub(crate) subscriptions_made: u8,
    /// A consumer makes the subscription, and has not committed.
    pub(crate) is_subscribing: bool,
    pub deliveries: BTreeMap<Id, Delivery>,
    /// Keys held by a delivery that is not `Waiting`.
    pub(crate) keys: BTreeSet<(u8, char)>,
    /// What a sweep has chosen, and not removed.
    pub(crate) swept: Option<Vec<u8>>,
    /// How often each was settled.
    pub settled: BTreeMap<Id, u8>,
}

impl Database {
    pub(crate) fn of(keys: &[Option<char>]) -> Self {
        let event = |&key| Event {
            key,
            stage: Stage::Unpublished,
        };
        Self {
            events: keys.iter().map(event).collect(),
            ..Self::default()
        }
    }

    /// Insert the next event, and decide whether to wake: not if it has to wait for
    /// its key, or if an older one is there to claim. Publishers share the lock of
    /// the topic until they commit.
    pub(crate) fn publish(&mut self, rules: &Rules) -> Option<()> {
        let is_next = |event: &Event| event.stage == Stage::Unpublished;
        let next = self.events.iter().position(is_next)?;
        if self.is_subscribing && rules.subscribe_locks_topic {
            return None;
        }
        let key = self.events.get(next)?.key;
        let owed = match self.subscription {
            None => None,
            Some(subscription) => {
                self.lock(key, rules)?;
                let is_held = key.is_some_and(|key| self.keys.contains(&(subscription, key)));
                Some(if is_held {
                    Status::Waiting
                } else {
                    Status::Ready
                })
            }
        };
        let wakes = match owed {
            Some(Status::Ready) => !self.current().any(|(_, d)| d.status == Status::Ready),
            Some(_) => false,
            None => true,
        };
        self.events.get_mut(next)?.stage = Stage::InFlight { owed, wakes };
        Some(())
    }

    /// Commit a publication. Returns whether a wake follows.
    pub(crate) fn commit(&mut self, event: u8) -> Option<bool> {
        let stored = self.events.get_mut(usize::from(event))?;
        let Stage::InFlight { owed, wakes } = stored.stage else {
            return None;
        };
        stored.stage = Stage::Stored;
        let key = stored.key;
        if let (Some(subscription), Some(status)) = (self.subscription, owed) {
            self.owe((subscription, event), key, status);
        }
        Some(wakes)
    }

    /// Lease the first delivery that is due, with those that wait behind it.
    pub(crate) fn claim(
        &mut self,
        policy: &Policy,
        rules: &Rules,
    ) -> Option<Option<(Lease, Vec<u8>)>> {
        self.return_due(rules)?;
        loop {
            let is_free =
                |status| matches!(status, Status::Ready | Status::Leased { ran_out: true });
            let Some((id, delivery)) = self.current().find(|(_, d)| is_free(d.status)) else {
                return Some(None);
            };
            let ran_out = delivery.status != Status::Ready;
            if ran_out && delivery.attempt - delivery.forgiven >= policy.max_attempts {
                self.die(id, policy, rules)?;
                continue;
            }
            if !self.stored().contains(&id.1) {
                // The join with the events drops it.
                return Some(None);
            }
            let followers = match delivery.attempt {
                0 => self.waiting_behind(delivery),
                _ => Vec::new(),
            };
            let attempt = delivery.attempt + 1;
            let status = Status::Leased { ran_out: false };
            self.deliveries.insert(
                id,
                Delivery {
                    status,
                    attempt,
                    ..delivery
                },
            );
            return Some(Some((Lease { id, attempt }, followers)));
        }
    }

    /// Settle a delivery and some of its followers. Returns whether the lease held.
    pub(crate) fn settle(&mut self, lease: Lease, followers: &[u8], rules: &Rules) -> Option<bool> {
        let leased = self.current().find(|(id, delivery)| {
            *id == lease.id && matches!(delivery.status, Status::Leased { .. })
        });
        let key = match rules.fence {
            Fence::Attempt => self.held(lease).map(|delivery| delivery.key),
            Fence::Delivery => leased.map(|(_, delivery)| delivery.key),
            Fence::Nothing => Some(leased.and_then(|(_, delivery)| delivery.key)),
        };
        let Some(key) = key else {
            return Some(false);
        };
        self.lock(key, rules)?;
        for &event in [lease.id.1].iter().chain(followers) {
            let id = (lease.id.0, event);
            self.deliveries.remove(&id);
            *self.settled.entry(id).or_default() += 1;
        }
        self.leave(key);
        Some(true)
    }

    /// Hand a delivery back for its next attempt, or give it up. Nothing happens if
    /// the lease is lost.
    pub(crate) fn fail(&mut self, lease: Lease, policy: &Policy, rules: &Rules) -> Option<()> {
        let Some(delivery) = self.held(lease) else {
            return Some(());
        };
        if lease.attempt - delivery.forgiven >= policy.max_attempts {
            return self.die(lease.id, policy, rules);
        }
        let holds = policy.retry_blocks;
        if !holds {
            self.lock(delivery.key, rules)?;
        }
        self.put(
            lease.id,
            Status::Delayed {
                is_due: false,
                holds,
            },
        );
        if !holds {
            self.leave(delivery.key);
        }
        Some(())
    }

    pub(crate) fn bury(&mut self, lease: Lease, policy: &Policy, rules: &Rules) -> Option<()> {
        match self.held(lease) {
            Some(_) => self.die(lease.id, policy, rules),
            None => Some(()),
        }
    }
}
