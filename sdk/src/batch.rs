//! A batch of events: handled concurrently, and what they led to committed, many to
//! a round trip.

use std::time::Instant;

use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};

use crate::{
    consumer::{Received, Subscription, Verdict},
    deliveries::{self, Delivery, Lease},
    journal::{self, CommitError},
    refusals,
    unit::{Unit, back_off},
};

/// How often a unit is decided anew when somebody else was faster.
const CONFLICT_ATTEMPTS: usize = 8;

/// Handle events concurrently; commit those that are ready while others run.
pub(crate) async fn handle_batch(
    subscription: &Subscription,
    batch: Vec<Delivery>,
    handle: &impl AsyncFn(&Received) -> Result<Unit, Verdict>,
) {
    let mut open: Vec<Lease> = batch.iter().map(|delivery| delivery.lease).collect();
    let mut extended = Instant::now();
    let mut running: FuturesUnordered<_> = batch
        .into_iter()
        .map(|delivery| async {
            let received = Received::new(subscription, delivery);
            let outcome = handle(&received).await;
            (received, outcome)
        })
        .collect();
    while let Some(first) = running.next().await {
        let mut ready = vec![first];
        while let Some(Some(next)) = futures::FutureExt::now_or_never(running.next()) {
            ready.push(next);
        }
        let done: Vec<Lease> = ready.iter().map(|(received, _)| received.lease()).collect();
        open.retain(|lease| !done.iter().any(|done| done.delivery == lease.delivery));
        finish(subscription, ready, handle).await;
        if extended.elapsed() > subscription.lease / 2 && !open.is_empty() {
            extended = Instant::now();
            // One that is lost shows itself when its unit is committed.
            let _ = deliveries::extend(open.clone(), subscription.lease_ms()).await;
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
                    units.push(unit.settling(received.lease()));
                    handled.push(received);
                }
                Err(verdict) => refused.push((received.lease(), verdict)),
            }
        }
        let mut beaten = Vec::new();
        if !units.is_empty() {
            let results = journal::commit(units).await;
            for (received, result) in handled.into_iter().zip(results) {
                let lease = received.lease();
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
