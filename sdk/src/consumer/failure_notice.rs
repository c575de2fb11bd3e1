//! Notices of events that are given up, for those who wait for what they lead to.

use super::{Received, Verdict};
use crate::unit::{Unit, commit_decided};

/// Why an event is given up whose handler could not say so.
const CUT_OFF: &str = "the last attempt was cut off";

/// Handle an event whose failure others wait for: if nobody will try again, the unit
/// that `tell` makes says why.
///
/// It is a commit of its own: the event becomes a dead letter, and when it
/// is replayed and succeeds, `handle` takes back what was told. So it does when the
/// last attempt succeeds: before that, too, `tell` is called, because a handler that
/// is cut off, by a trap or the end of its lease, can tell nobody.
pub async fn or_notify<T>(
    received: &Received,
    tell: impl AsyncFn(&str) -> Result<Unit, Verdict>,
    handle: impl Future<Output = Result<T, Verdict>>,
) -> Result<T, Verdict> {
    let say = async |reason: &str| {
        commit_decided(|| async { Ok::<_, Verdict>((tell(reason).await?, ())) }).await
    };
    if received.is_last_attempt() {
        say(CUT_OFF).await?;
    }
    let outcome = handle.await;
    match &outcome {
        Err(Verdict::Reject { reason }) => say(reason).await?,
        Err(Verdict::Retry { reason, .. }) if received.is_last_attempt() => say(reason).await?,
        Err(Verdict::Retry { .. }) | Ok(_) => {}
    }
    outcome
}
