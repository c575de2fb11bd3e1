//! The consumer loop: claims events, and has them handled.

use std::{
    cell::Cell,
    pin::pin,
    time::{Duration, Instant},
};

use futures::future::{Either, FutureExt as _, join_all, select};
use spin_sdk::time::sleep;

use crate::{
    batch::handle_batch,
    consumer::{Received, Subscription, Verdict},
    deliveries::{self, Batch, Delivery, Lease},
    solitude::{Alone, Place},
    unit::Unit,
    worker,
};

/// How long one wake may keep its handler busy. What is left then gets a wake of
/// its own, so that a long backlog does not outlive the deadline of the host.
const TIME_BUDGET: Duration = Duration::from_secs(10);

/// Handle what is due of a subscription until nothing is, or the time is used up.
///
/// `handle` decides; it must have no effect but the unit it returns, apart from
/// those that carry the event id as idempotency key. It is called again when
/// another writer came between.
pub async fn drain(
    subscription: &Subscription,
    handle: impl AsyncFn(&Received) -> Result<Unit, Verdict>,
) -> Result<(), deliveries::Error> {
    drain_in_lanes(1, subscription, handle).await
}

/// Handle what is due of a subscription, as [`drain`] does, in so many lanes.
///
/// An event that takes long holds up those that were claimed with it, and no
/// others: that is for handlers which wait for servers elsewhere.
pub async fn drain_in_lanes(
    lanes: usize,
    subscription: &Subscription,
    handle: impl AsyncFn(&Received) -> Result<Unit, Verdict>,
) -> Result<(), deliveries::Error> {
    let drain = Drain {
        subscription,
        handle,
        worker: worker::id().await,
        begun: Instant::now(),
        is_help_called: Cell::new(false),
        is_nothing_due: Cell::new(false),
    };
    let lanes = (0..lanes).map(|_| drain.lane());
    join_all(lanes).await.into_iter().collect()
}

/// What the lanes of a drain share.
struct Drain<'a, H> {
    subscription: &'a Subscription,
    handle: H,
    worker: Option<String>,
    begun: Instant,
    is_help_called: Cell<bool>,
    /// A lane found nothing to claim. Those that have not begun need not look.
    is_nothing_due: Cell<bool>,
}

impl<H: AsyncFn(&Received) -> Result<Unit, Verdict>> Drain<'_, H> {
    async fn lane(&self) -> Result<(), deliveries::Error> {
        let mut has_begun = false;
        loop {
            let place = Place::take().await;
            if self.is_nothing_due.get() && !has_begun {
                return Ok(());
            }
            has_begun = true;
            let batch = self.claim().await?;
            if batch.deliveries.is_empty() {
                self.is_nothing_due.set(true);
                return Ok(());
            }
            if batch.next_due_in_ms == Some(0) && !self.is_help_called.replace(true) {
                // Whoever answers shares the work: another instance, another host.
                self.wake().await;
            }
            if batch.suspect {
                self.handle_alone(place, batch.deliveries).await;
            } else {
                let _beside_others = place.share();
                self.handle(batch.deliveries).await;
            }
            if self.begun.elapsed() > TIME_BUDGET {
                self.wake().await;
                return Ok(());
            }
        }
    }

    async fn claim(&self) -> Result<Batch, deliveries::Error> {
        deliveries::claim(
            self.subscription.to_wit(),
            self.worker.clone(),
            self.subscription.batch,
            self.subscription.lease_ms(),
        )
        .await
    }

    /// Handle a suspect when nothing else is handled: what it might kill is done
    /// before, and the rest waits.
    async fn handle_alone(&self, place: Place, suspect: Vec<Delivery>) {
        let lease = suspect.iter().map(|delivery| delivery.lease).collect();
        if let Some(_alone) = self.wait_for_others(place, lease).await {
            self.handle(suspect).await;
        }
    }

    /// Returns nothing if the lease is lost meanwhile.
    async fn wait_for_others(&self, place: Place, lease: Vec<Lease>) -> Option<Alone> {
        let mut others = place.be_alone();
        if let Some(alone) = others.as_mut().now_or_never() {
            return Some(alone);
        }
        loop {
            let pause = pin!(sleep(self.subscription.lease / 2));
            let alone = match select(others.as_mut(), pause).await {
                Either::Left((alone, _)) => Some(alone),
                Either::Right(((), _)) => None,
            };
            let held = deliveries::extend(lease.clone(), self.subscription.lease_ms()).await;
            if matches!(held[..], [Err(deliveries::Error::LeaseLost)]) {
                return None;
            }
            if alone.is_some() {
                return alone;
            }
        }
    }

    async fn handle(&self, batch: Vec<Delivery>) {
        handle_batch(self.subscription, batch, &self.handle).await;
    }

    /// Wake whoever listens. Without it the next tick does, so a failure is only
    /// logged, and what was claimed is handled.
    async fn wake(&self) {
        let topic = self.subscription.topic;
        if let Err(error) = deliveries::wake(topic.into()).await {
            eprintln!("waking `{topic}`: {error}");
        }
    }
}
