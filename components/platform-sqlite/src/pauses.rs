//! Pauses: while one lasts, a subscription hands out nothing.

use emporium_adapter::{
    Failure, Terms,
    bindings::maintenance::Suspension,
    reason::{ON_REQUEST, too_many_deaths},
    terms::PAUSE_SPAN_MS,
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
/// To resume a subscription closes the breaker: what failed has been mended.
const RESUME: &str = "UPDATE subscriptions
    SET paused_ms = NULL, paused_until_ms = NULL, pause_reason = NULL,
        half_open = 0, deaths = 0, deaths_before = 0
    WHERE id = ?1";

const COUNT_DEATH: &str = "UPDATE subscriptions
    SET half_open = half_open AND settled = settled_at_pause,
        deaths_in = max(deaths_in, ?2),
        deaths = iif(deaths_in >= ?2, deaths, 0) + 1,
        deaths_before = CASE
            WHEN deaths_in >= ?2 THEN deaths_before
            WHEN deaths_in = ?2 - 1 THEN deaths
            ELSE 0
        END
    WHERE id = ?1
    RETURNING half_open, deaths + deaths_before,
        CASE
            WHEN settled_in >= ?2 THEN settled_lately + settled_before
            WHEN settled_in = ?2 - 1 THEN settled_lately
            ELSE 0
        END,
        paused_ms, paused_until_ms, pause_reason";
const OPEN: &str = "UPDATE subscriptions
    SET half_open = 1, settled_at_pause = settled, deaths = 0, deaths_before = 0
    WHERE id = ?1";

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
        connection.execute(RESUME, &[integer(subscription)])?;
        Ok(read(&mut row, now)?.is_some())
    })
}

/// Count a delivery that used up its attempts, which may have been one too many.
/// Returns whether the subscription is paused.
pub(crate) fn count_death(
    connection: &Connection,
    subscription: i64,
    terms: Terms,
    now: u64,
) -> Result<bool, Failure> {
    let counted = [integer(subscription), integer(now / PAUSE_SPAN_MS)];
    let Some(mut row) = connection.row(COUNT_DEATH, &counted)? else {
        return Ok(false);
    };
    let half_open = row.flag()? && terms.pause_after > 0;
    let (deaths, settled) = (row.unsigned()?, row.unsigned()?);
    if read(&mut row, now)?.is_some() {
        return Ok(true);
    }
    if !half_open && !terms.pauses_after(deaths, settled) {
        return Ok(false);
    }
    connection.execute(OPEN, &[integer(subscription)])?;
    let until = now.saturating_add(terms.pause_ms);
    begin(
        connection,
        subscription,
        now,
        Some(until),
        &too_many_deaths(deaths, settled),
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
