//! Units, events and queries in few words.

use std::time::Duration;

use super::*;

/// The lease of `Instance::claim`.
pub const LEASE_MS: u32 = 60_000;

/// Longer than the lease of `Instance::claim`.
pub const LEASE_OVER: Duration = Duration::from_secs(61);

/// Longer than any wait of `subscription`.
pub const BACKOFF_OVER: Duration = Duration::from_secs(100);

pub fn put(collection: &str, key: &str, value: &str) -> Put {
    Put {
        collection: collection.into(),
        key: key.into(),
        expected: Expectation::Any,
        value: value.into(),
        entries: Vec::new(),
        blobs: Vec::new(),
    }
}

pub fn removal(collection: &str, key: &str) -> Removal {
    Removal {
        collection: collection.into(),
        key: key.into(),
        expected: Expectation::Any,
    }
}

pub fn entry(index: &str, value: &str) -> documents::Entry {
    documents::Entry {
        index: index.into(),
        value: value.into(),
    }
}

pub fn event(topic: &str, id: &str) -> Event {
    Event {
        id: id.into(),
        topic: topic.into(),
        kind: "thing.happened".into(),
        subject: None,
        not_before_ms: None,
        traceparent: None,
        envelope: id.into(),
    }
}

/// An event with an ordering key.
pub fn keyed(topic: &str, id: &str, key: &str) -> Event {
    Event {
        subject: Some(key.into()),
        ..event(topic, id)
    }
}

/// A unit that does nothing.
pub fn nothing() -> Unit {
    Unit {
        id: None,
        writes: Vec::new(),
        events: Vec::new(),
        settles: Vec::new(),
    }
}

pub fn puts(puts: impl IntoIterator<Item = Put>) -> Unit {
    let writes = puts.into_iter().map(Write::Put).collect();
    Unit {
        writes,
        ..nothing()
    }
}

pub fn removes(removal: Removal) -> Unit {
    Unit {
        writes: vec![Write::Remove(removal)],
        ..nothing()
    }
}

pub fn publishes(events: impl IntoIterator<Item = Event>) -> Unit {
    Unit {
        events: events.into_iter().collect(),
        ..nothing()
    }
}

/// The settlement of one delivery without followers.
pub fn settlement(lease: Lease) -> Vec<Settlement> {
    vec![Settlement {
        lease,
        followers: Vec::new(),
    }]
}

/// A unit that does nothing but end a delivery.
pub fn settles(lease: Lease) -> Unit {
    Unit {
        settles: settlement(lease),
        ..nothing()
    }
}

/// The settlement of a delivery with the first ones of its followers.
pub fn with_followers(delivery: &Delivery, count: usize) -> Settlement {
    let followers = delivery.followers.iter().take(count);
    Settlement {
        lease: delivery.lease,
        followers: followers.map(|follower| follower.delivery).collect(),
    }
}

/// A unit that does nothing but end several deliveries.
pub fn settles_all(settles: impl IntoIterator<Item = Settlement>) -> Unit {
    Unit {
        settles: settles.into_iter().collect(),
        ..nothing()
    }
}

/// Three attempts, a second apart at first; nothing blocks or pauses.
pub fn subscription(service: &str, topic: &str) -> Subscription {
    Subscription {
        service: service.into(),
        topic: topic.into(),
        policy: Policy {
            max_attempts: 3,
            backoff_base_ms: 1000,
            backoff_cap_ms: 60_000,
            during_retry: DuringRetry::Block,
            after_death: AfterDeath::Proceed,
            pause_after: 0,
            pause_ms: 0,
        },
    }
}

/// As `subscription`, where a dead delivery blocks its key.
pub fn blocking_subscription(service: &str, topic: &str) -> Subscription {
    let mut subscription = subscription(service, topic);
    subscription.policy.after_death = AfterDeath::Block;
    subscription
}

/// As `subscription`, where those behind a delivery that waits for its next attempt
/// go on.
pub fn proceeding_subscription(service: &str, topic: &str) -> Subscription {
    let mut subscription = subscription(service, topic);
    subscription.policy.during_retry = DuringRetry::Proceed;
    subscription
}

/// As `subscription`, with one attempt, which pauses for a minute when so many have
/// used it up.
pub fn pausing_subscription(service: &str, topic: &str, pause_after: u32) -> Subscription {
    let mut subscription = subscription(service, topic);
    subscription.policy.max_attempts = 1;
    subscription.policy.pause_after = pause_after;
    subscription.policy.pause_ms = 60_000;
    subscription
}

pub fn back(lease: Lease, reason: &str) -> Return {
    Return {
        lease,
        retry_after_ms: None,
        reason: reason.into(),
    }
}

pub fn burial(lease: Lease, reason: &str) -> Burial {
    Burial {
        lease,
        reason: reason.into(),
    }
}

/// A query for all documents of a collection, ascending.
pub fn every(collection: &str) -> Query {
    Query {
        collection: collection.into(),
        selection: Selection::Every,
        order: Order::Ascending,
        limit: 100,
        cursor: None,
    }
}

/// A worker that does nothing yet.
pub fn worker(id: &str) -> Worker {
    Worker {
        id: id.into(),
        address: None,
        since_ms: 1,
        in_flight: 0,
        counters: Vec::new(),
    }
}

/// Keeps nothing that can go.
pub const NOTHING_KEPT: maintenance::Retention = maintenance::Retention {
    events_ms: 0,
    blobs_ms: 0,
    removals_ms: 0,
    units_ms: 0,
};

/// All dead letters.
pub fn nothing_filtered() -> dead_letters::Filter {
    dead_letters::Filter {
        service: None,
        topic: None,
        kind: None,
    }
}
