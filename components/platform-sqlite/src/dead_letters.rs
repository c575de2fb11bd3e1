//! Dead letters, shown, replayed and discarded.

use std::collections::BTreeSet;

use crate::{
    Component,
    bindings::dead_letters::{DeadLetter, Error, Filter, Guest, Page},
    clock::now_ms,
    connection::{Connection, Durability},
    cursor::{self, InvalidCursor},
    failure::{Failure, report_failures_as},
    row::{Row, integer, optional_text},
    succession::promote,
    wakes,
};

const MOST: u32 = 500;

/// How many letters one statement reads. A host limits what a statement may
/// return: to 128 MiB in Spin. An envelope has at most a quarter of one.
const ROUND: usize = 256;

/// What a page may weigh before it ends early.
const PAGE_BYTES: usize = 16 << 20;

/// The columns are those that `dead_letter` takes.
macro_rules! letters {
    ($condition:literal) => {
        concat!(
            "SELECT d.id, s.service, t.name, e.id, e.kind, d.subject, e.envelope,
                d.attempt - d.forgiven, coalesce(d.reason, ''), e.published_ms, d.died_ms
            FROM deliveries AS d
            CROSS JOIN subscriptions AS s ON s.id = d.subscription
            CROSS JOIN topics AS t ON t.id = s.topic
            CROSS JOIN events AS e ON e.sequence = d.event
            WHERE d.died_ms IS NOT NULL AND ",
            $condition
        )
    };
}

const LIST: &str = letters!(
    "(d.died_ms, d.id) < (?1, ?2)
        AND (?3 IS NULL OR s.service = ?3)
        AND (?4 IS NULL OR t.name = ?4)
        AND (?5 IS NULL OR e.kind = ?5)
    ORDER BY d.died_ms DESC, d.id DESC LIMIT ?6"
);
const GET: &str = letters!("d.id = ?1");

const FIND: &str = "SELECT d.subscription, d.subject, d.state = 3, t.name
    FROM deliveries AS d
    JOIN subscriptions AS s ON s.id = d.subscription
    JOIN topics AS t ON t.id = s.topic
    WHERE d.id = ?1 AND d.died_ms IS NOT NULL";

/// A blocking one goes before those behind it. Any other waits if somebody else
/// has its key by now, and is then the first, being the oldest.
const REPLAY: &str = "UPDATE deliveries
    SET forgiven = attempt, due_ms = ?2, died_ms = NULL, reason = NULL,
        state = iif(state = 5 AND subject IS NOT NULL AND EXISTS (
            SELECT 1 FROM deliveries AS holder
            WHERE holder.subscription = deliveries.subscription
                AND holder.subject = deliveries.subject
                AND holder.subject IS NOT NULL AND holder.state <= 3
        ), 4, 1)
    WHERE id = ?1";
const DISCARD: &str = "DELETE FROM deliveries WHERE id = ?1";

impl Guest for Component {
    async fn list(filter: Filter, limit: u32, cursor: Option<String>) -> Result<Page, Error> {
        if !(1..=MOST).contains(&limit) {
            return Err(Error::InvalidQuery(format!(
                "limit {limit} must be 1 to {MOST}"
            )));
        }
        let before = match cursor {
            Some(cursor) => cursor::parse_numbers(&cursor)?,
            None => [u64::MAX; 2],
        };
        Ok(list(&filter, limit as usize, before)?)
    }

    async fn get(delivery: u64) -> Result<Option<DeadLetter>, Error> {
        let row = Connection::current()?.row(GET, &[integer(delivery)])?;
        Ok(row.map(dead_letter).transpose()?)
    }

    async fn replay(deliveries: Vec<u64>) -> Result<u32, Error> {
        let (count, topics) = each(&deliveries, |connection, dead| {
            connection.execute(REPLAY, &[integer(dead.delivery), integer(now_ms())])
        })?;
        wakes::send(&topics).await;
        Ok(count)
    }

    async fn discard(deliveries: Vec<u64>) -> Result<u32, Error> {
        let (count, topics) = each(&deliveries, |connection, dead| {
            connection.execute(DISCARD, &[integer(dead.delivery)])?;
            if dead.blocking {
                promote(connection, dead.subscription, dead.subject.as_deref())?;
            }
            Ok(())
        })?;
        // A key may have been freed for those that waited behind it.
        wakes::send(&topics).await;
        Ok(count)
    }
}

fn list(filter: &Filter, limit: usize, mut before: [u64; 2]) -> Result<Page, Failure> {
    let connection = Connection::current()?;
    let mut dead_letters: Vec<DeadLetter> = Vec::new();
    let mut bytes = 0;
    loop {
        let wanted = (limit + 1 - dead_letters.len()).min(ROUND);
        let [died_before, delivery_before] = before.map(integer);
        let rows = connection.rows(
            LIST,
            &[
                died_before,
                delivery_before,
                optional_text(filter.service.as_deref()),
                optional_text(filter.topic.as_deref()),
                optional_text(filter.kind.as_deref()),
                integer(wanted),
            ],
        )?;
        let mut read = 0;
        for row in rows {
            if dead_letters.len() == limit || bytes > PAGE_BYTES {
                return Ok(Page {
                    dead_letters,
                    next: Some(cursor::write_numbers(before)),
                });
            }
            let letter = dead_letter(row)?;
            before = [letter.died_at_ms, letter.delivery];
            bytes += letter.envelope.len();
            read += 1;
            dead_letters.push(letter);
        }
        if read < wanted {
            return Ok(Page {
                dead_letters,
                next: None,
            });
        }
    }
}

/// A dead letter, as far as its key is concerned.
struct Dead {
    delivery: u64,
    subscription: i64,
    subject: Option<String>,
    blocking: bool,
}

/// Treat those that are dead letters. Returns how many, and their topics.
fn each(
    deliveries: &[u64],
    treat: impl Fn(&Connection, &Dead) -> Result<(), Failure>,
) -> Result<(u32, BTreeSet<String>), Failure> {
    let connection = Connection::current()?;
    connection.transaction(Durability::Full, || {
        let mut count = 0;
        let mut topics = BTreeSet::new();
        for &delivery in deliveries {
            let Some(mut row) = connection.row(FIND, &[integer(delivery)])? else {
                continue;
            };
            let dead = Dead {
                delivery,
                subscription: row.integer()?,
                subject: row.optional_text()?,
                blocking: row.flag()?,
            };
            treat(&connection, &dead)?;
            topics.insert(row.text()?);
            count += 1;
        }
        Ok((count, topics))
    })
}

fn dead_letter(mut row: Row) -> Result<DeadLetter, Failure> {
    Ok(DeadLetter {
        delivery: row.unsigned()?,
        service: row.text()?,
        topic: row.text()?,
        event_id: row.text()?,
        kind: row.text()?,
        subject: row.optional_text()?,
        envelope: row.blob()?,
        attempts: row.unsigned()?,
        reason: row.text()?,
        published_at_ms: row.unsigned()?,
        died_at_ms: row.unsigned()?,
    })
}

report_failures_as!(Error);

impl From<InvalidCursor> for Error {
    fn from(invalid: InvalidCursor) -> Self {
        Self::InvalidQuery(invalid.to_string())
    }
}
