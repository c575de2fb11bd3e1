//! When to sweep: once a minute, a bounded amount at a time.

use std::time::{Duration, Instant};

use emporium_sdk::{maintenance, problem::Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    notes::{self, now_ms},
    retention::retention,
};

/// How long a tick may sweep. What is left then is for the next.
const BUDGET: Duration = Duration::from_millis(250);

/// How long after one sweep began the next one does, if nothing was left.
const PERIOD_MS: u64 = 60_000;

const NOTE: &str = "sweep";

/// What is remembered of the latest sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Latest {
    begun_ms: u64,
    /// Whether it ended with something left to look at.
    more: bool,
}

#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct SweptView {
    events: u64,
    /// Of subscriptions that were forgotten.
    deliveries: u64,
    blobs: u64,
    removals: u64,
    units: u64,
}

impl Latest {
    /// Whether it is time for another one. A clock that was set back does not put
    /// it off.
    fn is_followed_at(self, now_ms: u64) -> bool {
        self.more || now_ms.abs_diff(self.begun_ms) >= PERIOD_MS
    }
}

/// Sweep if it is time to.
///
/// That it began is written down first: a sweep that is killed, or fails, is not
/// begun again by the next tick, but by the next minute.
pub(crate) async fn if_due() -> Result<Option<SweptView>, Problem> {
    let retention = retention().await.map_err(Problem::internal)?;
    let latest: Option<Latest> = notes::read(NOTE).await.map_err(Problem::unavailable)?;
    let now_ms = now_ms();
    if latest.is_some_and(|latest| !latest.is_followed_at(now_ms)) {
        return Ok(None);
    }
    note(now_ms, false).await?;
    let begun = Instant::now();
    let mut total = SweptView::default();
    loop {
        let swept = maintenance::sweep(retention).await?;
        total.events += swept.events;
        total.deliveries += swept.deliveries;
        total.blobs += swept.blobs;
        total.removals += swept.removals;
        total.units += swept.units;
        if !swept.more {
            return Ok(Some(total));
        }
        if begun.elapsed() > BUDGET {
            note(now_ms, true).await?;
            return Ok(Some(total));
        }
    }
}

async fn note(begun_ms: u64, more: bool) -> Result<(), Problem> {
    let latest = Latest { begun_ms, more };
    let noted = notes::write(NOTE, &latest).await;
    noted.map_err(Problem::unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_follows_a_minute_later_or_where_something_was_left() {
        let begun = |begun_ms, more| Latest { begun_ms, more };
        let now_ms = 1_000_000;
        for (latest, follows) in [
            (begun(now_ms, false), false),
            (begun(now_ms - 59_999, false), false),
            (begun(now_ms - 60_000, false), true),
            (begun(now_ms, true), true),
            // The clock was set back by an hour.
            (begun(now_ms + 3_600_000, false), true),
            (Latest::default(), true),
        ] {
            assert_eq!(latest.is_followed_at(now_ms), follows, "{latest:?}");
        }
    }
}
