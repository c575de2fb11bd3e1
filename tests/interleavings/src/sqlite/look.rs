//! What is in the tables, and what contradicts itself there.

use rusqlite::{Connection, Row};

use crate::{
    request::Subscription,
    world::{Kept, Owed, Place, State, Subscribed},
};

const SUBSCRIPTIONS: &str = "
    SELECT s.id, s.service, t.name, s.blocks, s.retry_blocks, s.max_attempts,
        s.paused_ms IS NOT NULL AND (s.paused_until_ms IS NULL OR s.paused_until_ms > ?1),
        s.settled
    FROM subscriptions AS s JOIN topics AS t ON t.id = s.topic ORDER BY s.id";

const EVENTS: &str = "
    SELECT e.id, t.name, e.published_ms <= ?1 - 3600000
    FROM events AS e JOIN topics AS t ON t.id = e.topic ORDER BY e.sequence";

const OWED: &str = "
    SELECT d.subscription, d.id, d.state, d.due_ms <= ?1, d.subject, e.id
    FROM deliveries AS d LEFT JOIN events AS e ON e.sequence = d.event ORDER BY d.id";

/// Queries that find nothing as long as all is well, and what it means if they do.
const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "two deliveries hold one key",
        "SELECT subscription || ' ' || subject FROM deliveries
        WHERE subject IS NOT NULL AND state BETWEEN 1 AND 3
        GROUP BY subscription, subject HAVING count(*) > 1",
    ),
    (
        "nobody holds the key of one that waits",
        "SELECT w.subscription || ' ' || w.subject FROM deliveries AS w
        JOIN subscriptions AS s ON s.id = w.subscription
        WHERE w.state = 4 AND NOT EXISTS (
            SELECT 1 FROM deliveries AS h WHERE h.subscription = w.subscription
                AND h.subject = w.subject AND h.state BETWEEN 1 AND 3)",
    ),
    (
        "a dead letter blocks a subscription that proceeds",
        "SELECT d.id || ' ' || d.subject FROM deliveries AS d
        JOIN subscriptions AS s ON s.id = d.subscription WHERE d.state = 3 AND NOT s.blocks",
    ),
];

pub(super) fn state(file: &Connection, now_ms: u64) -> State {
    State {
        subscriptions: rows(file, SUBSCRIPTIONS, now_ms, |row| {
            Ok(Subscribed {
                id: row.get::<_, i64>(0)? as u64,
                subscription: Subscription {
                    service: row.get(1)?,
                    topic: row.get(2)?,
                },
                blocks_after_death: row.get(3)?,
                blocks_during_retry: row.get(4)?,
                max_attempts: row.get(5)?,
                paused: row.get(6)?,
                settled: row.get::<_, i64>(7)? as u64,
            })
        }),
        events: rows(file, EVENTS, now_ms, |row| {
            Ok(Kept {
                id: row.get(0)?,
                topic: row.get(1)?,
                expired: row.get(2)?,
            })
        }),
        owed: rows(file, OWED, now_ms, owed),
    }
}

pub(super) fn contradictions(file: &Connection) -> Vec<String> {
    let all = CONTRADICTIONS.iter().flat_map(|(what, query)| {
        let mut statement = file.prepare_cached(query).expect("a query");
        let found = statement.query_map([], |row| row.get::<_, String>(0));
        let found: Result<Vec<_>, _> = found.expect("rows").collect();
        found
            .expect("rows")
            .into_iter()
            .map(move |one| format!("{what}: {one}"))
    });
    all.collect()
}

fn rows<T>(
    file: &Connection,
    query: &str,
    now_ms: u64,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    let mut statement = file.prepare_cached(query).expect("a query");
    let now = i64::try_from(now_ms).expect("a time");
    let parameters: &[&dyn rusqlite::ToSql] = match statement.parameter_count() {
        0 => &[],
        _ => &[&now],
    };
    let found = statement
        .query_map(parameters, |row| read(row))
        .expect("rows");
    found.collect::<Result<_, _>>().expect("rows")
}

fn owed(row: &Row<'_>) -> rusqlite::Result<Owed> {
    let is_due: bool = row.get(3)?;
    Ok(Owed {
        subscription: row.get::<_, i64>(0)? as u64,
        delivery: row.get::<_, i64>(1)? as u64,
        place: match row.get::<_, i64>(2)? {
            0..=2 if is_due => Place::Ready,
            2 => Place::Leased,
            0 | 1 => Place::Delayed,
            3 => Place::Blocking,
            4 => Place::Waiting,
            _ => Place::Dead,
        },
        key: row.get(4)?,
        event: row.get(5)?,
    })
}
