//! Housekeeping: what has been kept long enough is removed, a bit at a time, so
//! that a sweep never holds the write lock for long.

use emporium_adapter::{
    Failure,
    bindings::maintenance::{Retention, Swept},
};
use spin_sdk::sqlite::Value;

use crate::{
    connection::{Connection, Durability},
    row::integer,
    upload,
};

const ROWS: u32 = 1000;
const BLOBS: u32 = 50;

const EVENTS: &str = "DELETE FROM events WHERE sequence IN (
        SELECT sequence FROM events
        WHERE published_ms <= ?1
            AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event = sequence)
        ORDER BY published_ms LIMIT ?2
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

pub(crate) fn sweep(retention: Retention, now: u64) -> Result<Swept, Failure> {
    let connection = Connection::current()?;
    let until = |kept: u64| integer(now.saturating_sub(kept));
    Ok(Swept {
        events: sweep_rows(&connection, EVENTS, until(retention.events_ms))?,
        blobs: sweep_blobs(&connection, until(retention.blobs_ms))?,
        removals: sweep_rows(&connection, REMOVALS, until(retention.removals_ms))?,
        units: sweep_rows(&connection, UNITS, until(retention.units_ms))?,
    })
}

fn sweep_rows(connection: &Connection, statement: &str, until: Value) -> Result<u64, Failure> {
    connection.transaction(Durability::Relaxed, || {
        connection.execute(statement, &[until, integer(ROWS)])?;
        Ok(connection.changes())
    })
}

fn sweep_blobs(connection: &Connection, until: Value) -> Result<u64, Failure> {
    connection.transaction(Durability::Relaxed, || {
        let mut count = 0;
        for mut row in connection.rows(OLD_BLOBS, &[until, integer(BLOBS)])? {
            upload::discard(connection, row.unsigned()?)?;
            count += 1;
        }
        Ok(count)
    })
}
