//! Pauses: while one lasts, a subscription hands out nothing.

use emporium_adapter::{
    Failure, Terms,
    bindings::maintenance::Suspension,
    reason::{ON_REQUEST, deaths_in_a_row},
};

use crate::{
    connection::{Connection, Durability},
    row::{Row, integer, optional_integer, text},
};

const FIND: &str = "SELECT s.id, s.paused_ms, s.paused_until_ms, s.pause_reason
    FROM topics AS t JOIN subscriptions AS s ON s.topic = t.id
    WHERE t.name = ?1 AND s.service = ?2";
const PAUSE: &str = "UPDATE subscriptions
    SET paused_ms = ?2, paused_until_ms = ?3, pause_reason = ?4 WHERE id = ?1";
const RESUME: &str = "UPDATE subscriptions
    SET paused_ms = NULL, paused_until_ms = NULL, pause_reason = NULL WHERE id = ?1";
const COUNT_DEATH: &str = "UPDATE subscriptions SET deaths_in_a_row = deaths_in_a_row + 1
    WHERE id = ?1 RETURNING deaths_in_a_row, paused_ms, paused_until_ms, pause_reason";

/// Returns whether there is such a subscription.
pub(crate) fn pause(
    service: &str,
    topic: &str,
    for_ms: Option<u64>,
    now: u64,
) -> Result<bool, Failure> {
    let connection = Connection::current()?;
    connection.transaction(Durability::Full, || {
        let Some(mut row) = connection.row(FIND, &[text(topic), text(service)])? else {
            return Ok(false);
        };
        let until = for_ms.map(|for_ms| now.saturating_add(for_ms));
        begin(&connection, row.integer()?, now, until, ON_REQUEST)?;
        Ok(true)
    })
}

/// Returns whether there was a pause.
pub(crate) fn resume(service: &str, topic: &str, now: u64) -> Result<bool, Failure> {
    let connection = Connection::current()?;
    connection.transaction(Durability::Full, || {
        let Some(mut row) = connection.row(FIND, &[text(topic), text(service)])? else {
            return Ok(false);
        };
        let subscription = row.integer()?;
        let paused = read(&mut row, now)?.is_some();
        if paused {
            connection.execute(RESUME, &[integer(subscription)])?;
        }
        Ok(paused)
    })
}

/// Count a death of a subscription, which may have been one too many. Returns
/// whether it is paused.
pub(crate) fn count_death(
    connection: &Connection,
    subscription: i64,
    terms: Terms,
    now: u64,
) -> Result<bool, Failure> {
    let Some(mut row) = connection.row(COUNT_DEATH, &[integer(subscription)])? else {
        return Ok(false);
    };
    let deaths = row.unsigned()?;
    if read(&mut row, now)?.is_some() {
        return Ok(true);
    }
    if !terms.pauses_after(deaths) {
        return Ok(false);
    }
    let until = now.saturating_add(terms.pause_ms);
    begin(
        connection,
        subscription,
        now,
        Some(until),
        &deaths_in_a_row(deaths),
    )?;
    Ok(until > now)
}

/// Reads the columns `paused_ms, paused_until_ms, pause_reason`. A pause that is
/// over is none.
pub(crate) fn read(row: &mut Row, now: u64) -> Result<Option<Suspension>, Failure> {
    let since_ms = row.optional_unsigned()?;
    let until_ms = row.optional_unsigned()?;
    let reason = row.optional_text()?.unwrap_or_default();
    let suspension = since_ms.map(|since_ms| Suspension {
        since_ms,
        until_ms,
        reason,
    });
    Ok(suspension.filter(|suspension| suspension.until_ms.is_none_or(|until| until > now)))
}

fn begin(
    connection: &Connection,
    subscription: i64,
    now: u64,
    until: Option<u64>,
    reason: &str,
) -> Result<(), Failure> {
    let pause = [
        integer(subscription),
        integer(now),
        optional_integer(until),
        text(reason),
    ];
    connection.execute(PAUSE, &pause)
}
