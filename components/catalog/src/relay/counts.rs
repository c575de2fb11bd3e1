//! What the relay counts: gathered in the instance, added to a document when the
//! instance has done its work.

use std::sync::{Mutex, MutexGuard, PoisonError};

use emporium_sdk::{
    document::{self, Document},
    problem::Problem,
    trace::Trace,
    unit::{Unit, commit_decided},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::SERVICE;

/// What became of the requests to the relay since it exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RelayCounts)]
pub(crate) struct Counts {
    /// Answered with what was kept.
    pub(crate) hit: u64,
    /// Answered with what upstream sent.
    pub(crate) miss: u64,
    /// Answered with what was kept, after upstream said that it is still so.
    pub(crate) revalidated: u64,
    /// Answered with what was kept though it is no longer fresh, because upstream
    /// is away.
    pub(crate) stale: u64,
    /// Answered with a kept "there is no such thing".
    pub(crate) negative: u64,
    /// Not answered.
    pub(crate) failed: u64,
    /// Requests that were sent upstream.
    pub(crate) sent: u64,
    /// Kept answers that had to go for others.
    pub(crate) evicted: u64,
}

/// The one document of the counts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Total {
    counts: Counts,
}

impl Document for Total {
    const COLLECTION: &'static str = "relay-counts";

    fn key(&self) -> String {
        "total".into()
    }
}

/// What this instance counted and did not write yet.
static PENDING: Mutex<Counts> = Mutex::new(Counts {
    hit: 0,
    miss: 0,
    revalidated: 0,
    stale: 0,
    negative: 0,
    failed: 0,
    sent: 0,
    evicted: 0,
});

/// Count something.
pub(crate) fn count(change: impl FnOnce(&mut Counts)) {
    change(&mut pending());
}

/// Add what was counted to the document. If that fails it stays counted, for the
/// next time.
pub(crate) async fn flush() {
    let counted = std::mem::take(&mut *pending());
    if counted == Counts::default() {
        return;
    }
    let added = commit_decided(|| async {
        let mut unit = Unit::new(SERVICE, Trace::start());
        match document::get::<Total>("total").await? {
            Some(mut total) => {
                total.value.counts = total.value.counts.plus(counted);
                unit.update(&total)?;
            }
            None => unit.create(&Total { counts: counted })?,
        }
        Ok::<_, Problem>((unit, ()))
    })
    .await;
    if added.is_err() {
        count(|counts| *counts = counts.plus(counted));
    }
}

/// All that was counted and written.
pub(crate) async fn total() -> Result<Counts, document::ReadError> {
    let total = document::get::<Total>("total").await?;
    Ok(total.map(|total| total.value.counts).unwrap_or_default())
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            hit: self.hit + other.hit,
            miss: self.miss + other.miss,
            revalidated: self.revalidated + other.revalidated,
            stale: self.stale + other.stale,
            negative: self.negative + other.negative,
            failed: self.failed + other.failed,
            sent: self.sent + other.sent,
            evicted: self.evicted + other.evicted,
        }
    }
}

fn pending() -> MutexGuard<'static, Counts> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}
