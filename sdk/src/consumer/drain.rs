//! The event loop of a drain: claims, handlers, commits, renewals and what is
//! handed back are futures side by side, and none waits for another.

use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    task::Poll,
    time::Duration,
};

use futures::{
    future::LocalBoxFuture,
    stream::{FuturesUnordered, StreamExt as _},
};

use super::{
    Received, Subscription, Verdict,
    commits::Outcome,
    contention::Contention,
    hand_back::hand_back,
    leases::{Leases, Stage},
    pace::{Load, Next, Pace},
    quarantine::Permit,
    received::Chain,
    runs::Run,
    series::{Batches, Each, Handled, Handler},
};
use crate::{
    deliveries::{self, Batch, Delivery, Lease},
    platform,
    unit::Unit,
    worker,
};

/// How long after the time budget of a drain its last series may begin.
const EXTRA_TIME: Duration = Duration::from_secs(25);

/// Handle what is due of a subscription until nothing is, or the time is used up.
///
/// `handle` decides; it must have no effect but the unit it returns, apart from
/// those that carry the event id as idempotency key. It is called again when
/// another writer came between, and events with one ordering key are committed
/// together: what an earlier one of them wrote is seen by [`crate::document`]
/// alone.
pub async fn drain(
    subscription: &Subscription,
    handle: impl AsyncFn(&Received) -> Result<Unit, Verdict>,
) -> Result<(), deliveries::Error> {
    run(subscription, &Each(handle)).await
}

/// Handle what is due of a subscription as [`drain`] does, many events at a time:
/// up to [`Subscription::batch`] lead to one unit.
///
/// Events with one ordering key stand in their order. When a batch fails its
/// halves are tried, so that only what fails by itself is retried or given up.
pub async fn drain_batches(
    subscription: &Subscription,
    handle: impl AsyncFn(&[Received]) -> Result<Unit, Verdict>,
) -> Result<(), deliveries::Error> {
    run(subscription, &Batches(handle)).await
}

async fn run(subscription: &Subscription, handler: &dyn Handler) -> Result<(), deliveries::Error> {
    let worker = worker::id().await;
    Drain::new(subscription, handler, worker).run().await
}

/// Something that ended.
pub(super) enum Event {
    Claimed(Duration, Permit, Result<Batch, deliveries::Error>),
    Isolated(Permit, Vec<Delivery>),
    /// `None` if the run was called off.
    Handled(u64, Option<Handled>),
    Committed(Vec<Outcome>),
    Renewed(Vec<Lease>, Vec<Result<(), deliveries::Error>>),
    HandedBack(Vec<Lease>),
    Woken,
}

/// A drain, and everything that it has in flight.
pub(super) struct Drain<'d> {
    pub(super) subscription: &'d Subscription,
    pub(super) handler: &'d dyn Handler,
    worker: Option<String>,
    pub(super) pace: Pace,
    pub(super) leases: Leases,
    pub(super) contention: Contention,
    pub(super) runs: HashMap<u64, Run>,
    pub(super) latest_run: u64,
    /// Handled, and waiting to be committed.
    pub(super) ready: VecDeque<Handled>,
    pub(super) commits: usize,
    /// To be handed back.
    pub(super) refused: Vec<(Lease, Verdict)>,
    pub(super) tasks: FuturesUnordered<LocalBoxFuture<'d, Event>>,
    timer: Option<(Duration, LocalBoxFuture<'static, ()>)>,
    is_quarantined: bool,
    is_help_called: bool,
    failure: Option<deliveries::Error>,
}

impl<'d> Drain<'d> {
    fn new(
        subscription: &'d Subscription,
        handler: &'d dyn Handler,
        worker: Option<String>,
    ) -> Self {
        let batch = usize::try_from(subscription.batch).unwrap_or(1);
        Self {
            subscription,
            handler,
            worker,
            pace: Pace::new(batch, platform::now()),
            leases: Leases::new(subscription.lease),
            contention: Contention::default(),
            runs: HashMap::new(),
            latest_run: 0,
            ready: VecDeque::new(),
            commits: 0,
            refused: Vec::new(),
            tasks: FuturesUnordered::new(),
            timer: None,
            is_quarantined: false,
            is_help_called: false,
            failure: None,
        }
    }

    async fn run(mut self) -> Result<(), deliveries::Error> {
        loop {
            let load = self.load();
            let mut claims_at = None;
            // Before the next commit begins, or there would always be one.
            match self.pace.next(load, platform::now()) {
                Next::Claim(limit) => self.claim(limit),
                Next::WaitUntil(due_at) => claims_at = Some(due_at),
                Next::End if self.tasks.is_empty() => break,
                Next::Wait | Next::End => {}
            }
            self.begin_series();
            self.begin_commits();
            self.hand_back();
            self.renew();
            let moments = [
                claims_at,
                self.leases.renews_at(),
                self.contention.resumes_at(),
            ];
            let until = moments.into_iter().flatten().min();
            if let Some(event) = self.next_event(until).await {
                self.ended(event);
            }
            // Everything else that ended: it is committed together.
            while let Some(Some(event)) = futures::FutureExt::now_or_never(self.tasks.next()) {
                self.ended(event);
            }
        }
        if self.pace.is_cut_short(platform::now()) {
            wake(self.subscription.topic).await;
        }
        self.failure.map_or(Ok(()), Err)
    }

