//! How the subscriptions are doing.
//!
//! A backlog may be long. What counts it reads indexes alone, never the
//! deliveries themselves.

use std::collections::HashMap;

use emporium_adapter::{
    Failure,
    bindings::{deliveries::Subscription, maintenance::Status},
    histogram::{self, BUCKETS},
};

use crate::{
    connection::Connection,
    pauses,
    row::{Row, integer},
    subscriptions::read_terms,
};

/// A lease that ran out is held by nobody: its delivery is pending.
const READ: &str = "SELECT
        s.id, s.service, t.name,
        s.max_attempts, s.backoff_base_ms, s.backoff_cap_ms, s.retry_blocks, s.blocks,
        s.pause_after, s.pause_ms,
        s.paused_ms, s.paused_until_ms, s.pause_reason,
        s.settled, s.retried, s.latency_ms, s.longest_ms,
        (SELECT count(*) FROM deliveries AS d
            WHERE d.subscription = s.id AND d.state <= 2 AND d.due_ms <= ?1),
        (SELECT min(d.due_ms) FROM deliveries AS d
            WHERE d.subscription = s.id AND d.state <= 2 AND d.due_ms <= ?1)
    FROM subscriptions AS s JOIN topics AS t ON t.id = s.topic
    ORDER BY s.service, t.name";
const COUNT_LATER: &str = "SELECT
        count(*) FILTER (WHERE d.state = 2), count(*) FILTER (WHERE d.state <> 2)
    FROM deliveries AS d
    WHERE d.subscription = ?1 AND d.state <= 2 AND d.due_ms > ?2";
const COUNT_WAITING: &str = "SELECT
        count(*) FILTER (WHERE d.due_ms <= ?2), count(*) FILTER (WHERE d.due_ms > ?2),
        min(d.due_ms)
    FROM deliveries AS d WHERE d.subscription = ?1 AND d.state = 4";
const COUNT_DEAD: &str = "SELECT subscription, count(*) FROM deliveries
    WHERE died_ms IS NOT NULL GROUP BY subscription";
const LATENCIES: &str = "SELECT bucket, count FROM latencies WHERE subscription = ?1";

pub(crate) fn read(now: u64) -> Result<Vec<Status>, Failure> {
    let connection = Connection::current()?;
    let mut dead = HashMap::new();
    for mut row in connection.rows(COUNT_DEAD, &[])? {
        dead.insert(row.integer()?, row.unsigned()?);
    }
    let rows = connection.rows(READ, &[integer(now)])?;
    rows.map(|row| status(&connection, row, &dead, now))
        .collect()
}

fn status(
    connection: &Connection,
    mut row: Row,
    dead: &HashMap<i64, u64>,
    now: u64,
) -> Result<Status, Failure> {
    let id = row.integer()?;
    let subscription = Subscription {
        service: row.text()?,
        topic: row.text()?,
        policy: read_terms(&mut row)?.into(),
    };
    let paused = pauses::read(&mut row, now)?;
    let (settled, retried) = (row.unsigned()?, row.unsigned()?);
    let (latency_ms, longest_ms) = (row.unsigned()?, row.unsigned()?);
    let (due, oldest_due): (u64, Option<u64>) = (row.unsigned()?, row.optional_unsigned()?);
    let mut later = one(connection, COUNT_LATER, id, now)?;
    let (leased, delayed): (u64, u64) = (later.unsigned()?, later.unsigned()?);
    let mut waiting = one(connection, COUNT_WAITING, id, now)?;
    let (overdue, early): (u64, u64) = (waiting.unsigned()?, waiting.unsigned()?);
    let oldest_waiting: Option<u64> = waiting.optional_unsigned()?;
    let oldest = [oldest_due, oldest_waiting].into_iter().flatten().min();
    Ok(Status {
        subscription,
        pending: due + overdue,
        leased,
        delayed: delayed + early,
        dead: dead.get(&id).copied().unwrap_or(0),
        oldest_pending_ms: oldest.map_or(0, |due| now.saturating_sub(due)),
        settled,
        retried,
        latency: histogram::of_counts(latencies(connection, id)?, latency_ms, longest_ms),
        paused,
    })
}

fn one(connection: &Connection, statement: &str, id: i64, now: u64) -> Result<Row, Failure> {
    connection
        .row(statement, &[integer(id), integer(now)])?
        .ok_or_else(|| Failure::Other("a count gave no row".into()))
}

fn latencies(connection: &Connection, id: i64) -> Result<Vec<u64>, Failure> {
    let mut counts = vec![0; BUCKETS];
    for mut row in connection.rows(LATENCIES, &[integer(id)])? {
        let bucket: usize = row.unsigned()?;
        if let Some(count) = counts.get_mut(bucket) {
            *count = row.unsigned()?;
        }
    }
    Ok(counts)
}
