//! What has to be true after a run, from what was there before and from what the
//! calls said.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    crew::Entry,
    request::{Lease, Request},
    world::State,
};

/// Who owes what, as the calls said.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Subscription and event by delivery.
    deliveries: HashMap<u64, (u64, String)>,
    /// What is owed no longer, by subscription and event.
    ended: BTreeSet<(u64, String)>,
    /// How many were settled, by subscription.
    pub settled: BTreeMap<u64, u64>,
    pub published: BTreeSet<String>,
    pub violations: Vec<String>,
}

impl Ledger {
    pub fn of(before: &State, after: &State, log: &[Entry]) -> Self {
        let mut ledger = Self::default();
        for owed in &before.owed {
            if let Some(event) = &owed.event {
                let place = (owed.subscription, event.clone());
                ledger.deliveries.insert(owed.delivery, place);
            }
        }
        for subscribed in &before.subscriptions {
            ledger.settled.insert(subscribed.id, subscribed.settled);
        }
        for entry in log {
            ledger.note_claimed(entry, before, after);
        }
        let mut decided = HashMap::new();
        for entry in log {
            ledger.note(entry, &mut decided);
        }
        ledger
    }

    /// Whether the calls said that a delivery is settled or discarded.
    pub fn has_ended(&self, subscription: u64, event: &str) -> bool {
        self.ended.contains(&(subscription, event.to_owned()))
    }

    /// A delivery that was settled is in no table: what it was is known from the
    /// claim. One that was not owed before belongs to the subscription of that name
    /// that is there now, which may be another one than before.
    fn note_claimed(&mut self, entry: &Entry, before: &State, after: &State) {
        let Request::Claim { subscription, .. } = &entry.request else {
            return;
        };
        let mut known = after.subscriptions.iter().chain(&before.subscriptions);
        let Some(owner) = known.find(|known| known.subscription == *subscription) else {
            return;
        };
        for delivery in &entry.reply.deliveries {
            let head = std::iter::once((delivery.lease.delivery, &delivery.event));
            let followers = delivery.followers.iter().map(|(id, event)| (*id, event));
            for (id, event) in head.chain(followers) {
                let place = self.deliveries.entry(id);
                place.or_insert_with(|| (owner.id, event.clone()));
            }
        }
    }

    fn note(&mut self, entry: &Entry, decided: &mut HashMap<Lease, usize>) {
        let reply = &entry.reply;
        match &entry.request {
            Request::Commit { settles, events } if !reply.lost => {
                for settlement in settles {
                    self.decide(settlement.lease, decided);
                    for &id in [settlement.lease.delivery]
                        .iter()
                        .chain(&settlement.followers)
                    {
                        let Some((subscription, event)) = self.deliveries.get(&id).cloned() else {
                            let violation = format!("delivery {id} was settled, but never owed");
                            self.violations.push(violation);
                            continue;
                        };
                        *self.settled.entry(subscription).or_default() += 1;
                        if !self.ended.insert((subscription, event.clone())) {
                            self.violations.push(format!("{event} was settled twice"));
                        }
                    }
                }
                let ids = events.iter().map(|event| event.id.clone());
                self.published.extend(ids);
            }
            Request::Release(leases) | Request::Bury(leases) if reply.count > 0 => {
                for lease in leases {
                    self.decide(*lease, decided);
                }
            }
            Request::Discard(ids) if reply.count > 0 => {
                for id in ids {
                    let place = self.deliveries.get(id).cloned();
                    self.ended.extend(place);
                }
            }
            _ => {}
        }
    }

    fn decide(&mut self, lease: Lease, decided: &mut HashMap<Lease, usize>) {
        let times = decided.entry(lease).or_default();
        *times += 1;
        if *times > 1 {
            self.violations
                .push(format!("{lease:?} was decided about twice"));
        }
    }
}
