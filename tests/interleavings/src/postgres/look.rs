//! What is in the tables, and what contradicts itself there.

use tokio_postgres::{Client, SimpleQueryRow};

use super::session::rows;
use crate::{
    request::Subscription,
    world::{Kept, Owed, Place, State, Subscribed},
};

const SUBSCRIPTIONS: &str = "
    SELECT s.id, s.service, t.name, s.blocks, s.max_attempts,
        coalesce(s.paused_since_ms IS NOT NULL
            AND (s.paused_until_ms IS NULL OR s.paused_until_ms > emporium.now_ms()), false),
        coalesce((SELECT sum(settled) FROM emporium.tallies WHERE subscription = s.id), 0),
        coalesce((to_jsonb(s) ->> 'retry_blocks')::boolean, true)
    FROM emporium.subscriptions AS s JOIN emporium.topics AS t ON t.id = s.topic
    ORDER BY s.id";

const EVENTS: &str = "
    SELECT e.id, t.name, e.published_ms <= emporium.now_ms() - 3600000
    FROM emporium.events AS e JOIN emporium.topics AS t ON t.id = e.topic ORDER BY e.sequence";

const OWED: &str = "
    SELECT o.id >> 44, o.id, o.place, o.subject, e.id
    FROM (
        SELECT id, subject, CASE WHEN free_ms <= emporium.now_ms() THEN 'ready' ELSE 'leased' END
            AS place FROM emporium.deliveries
        UNION ALL SELECT id, subject,
            CASE WHEN due_ms <= emporium.now_ms() THEN 'ready' ELSE 'delayed' END
            FROM emporium.delayed
        UNION ALL SELECT id, subject, 'waiting' FROM emporium.waiting
        UNION ALL SELECT id, subject, CASE WHEN blocking THEN 'blocking' ELSE 'dead' END
            FROM emporium.dead
    ) AS o
    LEFT JOIN emporium.events AS e ON e.sequence = o.id & 17592186044415
    ORDER BY o.id, o.place";

/// Who holds a key. In version 1 every delayed delivery does.
const HOLDERS: &str = "CREATE OR REPLACE VIEW interleavings.holders AS
    SELECT h.* FROM (
        SELECT (id >> 44)::int AS subscription, subject FROM emporium.deliveries
        UNION ALL SELECT (id >> 44)::int, subject FROM emporium.delayed AS d
            WHERE coalesce((to_jsonb(d) ->> 'holds')::boolean, true)
        UNION ALL SELECT (id >> 44)::int, subject FROM emporium.dead WHERE blocking
    ) AS h
    WHERE h.subject IS NOT NULL";

/// Queries that find nothing as long as all is well, and what it means if they do.
/// What a forgotten subscription left is nobody's.
const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "two deliveries hold one key",
        "SELECT subscription, subject FROM interleavings.holders
        GROUP BY 1, 2 HAVING count(*) > 1",
    ),
    (
        "nobody holds the key of one that waits",
        "SELECT w.subscription, w.subject FROM emporium.waiting AS w
        JOIN emporium.subscriptions AS s ON s.id = w.subscription
        WHERE (w.subscription, w.subject) NOT IN (TABLE interleavings.holders)",
    ),
    (
        "a dead letter blocks a subscription that proceeds",
        "SELECT d.id, d.subject FROM emporium.dead AS d
        JOIN emporium.subscriptions AS s ON s.id = d.id >> 44 WHERE d.blocking AND NOT s.blocks",
    ),
    (
        "a key is taken by nobody",
        "SELECT l.subscription, l.subject FROM emporium.lanes AS l
        JOIN emporium.subscriptions AS s ON s.id = l.subscription
        WHERE (l.subscription, l.subject) NOT IN (TABLE interleavings.holders)",
    ),
    (
        "a key is not taken by who holds it",
        "SELECT h.subscription, h.subject FROM interleavings.holders AS h
        JOIN emporium.subscriptions AS s ON s.id = h.subscription
        WHERE (h.subscription, h.subject) NOT IN (SELECT subscription, subject FROM emporium.lanes)",
    ),
    (
        "a session keeps a lock",
        "SELECT pid, locktype FROM pg_locks
        WHERE locktype = 'advisory' AND classid <> 4242
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
];

/// Make what the queries look at.
pub(super) async fn make(client: &Client) {
    client.batch_execute(HOLDERS).await.expect("a view");
}

pub(super) async fn state(client: &Client) -> State {
    let (subscriptions, events, owed) = futures::join!(
        query(client, SUBSCRIPTIONS),
        query(client, EVENTS),
        query(client, OWED)
    );
    State {
        subscriptions: subscriptions.iter().map(subscribed).collect(),
        events: events
            .iter()
            .map(|row| Kept {
                id: text(row, 0),
                topic: text(row, 1),
                expired: flag(row, 2),
            })
            .collect(),
        owed: owed.iter().map(self::owed).collect(),
    }
}

pub(super) async fn contradictions(client: &Client) -> Vec<String> {
    let all = CONTRADICTIONS.iter().map(async |(what, sql)| {
        let found = query(client, sql).await;
        let found = found
            .iter()
            .map(|row| format!("{what}: {} {}", text(row, 0), text(row, 1)));
        found.collect::<Vec<_>>()
    });
    futures::future::join_all(all).await.concat()
}

async fn query(client: &Client, sql: &str) -> Vec<SimpleQueryRow> {
    let found = client.simple_query(sql).await;
    rows(found.unwrap_or_else(|error| panic!("{sql}: {error:?}")))
}

fn subscribed(row: &SimpleQueryRow) -> Subscribed {
    Subscribed {
        id: number(row, 0),
        subscription: Subscription {
            service: text(row, 1),
            topic: text(row, 2),
        },
        blocks_after_death: flag(row, 3),
        max_attempts: number(row, 4) as u32,
        paused: flag(row, 5),
        settled: number(row, 6),
        blocks_during_retry: flag(row, 7),
    }
}

fn owed(row: &SimpleQueryRow) -> Owed {
    Owed {
        subscription: number(row, 0),
        delivery: number(row, 1),
        place: match row.get(2) {
            Some("ready") => Place::Ready,
            Some("leased") => Place::Leased,
            Some("delayed") => Place::Delayed,
            Some("waiting") => Place::Waiting,
            Some("blocking") => Place::Blocking,
            _ => Place::Dead,
        },
        key: row.get(3).map(str::to_owned),
        event: row.get(4).map(str::to_owned),
    }
}

fn text(row: &SimpleQueryRow, at: usize) -> String {
    row.get(at).unwrap_or_default().to_owned()
}

fn number(row: &SimpleQueryRow, at: usize) -> u64 {
    text(row, at).parse().unwrap_or(0)
}

fn flag(row: &SimpleQueryRow, at: usize) -> bool {
    row.get(at) == Some("t")
}
