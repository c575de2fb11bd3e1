//! Deliveries that are settled, and what is counted then.

use std::collections::{BTreeMap, HashMap};

use emporium_adapter::{Failure, bindings::deliveries::Lease, histogram::bucket};

use crate::{
    connection::Connection,
    row::{integer, text},
    succession::promote,
};

/// A lease that ran out still counts, until the next claim takes it over.
const SETTLE: &str = "DELETE FROM deliveries WHERE id = ?1 AND attempt = ?2 AND state = 2
    RETURNING subscription, subject, first_due_ms";
const COUNT: &str = "UPDATE subscriptions
    SET settled = settled + ?2, latency_ms = latency_ms + ?3, deaths_in_a_row = 0
    WHERE id = ?1";
const COUNT_LATENCIES: &str = "INSERT INTO latencies (subscription, bucket, count)
    SELECT ?1, l.key, l.value FROM json_each(?2) AS l WHERE true
    ON CONFLICT (subscription, bucket) DO UPDATE SET count = count + excluded.count";

/// What a transaction has settled, by subscription.
#[derive(Default)]
pub(crate) struct Settled {
    tallies: HashMap<i64, Tally>,
}

#[derive(Default)]
struct Tally {
    count: u64,
    latency_ms: u64,
    /// How many took how long.
    latencies: BTreeMap<usize, u64>,
}

impl Settled {
    /// End a delivery for good. Returns whether the lease held.
    pub(crate) fn settle(
        &mut self,
        connection: &Connection,
        lease: Lease,
        now: u64,
    ) -> Result<bool, Failure> {
        let settled = [integer(lease.delivery), integer(lease.attempt)];
        let Some(mut row) = connection.row(SETTLE, &settled)? else {
            return Ok(false);
        };
        let subscription = row.integer()?;
        promote(connection, subscription, row.optional_text()?.as_deref())?;
        let latency_ms = now.saturating_sub(row.unsigned()?);
        let tally = self.tallies.entry(subscription).or_default();
        tally.count += 1;
        tally.latency_ms = tally.latency_ms.saturating_add(latency_ms);
        *tally.latencies.entry(bucket(latency_ms)).or_default() += 1;
        Ok(true)
    }

    /// Note what was settled. It ends every row of deaths.
    pub(crate) fn count(&self, connection: &Connection) -> Result<(), Failure> {
        for (subscription, tally) in &self.tallies {
            let subscription = integer(*subscription);
            // Numbers have no value that JSON cannot express.
            let latencies = serde_json::to_string(&tally.latencies).unwrap_or_default();
            connection.execute(
                COUNT,
                &[
                    subscription.clone(),
                    integer(tally.count),
                    integer(tally.latency_ms),
                ],
            )?;
            connection.execute(COUNT_LATENCIES, &[subscription, text(&latencies)])?;
        }
        Ok(())
    }
}
