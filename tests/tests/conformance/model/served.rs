//! A subscription and its deliveries, as simply as they can be said.

use deliveries::{AfterDeath, Lease, Subscription};
use emporium_tests::platform::*;

use super::world::Published;

/// A moment that is known up to the duration of a call, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) earliest: u64,
    pub(super) latest: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Waits for its time.
    Ready,
    Leased,
    /// For an earlier one with its key.
    Waiting,
    Dead {
        blocking: bool,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) event: String,
    pub(super) key: Option<String>,
    pub(super) state: State,
    /// When it falls due, or its lease runs out.
    pub(super) due: Moment,
    pub(super) attempt: u32,
    pub(super) forgiven: u32,
    /// Known since it was claimed.
    pub(super) id: Option<u64>,
    pub(super) worker: Option<String>,
}

/// A subscription, with its deliveries in the order of commit.
pub(super) struct Served {
    pub(super) subscription: Subscription,
    pub(super) exists: bool,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) settled: u64,
    pub(super) retried: u64,
    pub(super) deaths_in_a_row: u32,
    /// When it ends, if it ends by itself.
    pub(super) pause: Option<Option<Moment>>,
}

impl Moment {
    pub(super) const PAST: Self = Self {
        earliest: 0,
        latest: 0,
    };

    pub(super) fn plus(self, ms: u64) -> Self {
        Self {
            earliest: self.earliest + ms,
            latest: self.latest + ms,
        }
    }

    /// Of things that are asked about after they are certain.
    pub(super) fn is_over(self, now: Moment) -> bool {
        self.latest <= now.earliest
    }
}

impl Delivery {
    /// Whether a claim could hand it out, as far as it is concerned.
    pub(super) fn is_claimable(&self, now: Moment) -> bool {
        matches!(self.state, State::Ready | State::Leased) && self.due.is_over(now)
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.state == State::Leased
    }

    fn is_held_by(&self, lease: Lease) -> bool {
        self.id == Some(lease.delivery)
            && self.state == State::Leased
            && self.attempt == lease.attempt
    }

    fn holds_its_key(&self) -> bool {
        matches!(
            self.state,
            State::Ready | State::Leased | State::Dead { blocking: true }
        )
    }
}

impl Served {
    pub(super) fn new(subscription: Subscription) -> Self {
        Self {
            subscription,
            exists: false,
            deliveries: Vec::new(),
            settled: 0,
            retried: 0,
            deaths_in_a_row: 0,
            pause: None,
        }
    }

    pub(super) fn is_paused(&self, now: Moment) -> bool {
        match self.pause {
            None => false,
            Some(None) => true,
            Some(Some(until)) => !until.is_over(now),
        }
    }

    pub(super) fn holds(&self, lease: Lease) -> bool {
        self.deliveries
            .iter()
            .any(|delivery| delivery.is_held_by(lease))
    }

    /// The delivery of a lease that holds.
    pub(super) fn held(&mut self, lease: Lease) -> Option<&mut Delivery> {
        self.deliveries
            .iter_mut()
            .find(|delivery| delivery.is_held_by(lease))
    }

    pub(super) fn owe(&mut self, published: &Published) {
        let behind = published.key.is_some()
            && self
                .deliveries
                .iter()
                .any(|other| other.key == published.key && other.holds_its_key());
        self.deliveries.push(Delivery {
            event: published.id.clone(),
            key: published.key.clone(),
            state: if behind { State::Waiting } else { State::Ready },
            due: published.due,
            attempt: 0,
            forgiven: 0,
            id: None,
            worker: None,
        });
    }

    /// Remove a delivery, and let the next one with its key go.
    pub(super) fn forget(&mut self, id: u64) {
        if let Some(place) = self.deliveries.iter().position(|one| one.id == Some(id)) {
            let gone = self.deliveries.remove(place);
            self.promote(gone.key.as_deref());
        }
    }

    pub(super) fn settle(&mut self, lease: Lease) -> bool {
        let held = self.holds(lease);
        if held {
            self.forget(lease.delivery);
            self.settled += 1;
            self.deaths_in_a_row = 0;
        }
        held
    }

    pub(super) fn die(&mut self, id: u64, now: Moment) {
        let policy = self.subscription.policy;
        let delivery = self.deliveries.iter_mut().find(|one| one.id == Some(id));
        let delivery = delivery.expect("a delivery that can die");
        let blocking = policy.after_death == AfterDeath::Block && delivery.key.is_some();
        delivery.state = State::Dead { blocking };
        let key = delivery.key.clone();
        self.promote(key.as_deref());
        self.deaths_in_a_row += 1;
        let due = policy.pause_after > 0 && self.deaths_in_a_row >= policy.pause_after;
        if due && !self.is_paused(now) {
            self.pause = Some(Some(now.plus(policy.pause_ms)));
        }
    }

    /// Returns whether it was a dead letter.
    pub(super) fn replay(&mut self, id: u64, due: Moment) -> bool {
        let Some(place) = self.dead(id) else {
            return false;
        };
        let key = self.deliveries[place].key.clone();
        let blocking = self.deliveries[place].state == State::Dead { blocking: true };
        let behind = !blocking
            && key.is_some()
            && self
                .deliveries
                .iter()
                .any(|other| other.key == key && other.holds_its_key());
        let delivery = &mut self.deliveries[place];
        delivery.state = if behind { State::Waiting } else { State::Ready };
        delivery.forgiven = delivery.attempt;
        delivery.due = due;
        true
    }

    /// Returns whether it was a dead letter.
    pub(super) fn discard(&mut self, id: u64) -> bool {
        let dead = self.dead(id).is_some();
        if dead {
            self.forget(id);
        }
        dead
    }

    fn dead(&self, id: u64) -> Option<usize> {
        let is_dead = |one: &Delivery| matches!(one.state, State::Dead { .. });
        self.deliveries
            .iter()
            .position(|one| one.id == Some(id) && is_dead(one))
    }

    /// Let the first one go that waits for this key, if nobody holds it.
    fn promote(&mut self, key: Option<&str>) {
        let of_key = |one: &Delivery| key.is_some() && one.key.as_deref() == key;
        if self
            .deliveries
            .iter()
            .any(|one| of_key(one) && one.holds_its_key())
        {
            return;
        }
        let mut waiting = self.deliveries.iter_mut().filter(|one| of_key(one));
        if let Some(next) = waiting.find(|one| one.state == State::Waiting) {
            next.state = State::Ready;
        }
    }
}
