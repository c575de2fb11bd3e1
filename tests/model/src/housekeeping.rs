//! Subscriptions that are made and forgotten, and events that are swept.

use crate::{
    Rules,
    database::{Database, Event, Stage, Status},
};

impl Database {
    pub fn stored(&self) -> Vec<u8> {
        let is_stored =
            |(at, event): (usize, &Event)| (event.stage == Stage::Stored).then_some(at as u8);
        self.events
            .iter()
            .enumerate()
            .filter_map(is_stored)
            .collect()
    }

    /// Whether a publisher that does not wake is at work.
    pub(crate) fn is_silently_published(&self) -> bool {
        let is_silent = |event: &Event| matches!(event.stage, Stage::InFlight { wakes: false, .. });
        self.events.iter().any(is_silent)
    }

    fn is_published(&self) -> bool {
        let is_in_flight = |event: &Event| matches!(event.stage, Stage::InFlight { .. });
        self.events.iter().any(is_in_flight)
    }

    /// Begin to make the subscription, with the lock of the topic. Returns what it
    /// will be owed.
    pub(crate) fn begin_to_subscribe(&mut self, rules: &Rules) -> Option<Vec<u8>> {
        let is_published = rules.subscribe_locks_topic && self.is_published();
        let is_swept = rules.sweep_locks_topic && self.swept.is_some();
        if self.is_subscribing || is_published || is_swept {
            return None;
        }
        self.is_subscribing = true;
        Some(self.stored())
    }

    /// Commit the subscription. Of the events with one key the first holds it.
    pub(crate) fn subscribe(&mut self, seen: &[u8]) {
        let subscription = self.subscriptions_made;
        self.is_subscribing = false;
        self.subscriptions_made += 1;
        self.subscription = Some(subscription);
        for &event in seen {
            let key = self
                .events
                .get(usize::from(event))
                .and_then(|event| event.key);
            let is_held = key.is_some_and(|key| self.keys.contains(&(subscription, key)));
            let status = if is_held {
                Status::Waiting
            } else {
                Status::Ready
            };
            self.owe((subscription, event), key, status);
        }
    }

    /// End the subscription, with the lock of the topic. What it was owed is removed
    /// later.
    pub(crate) fn forget(&mut self) -> Option<()> {
        if self.is_subscribing || self.is_published() {
            return None;
        }
        self.subscription.take().map(drop)
    }

    pub(crate) fn remove_forgotten(&mut self) -> Option<()> {
        let kept = self.subscription;
        let before = self.deliveries.len();
        self.deliveries.retain(|id, _| kept == Some(id.0));
        self.keys.retain(|key| kept == Some(key.0));
        (self.deliveries.len() < before).then_some(())
    }

    /// Choose events that are old enough, which all are, and that nobody is owed.
    pub(crate) fn choose_old(&mut self, rules: &Rules) -> Option<()> {
        if self.swept.is_some() || rules.sweep_locks_topic && self.is_subscribing {
            return None;
        }
        let mut old = self.stored();
        old.retain(|&event| self.current().all(|(id, _)| id.1 != event));
        self.swept = (!old.is_empty()).then_some(old);
        self.swept.as_ref().map(drop)
    }

    pub(crate) fn remove_old(&mut self) -> Option<()> {
        for event in self.swept.take()? {
            if let Some(event) = self.events.get_mut(usize::from(event)) {
                event.stage = Stage::Swept;
            }
        }
        Some(())
    }

    /// Whether a tick would wake the topic.
    pub(crate) fn has_work(&self) -> bool {
        let is_due = |status| {
            matches!(
                status,
                Status::Ready
                    | Status::Leased { ran_out: true }
                    | Status::Delayed { is_due: true, .. }
            )
        };
        self.current().any(|(_, delivery)| is_due(delivery.status))
            || self.subscription.is_none() && !self.stored().is_empty()
    }
}
