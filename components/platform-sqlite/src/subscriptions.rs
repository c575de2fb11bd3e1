//! Subscriptions, and the terms under which they are served.

use emporium_adapter::{Failure, Terms, bindings::deliveries::Subscription};

use crate::{
    connection::Connection,
    publication::create_topic,
    row::{Row, integer, text},
    succession::promote,
};

const CREATE: &str = "INSERT INTO subscriptions
    (topic, service, max_attempts, backoff_base_ms, backoff_cap_ms, blocks, pause_after, pause_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id";

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
    SET max_attempts = ?2, backoff_base_ms = ?3, backoff_cap_ms = ?4, blocks = ?5,
        pause_after = ?6, pause_ms = ?7
    WHERE id = ?1";
const UNBLOCK: &str = "UPDATE deliveries SET state = 5
    WHERE subscription = ?1 AND died_ms IS NOT NULL AND state = 3 RETURNING subject";

/// Reads the columns `max_attempts, backoff_base_ms, backoff_cap_ms, blocks,
/// pause_after, pause_ms`.
pub(crate) fn read_terms(row: &mut Row) -> Result<Terms, Failure> {
    Ok(Terms {
        max_attempts: row.unsigned()?,
        backoff_base_ms: row.unsigned()?,
        backoff_cap_ms: row.unsigned()?,
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
/// If they no longer block, those that wait behind a dead delivery go on. If
/// they now do, that concerns later deaths: some have gone on already.
pub(crate) fn replace_terms(connection: &Connection, id: i64, terms: Terms) -> Result<(), Failure> {
    connection.execute(
        CHANGE,
        &[
            integer(id),
            integer(terms.max_attempts),
            integer(terms.backoff_base_ms),
            integer(terms.backoff_cap_ms),
            integer(i64::from(terms.blocks)),
            integer(terms.pause_after),
            integer(terms.pause_ms),
        ],
    )?;
    if !terms.blocks {
        for mut row in connection.rows(UNBLOCK, &[integer(id)])? {
            promote(connection, id, row.optional_text()?.as_deref())?;
        }
    }
    Ok(())
}
