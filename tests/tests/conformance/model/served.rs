//! A subscription and its deliveries, as simply as they can be said.

use std::collections::BTreeMap;

use deliveries::{AfterDeath, Batch, DuringRetry, Follower, Lease, Subscription};
use emporium_tests::platform::*;
use journal::Settlement;

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
    /// Waits for its time, while others have its key.
    Returned,
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
    /// Its number among all that the subscription was ever owed.
    pub(super) order: u64,
    /// The number of the last follower that was handed out with it.
    pub(super) followers_until: Option<u64>,
}

/// A subscription, with its deliveries in the order of commit.
pub(super) struct Served {
    pub(super) subscription: Subscription,
    pub(super) exists: bool,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) settled: u64,
    pub(super) retried: u64,
    pub(super) breaker: Breaker,
    /// Until which number the deliveries of a key come one at a time.
    pub(super) singly: BTreeMap<String, u64>,
    owed: u64,
    /// When it ends, if it ends by itself.
    pub(super) pause: Option<Option<Moment>>,
}

/// Counts the deliveries that use up their attempts.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// By span of the clock.
    deaths: BTreeMap<u64, u64>,
    settled: BTreeMap<u64, u64>,
    /// What had been settled in all when it paused the subscription; until something
    /// else is.
    half_open: Option<u64>,
}

/// The spans of the clock in which deaths and settlements are counted, in
/// milliseconds.
pub(super) const SPAN: u64 = 30_000;

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

    /// Which span of the clock it is in, which is certain.
    fn span(self) -> u64 {
        self.earliest / SPAN
    }

    /// Of things that are asked about after they are certain.
    pub(super) fn is_over(self, now: Moment) -> bool {
        self.latest <= now.earliest
    }
}

impl Delivery {
    /// Whether a claim could hand it out, as far as it is concerned.
    pub(super) fn is_claimable(&self, now: Moment) -> bool {
        let can_fall_due = matches!(self.state, State::Ready | State::Returned | State::Leased);
        can_fall_due && self.due.is_over(now)
    }

