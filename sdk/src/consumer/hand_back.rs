//! Deliveries that are handed back for another attempt, or given up.

use std::time::Duration;

use super::{Subscription, Verdict};
use crate::{
    deliveries::{Burial, Error, Lease, Return},
    platform,
};

/// How long the database may be away, and how often it is asked meanwhile. What
/// it does not hear of by then is handed out again when its lease runs out.
const ABSENCE: Duration = Duration::from_secs(20);
const ABSENCE_STEP: Duration = Duration::from_millis(250);

/// Hand deliveries back, each as its verdict says.
pub(super) async fn hand_back(subscription: &Subscription, refused: Vec<(Lease, Verdict)>) {
    let mut returns = Vec::new();
    let mut burials = Vec::new();
    for (lease, verdict) in refused {
        match verdict {
            Verdict::Retry { reason, after } => {
                log(subscription, "retries", lease, &reason);
                returns.push(Return {
                    lease,
                    retry_after_ms: after
                        .map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
                    reason,
                });
            }
            Verdict::Reject { reason } => {
                log(subscription, "rejects", lease, &reason);
                burials.push(Burial { lease, reason });
            }
        }
    }
    until_heard(returns, platform::release).await;
    until_heard(burials, platform::bury).await;
}

fn log(subscription: &Subscription, what: &str, lease: Lease, reason: &str) {
    eprintln!(
        "{} {what} a delivery of `{}`: {reason} delivery={} attempt={}",
        subscription.service, subscription.topic, lease.delivery, lease.attempt
    );
}

/// Say something of each lease until the database hears it. A lease that is lost
/// by then was settled: the commit was heard, and only its reply was not.
async fn until_heard<T: Clone, R>(
    mut unheard: Vec<T>,
    say: impl AsyncFn(Vec<T>) -> Vec<Result<R, Error>>,
) {
    let begun = platform::now();
    while !unheard.is_empty() {
        let is_patient = platform::now().saturating_sub(begun) < ABSENCE;
        let results = say(unheard.clone()).await;
        let mut again = Vec::new();
        for (item, result) in unheard.into_iter().zip(results) {
            match result {
                Ok(_) | Err(Error::LeaseLost) => {}
                Err(Error::Unavailable(_)) if is_patient => again.push(item),
                Err(error) => eprintln!("handing a delivery back: {error}"),
            }
        }
        unheard = again;
        if !unheard.is_empty() {
            platform::sleep(ABSENCE_STEP).await;
        }
    }
}
