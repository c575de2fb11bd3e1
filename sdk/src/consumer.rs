//! The consumer loop: claims events, handles them concurrently, and commits what
//! they led to, many to a round trip.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use serde::de::DeserializeOwned;

use crate::{
    deliveries::{self, Delivery, Lease},
    event::Envelope,
    journal::{self, CommitError},
    refusals,
    trace::Trace,
    unit::{Unit, back_off},
    worker,
};
pub use crate::{
    deliveries::{AfterDeath, Policy},
    verdict::Verdict,
};

/// How long one wake may keep its handler busy. What is left then gets a wake of
/// its own, so that a long backlog does not outlive the deadline of the host.
const TIME_BUDGET: Duration = Duration::from_secs(10);

/// How often a unit is decided anew when somebody else was faster.
const CONFLICT_ATTEMPTS: usize = 8;

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
                after_death: AfterDeath::Proceed,
                pause_after: 20,
                pause_ms: 60_000,
            },
            batch: 100,
            lease: Duration::from_secs(30),
        }
    }

    fn to_wit(&self) -> deliveries::Subscription {
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

/// Handle what is due of a subscription until nothing is, or the time is used up.
///
/// `handle` decides; it must have no effect but the unit it returns, apart from
/// those that carry the event id as idempotency key. It is called again when
/// another writer came between.
pub async fn drain(
    subscription: &Subscription,
    handle: impl AsyncFn(&Received) -> Result<Unit, Verdict>,
) -> Result<(), deliveries::Error> {
    let begun = Instant::now();
    let lease_ms = u32::try_from(subscription.lease.as_millis()).unwrap_or(u32::MAX);
    let worker = worker::id().await;
    let mut help_called = false;
    loop {
        let batch = deliveries::claim(
            subscription.to_wit(),
            worker.clone(),
            subscription.batch,
            lease_ms,
        )
        .await?;
        if batch.deliveries.is_empty() {
            return Ok(());
        }
        let more_is_due = batch.next_due_in_ms == Some(0);
        if more_is_due && !help_called {
            // Whoever answers shares the work: another instance, another host.
            help_called = true;
            wake(subscription).await;
        }
        handle_batch(subscription, lease_ms, batch.deliveries, &handle).await;
        if begun.elapsed() > TIME_BUDGET {
            wake(subscription).await;
            return Ok(());
        }
    }
}

/// Wake whoever listens. Without it the next tick does, so a failure is only
/// logged, and what was claimed is handled.
async fn wake(subscription: &Subscription) {
    if let Err(error) = deliveries::wake(subscription.topic.into()).await {
        eprintln!("waking `{}`: {error}", subscription.topic);
    }
}

/// Handle events concurrently; commit those that are ready while others run.
async fn handle_batch(
    subscription: &Subscription,
    lease_ms: u32,
    batch: Vec<Delivery>,
    handle: &impl AsyncFn(&Received) -> Result<Unit, Verdict>,
) {
    let mut open: Vec<Lease> = batch.iter().map(|delivery| delivery.lease).collect();
    let mut extended = Instant::now();
    let mut running: FuturesUnordered<_> = batch
        .into_iter()
        .map(|delivery| async {
            let received = Received {
                service: subscription.service,
                max_attempts: subscription.policy.max_attempts,
                delivery,
            };
            let outcome = handle(&received).await;
            (received, outcome)
        })
        .collect();
    while let Some(first) = running.next().await {
        let mut ready = vec![first];
        while let Some(Some(next)) = futures::FutureExt::now_or_never(running.next()) {
            ready.push(next);
        }
        let done: Vec<Lease> = ready
            .iter()
            .map(|(received, _)| received.delivery.lease)
            .collect();
        open.retain(|lease| !done.iter().any(|done| done.delivery == lease.delivery));
        finish(subscription, ready, handle).await;
        if extended.elapsed() > subscription.lease / 2 && !open.is_empty() {
            extended = Instant::now();
            // One that is lost shows itself when its unit is committed.
            let _ = deliveries::extend(open.clone(), lease_ms).await;
        }
    }
}

/// Commit the units of handled events in one round trip, and hand back or bury
/// what failed.
async fn finish(
    subscription: &Subscription,
    mut ready: Vec<(Received, Result<Unit, Verdict>)>,
    handle: &impl AsyncFn(&Received) -> Result<Unit, Verdict>,
) {
    let mut refused: Vec<(Lease, Verdict)> = Vec::new();
    for attempt in 1..=CONFLICT_ATTEMPTS {
        let mut handled = Vec::new();
        let mut units = Vec::new();
        for (received, outcome) in ready {
            match outcome {
                Ok(unit) => {
                    units.push(unit.settling(received.delivery.lease));
                    handled.push(received);
                }
                Err(verdict) => refused.push((received.delivery.lease, verdict)),
            }
        }
        let mut beaten = Vec::new();
        if !units.is_empty() {
            let results = journal::commit(units).await;
            for (received, result) in handled.into_iter().zip(results) {
                let lease = received.delivery.lease;
                match result {
                    // A lost lease means that the work is done, or being done,
                    // elsewhere.
                    Ok(_) | Err(CommitError::LeaseLost) => {}
                    Err(CommitError::Conflict(_)) if attempt < CONFLICT_ATTEMPTS => {
                        beaten.push(received);
                    }
                    Err(error) => refused.push((lease, error.into())),
                }
            }
        }
        if beaten.is_empty() {
            break;
        }
        back_off(attempt).await;
        ready = join_all(beaten.into_iter().map(|received| async {
            let outcome = handle(&received).await;
            (received, outcome)
        }))
        .await;
    }
    refusals::give_back(subscription, refused).await;
}
