//! Terms: how the ledger is handed its events, which each test chooses.

use std::time::Duration;

use emporium_sdk::consumer::{AfterDeath, DuringRetry, Policy, Subscription};
use spin_sdk::variables;

use crate::SERVICE;

/// The stream of entries.
pub(crate) const TOPIC: &str = "ledger";

/// The subscription, with what the variables say of it.
pub(crate) async fn subscription() -> Subscription {
    Subscription {
        policy: Policy {
            max_attempts: number("max_attempts").await.unwrap_or(8),
            backoff_base_ms: 50,
            backoff_cap_ms: 1_000,
            during_retry: DuringRetry::Block,
            after_death: AfterDeath::Proceed,
            pause_after: 0,
            pause_ms: 0,
        },
        lease: Duration::from_millis(number("lease_ms").await.unwrap_or(30_000).into()),
        batch: number("batch").await.unwrap_or(100),
        ..Subscription::new(SERVICE, TOPIC)
    }
}

async fn number(variable: &str) -> Option<u32> {
    variables::get(variable).await.ok()?.parse().ok()
}
