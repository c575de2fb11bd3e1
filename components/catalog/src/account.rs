//! The account of what failed: an event that is given up marks its part, so that
//! its ingest ends, and says why.

use emporium_sdk::{
    consumer::{Received, Verdict, failure_notice::or_notify},
    document,
};

use crate::ingest::{Part, State, Step};

/// Take a step. If it is given up, its part is marked, and marked anew when a later
/// attempt succeeds.
pub(crate) async fn accounted<T>(
    received: &Received,
    step: &impl Step,
    outcome: impl Future<Output = Result<T, Verdict>>,
) -> Result<T, Verdict> {
    let mark = async |reason: &str| {
        let mut unit = received.unit();
        if let Some(mut part) = document::get::<Part>(step.part()).await? {
            part.value.state = State::Failed(reason.to_owned());
            unit.update(&part)?;
        }
        Ok(unit)
    };
    or_notify(received, mark, outcome).await
}
