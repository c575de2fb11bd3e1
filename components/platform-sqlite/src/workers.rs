//! Workers: the hosts that share the work, and the leases of those that are gone.

use emporium_adapter::{
    Failure,
    bindings::workers::{Counter, Error, Guest, Sighting, Worker},
    workers::{check_announce, check_leave},
};

use crate::{
    Component,
    clock::now_ms,
    connection::{Connection, Durability},
    row::{Row, integer, optional_text, text},
};

const SEE: &str = "INSERT INTO workers
    (id, address, since_ms, in_flight, counters, seen_ms, gone_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (id) DO UPDATE SET
        address = excluded.address, since_ms = excluded.since_ms,
        in_flight = excluded.in_flight, counters = excluded.counters,
        seen_ms = excluded.seen_ms, gone_ms = excluded.gone_ms";
const LIST: &str = "SELECT id, address, since_ms, in_flight, counters, seen_ms
    FROM workers WHERE gone_ms > ?1 ORDER BY since_ms, id";
const FIND_GONE: &str = "SELECT id FROM workers WHERE gone_ms <= ?1";
const FORGET: &str = "DELETE FROM workers WHERE id = ?1";
/// Who extends such a lease later does it for itself: another worker of that name has
/// nothing to do with it.
const END_LEASES: &str = "UPDATE deliveries SET due_ms = min(due_ms, ?2), worker = NULL
    WHERE worker = ?1 AND worker IS NOT NULL AND state = 2";

impl Guest for Component {
    async fn announce(worker: Worker, for_ms: u32) -> Result<(), Error> {
        check_announce(&worker, for_ms)?;
        let now = now_ms();
        let gone = now.saturating_add(u64::from(for_ms));
        // Nothing else, so that nothing delays a heartbeat.
        Ok(see(&worker, now, gone)?)
    }

    async fn leave(id: String) -> Result<(), Error> {
        check_leave(&id)?;
        let connection = Connection::current()?;
        Ok(connection.transaction(Durability::Relaxed, || forget(&connection, &id, now_ms()))?)
    }

    async fn list() -> Result<Vec<Sighting>, Error> {
        let rows = Connection::current()?.rows(LIST, &[integer(now_ms())])?;
        Ok(rows.map(sighting).collect::<Result<_, Failure>>()?)
    }
}

/// Give back what the workers held that have not been heard of in time. They are
/// looked for again under the lock: one may have been heard of meanwhile.
pub(crate) fn end_leases_of_gone(now: u64) -> Result<(), Failure> {
    let connection = Connection::current()?;
    if connection.row(FIND_GONE, &[integer(now)])?.is_none() {
        return Ok(());
    }
    connection.transaction(Durability::Relaxed, || {
        for mut row in connection.rows(FIND_GONE, &[integer(now)])? {
            forget(&connection, &row.text()?, now)?;
        }
        Ok(())
    })
}

fn see(worker: &Worker, now: u64, gone: u64) -> Result<(), Failure> {
    let counters = worker.counters.iter();
    let counters: Vec<_> = counters
        .map(|counter| (&counter.name, counter.value))
        .collect();
    let counters = serde_json::to_string(&counters)
        .map_err(|error| Failure::Other(format!("counters: {error}")))?;
    let seen = [
        text(&worker.id),
        optional_text(worker.address.as_deref()),
        integer(worker.since_ms),
        integer(worker.in_flight),
        text(&counters),
        integer(now),
        integer(gone),
    ];
    let connection = Connection::current()?;
    connection.transaction(Durability::Relaxed, || connection.execute(SEE, &seen))
}

fn forget(connection: &Connection, worker: &str, now: u64) -> Result<(), Failure> {
    connection.execute(END_LEASES, &[text(worker), integer(now)])?;
    connection.execute(FORGET, &[text(worker)])
}

fn sighting(mut row: Row) -> Result<Sighting, Failure> {
    let (id, address) = (row.text()?, row.optional_text()?);
    let (since_ms, in_flight) = (row.unsigned()?, row.unsigned()?);
    let counters: Vec<(String, u64)> = serde_json::from_str(&row.text()?)
        .map_err(|error| Failure::Other(format!("a worker is damaged: {error}")))?;
    let counters = counters.into_iter();
    Ok(Sighting {
        worker: Worker {
            id,
            address,
            since_ms,
            in_flight,
            counters: counters
                .map(|(name, value)| Counter { name, value })
                .collect(),
        },
        seen_at_ms: row.unsigned()?,
    })
}
