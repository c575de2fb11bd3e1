//! What a service subscribes to, and the events that it receives.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::{
    deliveries::{self, Delivery, Lease},
    event::Envelope,
    trace::Trace,
    unit::Unit,
};
pub use crate::{
    deliveries::{AfterDeath, DuringRetry, Policy},
    drain::{drain, drain_in_lanes},
    verdict::Verdict,
};

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
    /// How many events are claimed, and handled concurrently, at once: many for
    /// handlers that wait, one for handlers that compute.
    pub batch: u32,
    /// How long a handler may take before the event is handed to another.
    pub lease: Duration,
}

impl Subscription {
    /// A subscription with the usual policy: 8 attempts within about ten
    /// minutes, a pause of a minute when 20 events in a row are given up, 100
    /// events at a time.
    pub const fn new(service: &'static str, topic: &'static str) -> Self {
        Self {
            service,
            topic,
            policy: Policy {
                max_attempts: 8,
                backoff_base_ms: 1_000,
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

    pub(crate) fn lease_ms(&self) -> u32 {
        u32::try_from(self.lease.as_millis()).unwrap_or(u32::MAX)
    }

    pub(crate) fn to_wit(&self) -> deliveries::Subscription {
        deliveries::Subscription {
            service: self.service.into(),
            topic: self.topic.into(),
            policy: self.policy,
        }
    }
}

/// An event as a handler sees it.
#[derive(Debug)]
pub struct Received {
    service: &'static str,
    max_attempts: u32,
    delivery: Delivery,
}

impl Received {
    pub(crate) fn new(subscription: &Subscription, delivery: Delivery) -> Self {
        Self {
            service: subscription.service,
            max_attempts: subscription.policy.max_attempts,
            delivery,
        }
    }

    pub(crate) fn lease(&self) -> Lease {
        self.delivery.lease
    }

    /// The id of the event: the idempotency key of every effect outside of the
    /// database.
    pub fn id(&self) -> &str {
        &self.delivery.event_id
    }

    /// The CloudEvents `type`.
    pub fn kind(&self) -> &str {
        &self.delivery.kind
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.delivery.lease.attempt
    }

    /// Whether nobody will try again if this attempt fails. Of a replayed event,
    /// every attempt is called the last.
    pub(crate) fn is_last_attempt(&self) -> bool {
        self.attempt() >= self.max_attempts
    }

    /// The data of the event. One that does not read as `T` never will.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Verdict> {
        Ok(Envelope::decode(&self.delivery.envelope)?.data)
    }

    /// Begin the unit that this event leads to, in its trace.
    pub fn unit(&self) -> Unit {
        Unit::new(self.service, self.trace())
    }

    fn trace(&self) -> Trace {
        Envelope::<serde::de::IgnoredAny>::decode(&self.delivery.envelope)
            .ok()
            .and_then(|envelope| Trace::parse(&envelope.traceparent?))
            .unwrap_or_else(Trace::start)
    }
}
