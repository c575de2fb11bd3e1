//! Housekeeping: what has been kept long enough is removed, a bit at a time, so
//! that a sweep never holds the write lock for long.

use emporium_adapter::{
    Failure,
    bindings::maintenance::{Retention, Swept},
};
use spin_sdk::sqlite::Value;

use crate::{
    connection::{Connection, Durability},
    row::{integer, json, text},
    upload,
};

/// How many rows a sweep looks at, of each kind.
const ROWS: usize = 1000;
const BLOBS: usize = 50;

/// Those of forgotten subscriptions. Each has an index of its own.
const FORGOTTEN: &str = "SELECT subscription FROM forgotten LIMIT 1";
const OWED: [&str; 3] = [
    "DELETE FROM deliveries WHERE id IN (
        SELECT id FROM deliveries WHERE subscription = ?1 AND state <= 2 LIMIT ?2)",
    "DELETE FROM deliveries WHERE id IN (
        SELECT id FROM deliveries WHERE subscription = ?1 AND state = 4 LIMIT ?2)",
    "DELETE FROM deliveries WHERE id IN (
        SELECT id FROM deliveries WHERE subscription = ?1 AND died_ms IS NOT NULL LIMIT ?2)",
];
const OWED_NOTHING: &str = "DELETE FROM forgotten WHERE subscription = ?1";

/// Old events, from where the latest sweep ended. Those that are still owed are
/// passed over, and looked at again when the end has been reached.
const POSITION: &str = "SELECT published_ms, event FROM swept";
const AT_POSITION: &str = "SELECT published_ms, sequence,
        EXISTS (SELECT 1 FROM deliveries WHERE event = sequence)
    FROM events WHERE published_ms = ?1 AND sequence > ?2 AND published_ms <= ?3
    ORDER BY sequence LIMIT ?4";
const AFTER_POSITION: &str = "SELECT published_ms, sequence,
        EXISTS (SELECT 1 FROM deliveries WHERE event = sequence)
    FROM events WHERE published_ms > ?1 AND published_ms <= ?3
    ORDER BY published_ms, sequence LIMIT ?4";
const REMOVE_EVENTS: &str = "DELETE FROM events WHERE sequence IN (
        SELECT value FROM json_each(?1)
    )";
const MOVE_POSITION: &str = "UPDATE swept SET published_ms = ?1, event = ?2";

/// Keys of which nobody waits any more that was handed out with a delivery whose
/// lease ran out.
const SINGLY: &str = "DELETE FROM singly WHERE NOT EXISTS (
        SELECT 1 FROM deliveries AS d
        WHERE d.subscription = singly.subscription AND d.subject = singly.subject
            AND d.state = 4 AND d.event <= singly.until_event
    ) AND NOT EXISTS (
        SELECT 1 FROM deliveries AS d
        WHERE d.subscription = singly.subscription AND d.subject = singly.subject
            AND d.subject IS NOT NULL AND d.state BETWEEN 1 AND 3
            AND d.event <= singly.until_event
    )";

const OLD_BLOBS: &str = "SELECT id FROM blobs
    WHERE unreferenced_ms IS NOT NULL AND unreferenced_ms <= ?1
    ORDER BY unreferenced_ms LIMIT ?2";
const REMOVALS: &str = "DELETE FROM removals WHERE (collection, key) IN (
        SELECT collection, key FROM removals WHERE removed_ms <= ?1
        ORDER BY removed_ms LIMIT ?2
    )";
const UNITS: &str = "DELETE FROM units WHERE id IN (
        SELECT id FROM units WHERE committed_ms <= ?1
        ORDER BY committed_ms LIMIT ?2
    )";

/// How many rows of a kind were removed, and whether there is more to look at.
struct Step {
    removed: u64,
    more: bool,
}

impl Step {
    fn of(removed: usize, looked_at: usize) -> Self {
        Self {
            removed: removed as u64,
            more: looked_at >= ROWS,
        }
    }
}