    /// Wait until something ends, or until a moment.
    async fn next_event(&mut self, until: Option<Duration>) -> Option<Event> {
        poll_fn(|context| {
            match self.tasks.poll_next_unpin(context) {
                Poll::Ready(Some(event)) => return Poll::Ready(Some(event)),
                Poll::Ready(None) if until.is_none() => return Poll::Ready(None),
                Poll::Ready(None) | Poll::Pending => {}
            }
            let Some(until) = until else {
                return Poll::Pending;
            };
            // A timer that ends too soon does no harm.
            if self.timer.as_ref().is_none_or(|(at, _)| *at > until) {
                let pause = until.saturating_sub(platform::now());
                self.timer = Some((until, Box::pin(platform::sleep(pause))));
            }
            let Some((_, timer)) = &mut self.timer else {
                return Poll::Pending;
            };
            timer.as_mut().poll(context).map(|()| {
                self.timer = None;
                None
            })
        })
        .await
    }

    fn ended(&mut self, event: Event) {
        match event {
            Event::Claimed(began, permit, Ok(batch)) => self.claimed(began, permit, batch),
            Event::Claimed(_, _, Err(error)) => {
                self.failure = Some(error);
                self.pace.stop();
                self.pace.claim_ended(0, None, platform::now());
            }
            Event::Isolated(permit, deliveries) => self.take_on(permit, deliveries),
            Event::Handled(run, handled) => self.handled(run, handled),
            Event::Committed(outcomes) => {
                self.commits -= 1;
                for outcome in outcomes {
                    self.committed(outcome);
                }
            }
            Event::Renewed(leases, results) => self.renewed(leases, results),
            Event::HandedBack(leases) => {
                for lease in leases {
                    self.leases.drop(lease);
                }
                self.pace.changed(platform::now());
            }
            Event::Woken => {}
        }
    }

    fn load(&mut self) -> Load {
        let (handling, finishing) = self.leases.count();
        self.is_quarantined &= handling + finishing > 0;
        Load {
            handling,
            finishing,
            is_committing: self.commits > 0,
            is_quarantined: self.is_quarantined,
        }
    }

    fn claim(&mut self, limit: usize) {
        self.pace.claim_began();
        let subscription = self.subscription.to_wit();
        let worker = self.worker.clone();
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let lease_ms = self.subscription.lease_ms();
        let ends_at = self.pace.ends_at();
        self.tasks.push(Box::pin(async move {
            let permit = Permit::acquire().await;
            let began = platform::now();
            if began >= ends_at {
                // The time was used up by something in quarantine.
                return Event::Claimed(began, permit, Ok(nothing_yet()));
            }
            let batch = platform::claim(subscription, worker, limit, lease_ms).await;
            Event::Claimed(began, permit, batch)
        }));
    }

    fn claimed(&mut self, began: Duration, permit: Permit, batch: Batch) {
        let next = batch.next_due_in_ms.map(Duration::from_millis);
        let found = batch.deliveries.len();
        self.pace.claim_ended(found, next, platform::now());
        for delivery in &batch.deliveries {
            // Its lease ran out before it was renewed. A handler that still runs must
            // not keep the next attempt from quarantine.
            if let Some(earlier) = self.leases.held(delivery.lease.delivery) {
                self.lost(earlier);
            }
            self.leases.hold(delivery.lease, began);
        }
        if found > 0 && next == Some(Duration::ZERO) && !self.is_help_called {
            // Others share the work: another instance, another host.
            self.is_help_called = true;
            let topic = self.subscription.topic;
            self.tasks.push(Box::pin(async move {
                wake(topic).await;
                Event::Woken
            }));
        }
        if !batch.suspect {
            return self.take_on(permit.share(), batch.deliveries);
        }
        self.is_quarantined = true;
        let isolated = permit.isolate();
        self.tasks.push(Box::pin(async move {
            Event::Isolated(isolated.await, batch.deliveries)
        }));
    }

    /// Have deliveries handled.
    fn take_on(&mut self, permit: Permit, deliveries: Vec<Delivery>) {
        let permit = std::rc::Rc::new(permit);
        for delivery in deliveries {
            // It may have been lost while it waited for quarantine.
            if self.leases.stage(delivery.lease) != Some(Stage::Waiting) {
                continue;
            }
            let chain = Chain::new(self.subscription, delivery, permit.clone());
            if self.handler.is_together() || self.contention.is_likely() {
                self.contention.push(chain);
            } else {
                self.begin_run(vec![chain], None);
            }
        }
    }

    fn hand_back(&mut self) {
        if self.pace.is_overdue(platform::now(), EXTRA_TIME) {
            for chain in self.contention.remove(|_| true) {
                let verdict = Verdict::Retry {
                    reason: "there was no time left for it".into(),
                    after: Some(Duration::from_millis(200)),
                };
                self.refuse(chain.lease, verdict);
            }
        }
        if self.refused.is_empty() {
            return;
        }
        let refused = std::mem::take(&mut self.refused);
        let subscription = self.subscription;
        self.tasks.push(Box::pin(async move {
            let leases = refused.iter().map(|(lease, _)| *lease).collect();
            hand_back(subscription, refused).await;
            Event::HandedBack(leases)
        }));
    }

    pub(super) fn refuse(&mut self, lease: Lease, verdict: Verdict) {
        self.leases.enter(lease, Stage::Finishing);
        self.refused.push((lease, verdict));
    }
}

/// An empty batch, though there is more to claim.
fn nothing_yet() -> Batch {
    Batch {
        deliveries: Vec::new(),
        suspect: false,
        next_due_in_ms: Some(0),
    }
}

/// Wake all that listen. Without it the next tick does, so a failure is only
/// logged.
async fn wake(topic: &str) {
    if let Err(error) = platform::wake(topic.into()).await {
        eprintln!("waking `{topic}`: {error}");
    }
}

#[cfg(test)]
mod tests;