    /// Whether it can be handed out behind another one.
    pub(super) fn may_follow(&self, now: Moment) -> bool {
        self.state == State::Waiting && self.attempt == 0 && self.due.is_over(now)
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
            breaker: Breaker::default(),
            singly: BTreeMap::new(),
            owed: 0,
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
        self.owed += 1;
        self.deliveries.push(Delivery {
            order: self.owed,
            followers_until: None,
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
    fn remove(&mut self, id: u64) {
        if let Some(place) = self.deliveries.iter().position(|one| one.id == Some(id)) {
            let gone = self.deliveries.remove(place);
            self.promote(gone.key.as_deref());
        }
    }

    /// Whether the lease holds, and all of these wait behind it.
    pub(super) fn can_settle(&self, settlement: &Settlement) -> bool {
        let mut deliveries = self.deliveries.iter();
        let Some(first) = deliveries.find(|one| one.is_held_by(settlement.lease)) else {
            return false;
        };
        settlement.followers.iter().all(|id| {
            self.deliveries.iter().any(|one| {
                one.id == Some(*id)
                    && one.state == State::Waiting
                    && one.key.is_some()
                    && one.key == first.key
            })
        })
    }

    pub(super) fn settle(&mut self, settlement: &Settlement, now: Moment) {
        if self.can_settle(settlement) {
            self.deliveries
                .retain(|one| one.id.is_none_or(|id| !settlement.followers.contains(&id)));
            self.remove(settlement.lease.delivery);
            let count = 1 + settlement.followers.len() as u64;
            self.settled += count;
            *self.breaker.settled.entry(now.span()).or_default() += count;
        }
    }

    /// End the subscription.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.subscription.clone());
    }

    /// Hand a delivery back for another attempt.
    pub(super) fn return_until(&mut self, lease: Lease, due: Moment) {
        let proceeds = self.subscription.policy.during_retry == DuringRetry::Proceed;
        let held = self.held(lease).expect("a lease that holds");
        held.due = due;
        held.state = State::Ready;
        if proceeds && held.key.is_some() {
            held.state = State::Returned;
            let key = held.key.clone();
            self.promote(key.as_deref());
        }
        self.retried += 1;
    }

    /// Let those that gave their keys up take them again, or wait for them: the
    /// oldest first. Returns whether there were any.
    pub(super) fn take_keys(&mut self, now: Moment) -> bool {
        let mut any = false;
        for index in 0..self.deliveries.len() {
            let one = &self.deliveries[index];
            if one.state == State::Returned && one.is_claimable(now) {
                any = true;
                let key = one.key.clone();
                let mut others = self.deliveries.iter();
                let held = others.any(|other| other.key == key && other.holds_its_key());
                self.deliveries[index].state = if held { State::Waiting } else { State::Ready };
            }
        }
        any
    }

    /// Whether a claim handed out nothing because keys were taken in it and
    /// deliveries are to die: it may leave their deaths to the next claim.
    pub(super) fn defers_deaths(&self, batch: &Batch, now: Moment) -> bool {
        let attempts = self.subscription.policy.max_attempts;
        let mut deliveries = self.deliveries.iter();
        batch.deliveries.is_empty()
            && batch.next_due_in_ms == Some(0)
            && deliveries.any(|one| {
                one.is_suspect() && one.is_claimable(now) && one.attempt - one.forgiven >= attempts
            })
    }

    /// Note the ids of deliveries that were handed out behind another. Returns the
    /// number of the last.
    pub(super) fn name_followers(&mut self, followers: &[Follower]) -> Option<u64> {
        let mut last = None;
        for follower in followers {
            let mut deliveries = self.deliveries.iter_mut();
            let one = deliveries.find(|one| one.event == follower.event_id);
            let one = one.expect("it was checked");
            one.id = Some(follower.delivery);
            last = Some(one.order);
        }
        last
    }

    /// The lease of a delivery ran out: have its followers come one at a time.
    pub(super) fn separate(&mut self, id: u64) {
        let one = self.deliveries.iter_mut().find(|one| one.id == Some(id));
        let one = one.expect("a delivery whose lease ran out");
        if let (Some(until), Some(key)) = (one.followers_until.take(), one.key.clone()) {
            let singly = self.singly.entry(key).or_default();
            *singly = until.max(*singly);
        }
    }

    pub(super) fn die(&mut self, id: u64, exhausted: bool, now: Moment) {
        let policy = self.subscription.policy;
        let delivery = self.deliveries.iter_mut().find(|one| one.id == Some(id));
        let delivery = delivery.expect("a delivery that can die");
        let blocking = policy.after_death == AfterDeath::Block && delivery.key.is_some();
        delivery.state = State::Dead { blocking };
        let key = delivery.key.clone();
        delivery.followers_until = None;
        self.promote(key.as_deref());
        if exhausted && self.breaker.opens(policy.pause_after, self.settled, now) {
            self.open(now);
        }
    }

    fn open(&mut self, now: Moment) {
        if !self.is_paused(now) {
            self.pause = Some(Some(now.plus(self.subscription.policy.pause_ms)));
            self.breaker.half_open = Some(self.settled);
            self.breaker.deaths.clear();
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
            self.remove(id);
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

impl Breaker {
    /// Count a death. Returns whether it was one too many.
    fn opens(&mut self, pause_after: u32, settled: u64, now: Moment) -> bool {
        self.half_open = self.half_open.filter(|before| *before == settled);
        *self.deaths.entry(now.span()).or_default() += 1;
        let lately = |counts: &BTreeMap<u64, u64>| -> u64 {
            counts.range(now.span() - 1..).map(|(_, count)| count).sum()
        };
        let deaths = lately(&self.deaths);
        let too_many = deaths >= u64::from(pause_after) && deaths >= lately(&self.settled);
        pause_after > 0 && (self.half_open.is_some() || too_many)
    }

    /// What failed has been mended.
    pub(super) fn close(&mut self) {
        self.deaths.clear();
        self.half_open = None;
    }
}
