//! The account of what failed: an event that is given up marks its part, so that
//! its ingest ends, and says why.

use emporium_sdk::{
    consumer::{CUT_OFF, Received, Verdict},
    document,
    problem::Problem,
    trace::Trace,
    unit::{Unit, commit_decided},
};

use crate::{
    SERVICE,
    ingest::{Part, State, Step},
};

/// Take a step. If it fails for the last time, its part is marked.
///
/// That is a commit of its own: the event becomes a dead letter, and when it is
/// replayed and succeeds, the part is marked anew. So it is when the last attempt
/// succeeds, before which the part is marked in case that it is cut off.
pub(crate) async fn accounted<T>(
    received: &Received,
    step: &impl Step,
    outcome: impl Future<Output = Result<T, Verdict>>,
) -> Result<T, Verdict> {
    if received.is_last_attempt() {
        mark(step.part(), CUT_OFF).await?;
    }
    let outcome = outcome.await;
    match &outcome {
        Err(Verdict::Reject { reason }) => mark(step.part(), reason).await?,
        Err(Verdict::Retry { reason, .. }) if received.is_last_attempt() => {
            mark(step.part(), reason).await?;
        }
        Err(Verdict::Retry { .. }) | Ok(_) => {}
    }
    outcome
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