pub(crate) fn sweep(retention: Retention, now: u64) -> Result<Swept, Failure> {
    let connection = Connection::current()?;
    let until = |kept: u64| integer(now.saturating_sub(kept));
    let deliveries = in_transaction(&connection, || sweep_owed(&connection))?;
    let events = until(retention.events_ms);
    let events = in_transaction(&connection, || sweep_events(&connection, events))?;
    let blobs = until(retention.blobs_ms);
    let blobs = in_transaction(&connection, || sweep_blobs(&connection, blobs))?;
    let removals = until(retention.removals_ms);
    let removals = in_transaction(&connection, || sweep_rows(&connection, REMOVALS, removals))?;
    let units = until(retention.units_ms);
    let units = in_transaction(&connection, || sweep_rows(&connection, UNITS, units))?;
    let steps = [&deliveries, &events, &blobs, &removals, &units];
    Ok(Swept {
        more: steps.iter().any(|step| step.more),
        events: events.removed,
        deliveries: deliveries.removed,
        blobs: blobs.removed,
        removals: removals.removed,
        units: units.removed,
    })
}

fn in_transaction(
    connection: &Connection,
    step: impl FnOnce() -> Result<Step, Failure>,
) -> Result<Step, Failure> {
    connection.transaction(Durability::Relaxed, step)
}

fn sweep_owed(connection: &Connection) -> Result<Step, Failure> {
    connection.execute(SINGLY, &[])?;
    let Some(mut row) = connection.row(FORGOTTEN, &[])? else {
        return Ok(Step::of(0, 0));
    };
    let subscription = integer(row.integer()?);
    let mut removed = 0;
    for statement in OWED {
        let rest = ROWS.saturating_sub(removed);
        connection.execute(statement, &[subscription.clone(), integer(rest)])?;
        removed += changes(connection);
    }
    if removed < ROWS {
        connection.execute(OWED_NOTHING, &[subscription])?;
    }
    Ok(Step {
        removed: removed as u64,
        more: connection.row(FORGOTTEN, &[])?.is_some(),
    })
}

fn sweep_events(connection: &Connection, until: Value) -> Result<Step, Failure> {
    let mut position = match connection.row(POSITION, &[])? {
        Some(mut row) => [row.integer()?, row.integer()?],
        None => [0, 0],
    };
    let mut looked_at = 0;
    let mut ended: Vec<i64> = Vec::new();
    for statement in [AT_POSITION, AFTER_POSITION] {
        let [published_ms, sequence] = position.map(integer);
        let rest = ROWS.saturating_sub(looked_at);
        let wanted = [published_ms, sequence, until.clone(), integer(rest)];
        for mut row in connection.rows(statement, &wanted)? {
            position = [row.integer()?, row.integer()?];
            looked_at += 1;
            if !row.flag()? {
                ended.extend(position.last().copied());
            }
        }
    }
    if !ended.is_empty() {
        connection.execute(REMOVE_EVENTS, &[text(&json(&ended))])?;
    }
    let step = Step::of(ended.len(), looked_at);
    let [published_ms, sequence] = if step.more { position } else { [0, 0] };
    connection.execute(MOVE_POSITION, &[integer(published_ms), integer(sequence)])?;
    Ok(step)
}

fn sweep_rows(connection: &Connection, statement: &str, until: Value) -> Result<Step, Failure> {
    connection.execute(statement, &[until, integer(ROWS)])?;
    let removed = changes(connection);
    Ok(Step::of(removed, removed))
}

fn sweep_blobs(connection: &Connection, until: Value) -> Result<Step, Failure> {
    let mut removed = 0;
    for mut row in connection.rows(OLD_BLOBS, &[until, integer(BLOBS)])? {
        upload::discard(connection, row.unsigned()?)?;
        removed += 1;
    }
    Ok(Step {
        removed,
        more: removed == BLOBS as u64,
    })
}

fn changes(connection: &Connection) -> usize {
    connection.changes().try_into().unwrap_or(ROWS)
}
