//! Subscriptions, and the terms under which they are served.

use emporium_adapter::{Failure, Terms, bindings::deliveries::Subscription};

use crate::{
    connection::{Connection, Durability},
    publication::create_topic,
    row::{Row, integer, text},
    succession::promote,
};

const CREATE: &str = "INSERT INTO subscriptions
    (topic, service, max_attempts, backoff_base_ms, backoff_cap_ms, retry_blocks, blocks,
        pause_after, pause_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING id";

/// Of the retained events with one key the first is ready, and the others wait.
/// One that was published in the future, before the clock was set back, is due.
const CATCH_UP: &str = "INSERT INTO deliveries
        (subscription, event, subject, state, due_ms, first_due_ms)
    SELECT ?1, sequence, subject,
        iif(subject IS NOT NULL
            AND row_number() OVER (PARTITION BY subject ORDER BY sequence) > 1, 4, 1),
        max(min(published_ms, ?3), coalesce(not_before_ms, 0)),
        max(min(published_ms, ?3), coalesce(not_before_ms, 0))
    FROM events WHERE topic = ?2 ORDER BY sequence";

const CHANGE: &str = "UPDATE subscriptions
    SET max_attempts = ?2, backoff_base_ms = ?3, backoff_cap_ms = ?4, retry_blocks = ?5,
        blocks = ?6, pause_after = ?7, pause_ms = ?8
    WHERE id = ?1";
/// Those that wait for another attempt, and hold their keys meanwhile.
const GIVE_KEYS_UP: &str = "UPDATE deliveries SET state = 0
    WHERE subscription = ?1 AND state <= 2 AND due_ms > ?2 AND state = 1
        AND subject IS NOT NULL AND attempt > forgiven
    RETURNING subject";
const UNBLOCK: &str = "UPDATE deliveries SET state = 5
    WHERE subscription = ?1 AND died_ms IS NOT NULL AND state = 3 RETURNING subject";

const FORGET: &str = "DELETE FROM subscriptions
    WHERE topic = (SELECT id FROM topics WHERE name = ?1) AND service = ?2 RETURNING id";
const FORGET_LATENCIES: &str = "DELETE FROM latencies WHERE subscription = ?1";
const FORGET_SINGLY: &str = "DELETE FROM singly WHERE subscription = ?1";
const OWE_NO_MORE: &str = "INSERT INTO forgotten (subscription) VALUES (?1)";

/// Reads the columns `max_attempts, backoff_base_ms, backoff_cap_ms, retry_blocks,
/// blocks, pause_after, pause_ms`.
pub(crate) fn read_terms(row: &mut Row) -> Result<Terms, Failure> {
    Ok(Terms {
        max_attempts: row.unsigned()?,
        backoff_base_ms: row.unsigned()?,
        backoff_cap_ms: row.unsigned()?,
        retry_blocks: row.flag()?,
        blocks: row.flag()?,
        pause_after: row.unsigned()?,
        pause_ms: row.unsigned()?,
    })
}

/// Create a subscription that is owed every event there is. Returns its id.
pub(crate) fn subscribe(
    connection: &Connection,
    subscription: &Subscription,
    terms: Terms,
    now: u64,
) -> Result<i64, Failure> {
    let topic = create_topic(connection, &subscription.topic)?;
    let id = connection
        .row(
            CREATE,
            &[
                integer(topic),
                text(&subscription.service),
                integer(terms.max_attempts),
                integer(terms.backoff_base_ms),
                integer(terms.backoff_cap_ms),
                integer(i64::from(terms.retry_blocks)),
                integer(i64::from(terms.blocks)),
                integer(terms.pause_after),
                integer(terms.pause_ms),
            ],
        )?
        .ok_or_else(|| Failure::Other("a new subscription has no id".into()))?
        .integer()?;
    connection.execute(CATCH_UP, &[integer(id), integer(topic), integer(now)])?;
    Ok(id)
}

/// Serve a subscription under these terms from now on.
///
/// If deaths or retries no longer block, those that wait behind one go on. If they
/// now do, that concerns later ones: some have gone on already.
pub(crate) fn replace_terms(
    connection: &Connection,
    id: i64,
    terms: Terms,
    now: u64,
) -> Result<(), Failure> {
    connection.execute(
        CHANGE,
        &[
            integer(id),
            integer(terms.max_attempts),
            integer(terms.backoff_base_ms),
            integer(terms.backoff_cap_ms),
            integer(i64::from(terms.retry_blocks)),
            integer(i64::from(terms.blocks)),
            integer(terms.pause_after),
            integer(terms.pause_ms),
        ],
    )?;
    if !terms.retry_blocks {
        for mut row in connection.rows(GIVE_KEYS_UP, &[integer(id), integer(now)])? {
            promote(connection, id, row.optional_text()?.as_deref())?;
        }
    }
    if !terms.blocks {
        for mut row in connection.rows(UNBLOCK, &[integer(id)])? {
            promote(connection, id, row.optional_text()?.as_deref())?;
        }
    }
    Ok(())
}

/// End a subscription. What it was owed is removed by sweeps: without the
/// subscription nothing finds it. Returns whether there was one.
pub(crate) fn forget(service: &str, topic: &str) -> Result<bool, Failure> {
    let connection = Connection::current()?;
    connection.transaction(Durability::Full, || {
        let Some(mut row) = connection.row(FORGET, &[text(topic), text(service)])? else {
            return Ok(false);
        };
        let id = [integer(row.integer()?)];
        for statement in [FORGET_LATENCIES, FORGET_SINGLY, OWE_NO_MORE] {
            connection.execute(statement, &id)?;
        }
        Ok(true)
    })
}
