//! The time of day, in the unit of the contracts, and what is done when it was
//! set back.

use std::{
    slice,
    time::{SystemTime, UNIX_EPOCH},
};

use emporium_adapter::Failure;

use crate::{
    connection::{Connection, Durability},
    row::integer,
};

/// Less than this is a correction that nothing needs to be protected from.
const SET_BACK_MS: u64 = 1000;

const LAST: &str = "SELECT last_ms FROM clock";
const REMEMBER: &str = "UPDATE clock SET last_ms = ?1";

/// ?1 is how far the clock was set back, ?2 where it stood when it was last
/// looked at; what was published since then is known by its event. Only what was
/// asked for at a moment still to come stays where it is.
const MOVE_DELIVERIES: &str = "UPDATE deliveries SET due_ms = due_ms - ?1
    WHERE due_ms <= ?2 OR attempt > 0 OR EXISTS (
        SELECT 1 FROM events
        WHERE sequence = event AND coalesce(not_before_ms, 0) <= published_ms
    )";
const MOVE_BEGINNINGS: &str = "UPDATE deliveries SET first_due_ms = first_due_ms - ?1
    WHERE first_due_ms <= ?2 OR attempt > 0 OR EXISTS (
        SELECT 1 FROM events
        WHERE sequence = event AND coalesce(not_before_ms, 0) <= published_ms
    )";
const MOVE_PAUSES: &str = "UPDATE subscriptions
    SET paused_ms = paused_ms - ?1, paused_until_ms = paused_until_ms - ?1
    WHERE paused_ms IS NOT NULL";
const MOVE_WORKERS: &str = "UPDATE workers SET seen_ms = seen_ms - ?1, gone_ms = gone_ms - ?1";

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
}

/// Remember the time. If it is earlier than before, move what was due, leased or
/// to be tried again along with it. Returns the time.
pub(crate) fn notice() -> Result<u64, Failure> {
    let connection = Connection::current()?;
    connection.transaction(Durability::Relaxed, || {
        // Not before: while this waited for the lock, others were ahead.
        let now = now_ms();
        let last: u64 = connection
            .row(LAST, &[])?
            .ok_or_else(|| Failure::Other("the clock has no row".into()))?
            .unsigned()?;
        if (now..now.saturating_add(SET_BACK_MS)).contains(&last) {
            return Ok(now);
        }
        if last > now {
            let by = integer(last - now);
            let moved = [by.clone(), integer(last)];
            connection.execute(MOVE_DELIVERIES, &moved)?;
            connection.execute(MOVE_BEGINNINGS, &moved)?;
            connection.execute(MOVE_PAUSES, slice::from_ref(&by))?;
            connection.execute(MOVE_WORKERS, &[by])?;
        }
        connection.execute(REMEMBER, &[integer(now)])?;
        Ok(now)
    })
}
