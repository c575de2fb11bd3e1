//! The account of what failed: an event that is given up marks its part, so that
//! its ingest ends, and says why.

use emporium_sdk::{
    consumer::{Received, Verdict},
    document,
    last_words::or_last_words,
    problem::Problem,
    trace::Trace,
    unit::{Unit, commit_decided},
};

use crate::{
    SERVICE,
    ingest::{Part, State, Step},
};

/// Take a step. If it is given up, its part is marked, and marked anew when a later
/// attempt succeeds.
pub(crate) async fn accounted<T>(
    received: &Received,
    step: &impl Step,
    outcome: impl Future<Output = Result<T, Verdict>>,
) -> Result<T, Verdict> {
    let mark = async |reason: &str| mark(step.part(), reason).await;
    or_last_words(received, mark, outcome).await
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
