//! Dead letters, shown, replayed and discarded.

use emporium_adapter::{
    Failure,
    bindings::dead_letters::{DeadLetter, Error, Filter, Guest, Page},
    dead_letters::{check_replay, list, replayed_after_ms},
    wakes::{self, Wakes},
};

use crate::{
    Component,
    clock::now_ms,
    connection::{Connection, Durability},
    row::{Row, integer, optional_text},
    succession::promote,
};

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
    SET forgiven = attempt, due_ms = ?2, first_due_ms = ?2, died_ms = NULL, reason = NULL,
        state = iif(state = 5 AND subject IS NOT NULL AND EXISTS (
            SELECT 1 FROM deliveries AS holder
            WHERE holder.subscription = deliveries.subscription
                AND holder.subject = deliveries.subject
                AND holder.subject IS NOT NULL AND holder.state BETWEEN 1 AND 3
        ), 4, 1)
    WHERE id = ?1";
const DISCARD: &str = "DELETE FROM deliveries WHERE id = ?1";

impl Guest for Component {
    async fn list(filter: Filter, limit: u32, cursor: Option<String>) -> Result<Page, Error> {
        list(limit, cursor.as_deref(), async |before, limit| {
            read(&filter, before, limit)
        })
        .await
    }

    async fn get(delivery: u64) -> Result<Option<DeadLetter>, Error> {
        let row = Connection::current()?.row(GET, &[integer(delivery)])?;
        Ok(row.map(dead_letter).transpose()?)
    }

    async fn replay(deliveries: Vec<u64>, per_second: Option<u32>) -> Result<u32, Error> {
        check_replay(per_second)?;
        let now = now_ms();
        let (count, wakes) = each(&deliveries, |connection, dead, place| {
            let due = now.saturating_add(replayed_after_ms(place, per_second));
            connection.execute(REPLAY, &[integer(dead.delivery), integer(due)])
        })?;
        wakes::send(&wakes).await;
        Ok(count)
    }

    async fn discard(deliveries: Vec<u64>) -> Result<u32, Error> {
        let (count, wakes) = each(&deliveries, |connection, dead, _| {
            connection.execute(DISCARD, &[integer(dead.delivery)])?;
            if dead.blocking {
                promote(connection, dead.subscription, dead.subject.as_deref())?;
            }
            Ok(())
        })?;
        // A key may have been freed for those that waited behind it.
        wakes::send(&wakes).await;
        Ok(count)
    }
}

fn read(
    filter: &Filter,
    [died_before, delivery_before]: [u64; 2],
    limit: usize,
) -> Result<Vec<DeadLetter>, Failure> {
    let wanted = [
        integer(died_before),
        integer(delivery_before),
        optional_text(filter.service.as_deref()),
        optional_text(filter.topic.as_deref()),
        optional_text(filter.kind.as_deref()),
        integer(limit),
    ];
    let rows = Connection::current()?.rows(LIST, &wanted)?;
    rows.map(dead_letter).collect()
}

/// A dead letter, as far as its key is concerned.
struct Dead {
    delivery: u64,
    subscription: i64,
    subject: Option<String>,
    blocking: bool,
}

/// Treat those that are dead letters, each with its place among them. Returns
/// how many, and their topics.
fn each(
    deliveries: &[u64],
    treat: impl Fn(&Connection, &Dead, usize) -> Result<(), Failure>,
) -> Result<(u32, Wakes), Failure> {
    let connection = Connection::current()?;
    connection.transaction(Durability::Full, || {
        let mut count: u32 = 0;
        let mut wakes = Wakes::new();
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
            treat(&connection, &dead, count as usize)?;
            wakes.insert(row.text()?, None);
            count += 1;
        }
        Ok((count, wakes))
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
