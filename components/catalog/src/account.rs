//! The account of what failed: an event that is given up marks its part, so that
//! its ingest ends, and says why.

use emporium_sdk::{
    consumer::{Received, Subscription, Verdict},
    document,
    problem::Problem,
    trace::Trace,
    unit::{Unit, commit_decided},
};

use crate::{
    SERVICE,
    ingest::{Part, State, Step},
};

/// Pass a step's outcome on. If it failed for the last time, its part is marked.
///
/// That is a commit of its own: the event becomes a dead letter, and when it is
/// replayed and succeeds, the part is marked anew.
pub(crate) async fn or_account<T>(
    subscription: &Subscription,
    received: &Received,
    step: &impl Step,
    outcome: Result<T, Verdict>,
) -> Result<T, Verdict> {
    if let Err(verdict) = &outcome
        && let Some(reason) = last_words(subscription, received.attempt(), verdict)
    {
        mark(step.part(), reason).await?;
    }
    outcome
}

/// Why an event is given up, if it is.
fn last_words<'verdict>(
    subscription: &Subscription,
    attempt: u32,
    verdict: &'verdict Verdict,
) -> Option<&'verdict str> {
    match verdict {
        Verdict::Reject { reason } => Some(reason),
        Verdict::Retry { reason, .. } if attempt >= subscription.policy.max_attempts => {
            Some(reason)
        }
        Verdict::Retry { .. } => None,
    }
}

async fn mark(key: String, reason: &str) -> Result<(), Verdict> {
    commit_decided(|| async {
        let mut unit = Unit::new(SERVICE, Trace::start());
        if let Some(mut part) = document::get::<Part>(&key).await? {
            part.value.state = State::Failed(reason.to_owned());
            unit.update(&part)?;
        }
        Ok::<_, Problem>((unit, ()))
    })
    .await
    .map_err(|problem| Verdict::retry(problem.code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_attempt_counts() {
        let subscription = Subscription::new(SERVICE, "x");
        let last = subscription.policy.max_attempts;
        let retry = Verdict::retry("away");
        assert_eq!(last_words(&subscription, 1, &retry), None);
        assert_eq!(last_words(&subscription, last, &retry), Some("away"));
        let reject = Verdict::reject("gone");
        assert_eq!(last_words(&subscription, 1, &reject), Some("gone"));
    }
}
