//! Arguments of `deliveries`, checked.

use crate::{
    bindings::deliveries::{Error, Subscription},
    failure::report_failures_as,
    names::{InvalidName, check_label, check_topic, check_worker},
};

const MOST: u32 = 1000;
const SHORTEST_LEASE_MS: u32 = 1000;

/// No lease lasts longer, whatever becomes of the clock.
pub const LONGEST_LEASE_MS: u32 = 3_600_000;

/// How many deliveries one claim should let die before it leaves the rest to
/// the next.
pub const MOST_DEATHS: usize = 100;

/// How many events one statement should read. A host limits what a statement may
/// return: to 128 MiB in Spin. An envelope has at most a quarter of one.
pub const ROUND: usize = 256;

/// What a batch may weigh before it ends early.
pub const BATCH_BYTES: usize = 16 << 20;

pub fn check_claim(
    subscription: &Subscription,
    worker: Option<&str>,
    limit: u32,
    lease_ms: u32,
) -> Result<(), Error> {
    check_label("service", &subscription.service)?;
    check_topic(&subscription.topic)?;
    if let Some(worker) = worker {
        check_worker(worker)?;
    }
    if subscription.policy.max_attempts == 0 {
        return Err(Error::InvalidRequest(
            "a delivery needs at least one attempt".into(),
        ));
    }
    if !(1..=MOST).contains(&limit) {
        return Err(Error::InvalidRequest(format!(
            "limit {limit} must be 1 to {MOST}"
        )));
    }
    check_lease_ms(lease_ms)
}

pub fn check_lease_ms(lease_ms: u32) -> Result<(), Error> {
    if (SHORTEST_LEASE_MS..=LONGEST_LEASE_MS).contains(&lease_ms) {
        return Ok(());
    }
    Err(Error::InvalidRequest(format!(
        "a lease of {lease_ms} ms must be {SHORTEST_LEASE_MS} to {LONGEST_LEASE_MS}"
    )))
}

pub fn check_wake(topic: &str) -> Result<(), Error> {
    Ok(check_topic(topic)?)
}

report_failures_as!(Error);

impl From<InvalidName> for Error {
    fn from(invalid: InvalidName) -> Self {
        Self::InvalidRequest(invalid.to_string())
    }
}
