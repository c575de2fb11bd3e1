//! How long things are kept, as the variables say.

use std::sync::OnceLock;

use emporium_sdk::{
    maintenance::Retention,
    variables::{InvalidVariables, Variables},
};

/// The variables do not change while an instance lives.
static RETENTION: OnceLock<Retention> = OnceLock::new();

/// Reads `retention_events`, `retention_blobs`, `retention_removals` and
/// `retention_units`: periods such as `7d` or `12h`.
pub(crate) async fn retention() -> Result<Retention, InvalidVariables> {
    if let Some(retention) = RETENTION.get() {
        return Ok(*retention);
    }
    let mut variables = Variables::new();
    let events = variables.get("retention_events").await;
    let blobs = variables.get("retention_blobs").await;
    let removals = variables.get("retention_removals").await;
    let units = variables.get("retention_units").await;
    let read = events.zip(blobs).zip(removals.zip(units));
    let ((events, blobs), (removals, units)) = variables.finish(read)?;
    Ok(*RETENTION.get_or_init(|| Retention {
        events_ms: millis(events),
        blobs_ms: millis(blobs),
        removals_ms: millis(removals),
        units_ms: millis(units),
    }))
}

fn millis(period: humantime::Duration) -> u64 {
    u64::try_from(period.as_millis()).unwrap_or(u64::MAX)
}
