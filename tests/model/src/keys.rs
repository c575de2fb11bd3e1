//! Ordering keys: who holds one, who waits, who comes next.

use crate::{
    Policy, Rules,
    database::{Database, Delivery, Id, Lease, Stage, Status},
};

impl Database {
    /// What the present subscription is owed, in the order of publication.
    pub fn current(&self) -> impl Iterator<Item = (Id, Delivery)> + '_ {
        let is_current = |id: &Id| self.subscription == Some(id.0);
        let deliveries = self
            .deliveries
            .iter()
            .map(|(&id, &delivery)| (id, delivery));
        deliveries.filter(move |(id, _)| is_current(id))
    }

    /// Those that could follow a delivery: first attempts only.
    pub(crate) fn waiting_behind(&self, head: Delivery) -> Vec<u8> {
        let is_behind = |(_, d): &(Id, Delivery)| d.status == Status::Waiting && d.key == head.key;
        let behind = self.current().filter(is_behind);
        let first = behind.take_while(|(_, delivery)| delivery.attempt == 0);
        first.map(|(id, _)| id.1).collect()
    }

    /// The delivery that a lease is for, unless the lease is lost.
    pub fn held(&self, lease: Lease) -> Option<Delivery> {
        let delivery = *self.deliveries.get(&lease.id)?;
        let is_leased = matches!(delivery.status, Status::Leased { .. });
        let is_it = self.subscription == Some(lease.id.0) && delivery.attempt == lease.attempt;
        (is_leased && is_it).then_some(delivery)
    }

    /// Wait for publishers that have locked a key. One that takes a free key locks
    /// it by the insertion alone.
    pub(crate) fn lock(&self, key: Option<char>, rules: &Rules) -> Option<()> {
        let is_locked = self.events.iter().any(|event| {
            event.key.is_some()
                && event.key == key
                && match event.stage {
                    Stage::InFlight {
                        owed: Some(Status::Waiting),
                        ..
                    } => rules.waiting_locks_key,
                    Stage::InFlight { owed, .. } => owed.is_some(),
                    _ => false,
                }
        });
        (!is_locked).then_some(())
    }

    /// Add a delivery, which holds its key unless it waits.
    pub(crate) fn owe(&mut self, id: Id, key: Option<char>, status: Status) {
        let delivery = Delivery {
            key,
            status,
            attempt: 0,
            forgiven: 0,
        };
        self.deliveries.insert(id, delivery);
        self.keys.extend(
            key.filter(|_| status != Status::Waiting)
                .map(|key| (id.0, key)),
        );
    }

    pub(crate) fn put(&mut self, id: Id, status: Status) {
        if let Some(delivery) = self.deliveries.get_mut(&id) {
            delivery.status = status;
        }
    }

    /// Give a key up: the first that waits for it comes next. The caller locked it.
    pub(crate) fn leave(&mut self, key: Option<char>) {
        let (Some(key), Some(subscription)) = (key, self.subscription) else {
            return;
        };
        let is_next = |d: &Delivery| d.key == Some(key) && d.status == Status::Waiting;
        let next = self
            .current()
            .find(|(_, delivery)| is_next(delivery))
            .map(|(id, _)| id);
        match next {
            Some(id) => self.put(id, Status::Ready),
            None => drop(self.keys.remove(&(subscription, key))),
        }
    }

    /// Let a delivery that gave its key up have it again, or wait for it.
    fn enter(&mut self, id: Id, rules: &Rules) -> Option<()> {
        let key = self.deliveries.get(&id)?.key;
        self.lock(key, rules)?;
        let is_taken = key.is_none_or(|key| self.keys.insert((id.0, key)));
        self.put(
            id,
            if is_taken {
                Status::Ready
            } else {
                Status::Waiting
            },
        );
        Some(())
    }

    /// Let what is due for its next attempt be claimed.
    pub(crate) fn return_due(&mut self, rules: &Rules) -> Option<()> {
        for (id, delivery) in self.current().collect::<Vec<_>>() {
            match delivery.status {
                Status::Delayed {
                    is_due: true,
                    holds: true,
                } => self.put(id, Status::Ready),
                Status::Delayed {
                    is_due: true,
                    holds: false,
                } => self.enter(id, rules)?,
                _ => {}
            }
        }
        Some(())
    }

    pub(crate) fn die(&mut self, id: Id, policy: &Policy, rules: &Rules) -> Option<()> {
        let key = self.deliveries.get(&id)?.key;
        let blocks = policy.death_blocks && key.is_some();
        if !blocks {
            self.lock(key, rules)?;
        }
        self.put(id, Status::Dead { blocks });
        if !blocks {
            self.leave(key);
        }
        Some(())
    }

    /// Make a dead letter due again.
    pub(crate) fn replay(&mut self, id: Id, rules: &Rules) -> Option<()> {
        let delivery = self.deliveries.get_mut(&id)?;
        delivery.forgiven = delivery.attempt;
        match delivery.status {
            Status::Dead { blocks: true } => self.put(
                id,
                Status::Delayed {
                    is_due: true,
                    holds: true,
                },
            ),
            _ => self.enter(id, rules)?,
        }
        Some(())
    }
}
