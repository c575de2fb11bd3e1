//! What a service subscribes to, and how it wants to be handed it.

use std::time::Duration;

use crate::deliveries::{self, AfterDeath, DuringRetry, Policy};

/// The right of a service to its own copy of each event of a topic, and how it
/// wants to be handed them.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The component id of the service.
    pub service: &'static str,
    /// The stream of events.
    pub topic: &'static str,
    /// How failures are treated.
    pub policy: Policy,
    /// How many events are handled concurrently: many for handlers that wait,
    /// one for handlers that compute.
    pub batch: u32,
    /// How long after a host was cut off its events are handed to another. While
    /// a handler runs its lease is renewed, however long it takes.
    pub lease: Duration,
}

impl Subscription {
    /// A subscription with the usual policy: 8 attempts within about ten
    /// minutes, the second of them within a tenth of a second; a pause of a
    /// minute when 20 events within a minute used up their attempts, and no more
    /// were handled; 100 events at a time.
    pub const fn new(service: &'static str, topic: &'static str) -> Self {
        Self {
            service,
            topic,
            policy: Policy {
                max_attempts: 8,
                backoff_base_ms: 80,
                backoff_cap_ms: 300_000,
                during_retry: DuringRetry::Block,
                after_death: AfterDeath::Proceed,
                pause_after: 20,
                pause_ms: 60_000,
            },
            batch: 100,
            lease: Duration::from_secs(30),
        }
    }

    pub(super) fn lease_ms(&self) -> u32 {
        u32::try_from(self.lease.as_millis()).unwrap_or(u32::MAX)
    }

    pub(super) fn to_wit(&self) -> deliveries::Subscription {
        deliveries::Subscription {
            service: self.service.into(),
            topic: self.topic.into(),
            policy: self.policy,
        }
    }
}
