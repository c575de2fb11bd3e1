//! Events as handlers see them, and those that belong together.

use std::{cell::RefCell, rc::Rc, time::Duration};

use serde::de::DeserializeOwned;

use super::{Subscription, Verdict, quarantine::Permit};
use crate::{
    deliveries::{Delivery, Lease},
    event::Envelope,
    journal::Conflict,
    trace::Trace,
    unit::Unit,
};

/// An event as a handler sees it.
#[derive(Clone, Debug)]
pub struct Received {
    service: &'static str,
    max_attempts: u32,
    /// The delivery and its attempt. The lease of a follower is that of its head.
    delivery: Lease,
    event_id: String,
    kind: String,
    envelope: Vec<u8>,
}

impl Received {
    pub(super) fn delivery(&self) -> u64 {
        self.delivery.delivery
    }

    /// The id of the event: the idempotency key of every effect outside of the
    /// database.
    pub fn id(&self) -> &str {
        &self.event_id
    }

    /// The CloudEvents `type`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.delivery.attempt
    }

    /// Whether nobody will try again if this attempt fails. Of a replayed event,
    /// every attempt is called the last.
    pub(crate) fn is_last_attempt(&self) -> bool {
        self.attempt() >= self.max_attempts
    }

    /// The data of the event. One that does not read as `T` never will.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Verdict> {
        Ok(Envelope::decode(&self.envelope)?.data)
    }

    /// Begin the unit that this event leads to, in its trace.
    pub fn unit(&self) -> Unit {
        Unit::new(self.service, self.trace())
    }

    fn trace(&self) -> Trace {
        Envelope::<serde::de::IgnoredAny>::decode(&self.envelope)
            .ok()
            .and_then(|envelope| Trace::parse(&envelope.traceparent?))
            .unwrap_or_else(Trace::start)
    }
}

/// A leased delivery and its followers: events that are handled one after the
/// other, under one lease.
pub(super) struct Chain {
    pub(super) lease: Lease,
    /// The delivery itself, then its followers.
    pub(super) events: Vec<Received>,
    pub(super) conflicts: RefCell<Conflicts>,
    /// Held for as long as any of it may be handled.
    _permit: Rc<Permit>,
}

/// The write conflicts of a chain.
#[derive(Debug, Default)]
pub(super) struct Conflicts {
    /// When the first was.
    pub(super) since: Option<Duration>,
    pub(super) latest: Option<Conflict>,
}

impl Chain {
    pub(super) fn new(
        subscription: &Subscription,
        delivery: Delivery,
        permit: Rc<Permit>,
    ) -> Rc<Self> {
        let received = |delivery, event_id, kind, envelope| Received {
            service: subscription.service,
            max_attempts: subscription.policy.max_attempts,
            delivery,
            event_id,
            kind,
            envelope,
        };
        let head = received(
            delivery.lease,
            delivery.event_id,
            delivery.kind,
            delivery.envelope,
        );
        let followers = delivery.followers.into_iter().map(|follower| {
            let first_attempt = Lease {
                delivery: follower.delivery,
                attempt: 1,
            };
            received(
                first_attempt,
                follower.event_id,
                follower.kind,
                follower.envelope,
            )
        });
        Rc::new(Self {
            lease: delivery.lease,
            events: std::iter::once(head).chain(followers).collect(),
            conflicts: RefCell::default(),
            _permit: permit,
        })
    }

    /// Whether this is the attempt that a lease is for.
    pub(super) fn is_under(&self, lease: Lease) -> bool {
        (self.lease.delivery, self.lease.attempt) == (lease.delivery, lease.attempt)
    }
}
