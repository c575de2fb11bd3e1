//! How the subscriptions are doing.

use crate::{
    bindings::{deliveries::Subscription, maintenance::Status},
    connection::Connection,
    failure::Failure,
    row::{Row, integer},
    subscriptions::Terms,
};

/// A lease that ran out is held by nobody: its delivery is pending.
const READ: &str = "SELECT
        s.service, t.name,
        s.max_attempts, s.backoff_base_ms, s.backoff_cap_ms, s.blocks,
        count(*) FILTER (WHERE d.died_ms IS NULL AND d.due_ms <= ?1),
        count(*) FILTER (WHERE d.state = 2 AND d.due_ms > ?1),
        count(*) FILTER (WHERE d.state IN (1, 4) AND d.due_ms > ?1),
        count(d.died_ms),
        min(d.due_ms) FILTER (WHERE d.died_ms IS NULL AND d.due_ms <= ?1),
        s.settled, s.retried
    FROM subscriptions AS s
    JOIN topics AS t ON t.id = s.topic
    LEFT JOIN deliveries AS d ON d.subscription = s.id
    GROUP BY s.id ORDER BY s.service, t.name";

pub(crate) fn read(now: u64) -> Result<Vec<Status>, Failure> {
    let rows = Connection::current()?.rows(READ, &[integer(now)])?;
    rows.map(|row| status(row, now)).collect()
}

fn status(mut row: Row, now: u64) -> Result<Status, Failure> {
    Ok(Status {
        subscription: Subscription {
            service: row.text()?,
            topic: row.text()?,
            policy: Terms::read(&mut row)?.into(),
        },
        pending: row.unsigned()?,
        leased: row.unsigned()?,
        delayed: row.unsigned()?,
        dead: row.unsigned()?,
        oldest_pending_ms: row
            .optional_unsigned::<u64>()?
            .map_or(0, |due| now.saturating_sub(due)),
        settled: row.unsigned()?,
        retried: row.unsigned()?,
    })
}
