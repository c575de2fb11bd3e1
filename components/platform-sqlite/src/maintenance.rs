//! The platform itself: its schema, its history, and topics with work.

use std::collections::BTreeSet;

use crate::{
    Component,
    bindings::maintenance::{Error, Event, Guest, Retention, Schema, Status, Swept},
    clock::now_ms,
    connection::Connection,
    failure::Failure,
    row::{Row, integer},
    schema, status, sweep, wakes,
};

const MOST: u32 = 500;

/// What a reading of events may weigh before it ends early.
const READ_BYTES: usize = 16 << 20;

/// How many events one statement reads. A host limits what a statement may
/// return: to 128 MiB in Spin. An envelope has at most a quarter of one.
const ROUND: usize = 256;

/// The columns are those that `event` takes.
const EVENTS: &str = "SELECT
        e.sequence, e.id, t.name, e.kind, e.subject, e.published_ms,
        (SELECT count(*) FROM deliveries AS d WHERE d.event = e.sequence),
        e.envelope
    FROM events AS e JOIN topics AS t ON t.id = e.topic
    WHERE e.sequence > ?1 ORDER BY e.sequence LIMIT ?2";
const BEFORE_THE_LATEST: &str = "SELECT sequence FROM events
    ORDER BY sequence DESC LIMIT 1 OFFSET ?1";

const DUE_TOPICS: &str = "SELECT t.name FROM topics AS t
    WHERE EXISTS (
        SELECT 1 FROM subscriptions AS s WHERE s.topic = t.id AND EXISTS (
            SELECT 1 FROM deliveries AS d
            WHERE d.subscription = s.id AND d.state <= 2 AND d.due_ms <= ?1
        )
    ) OR (
        EXISTS (SELECT 1 FROM events AS e WHERE e.topic = t.id)
        AND NOT EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.topic = t.id)
    )
    ORDER BY t.name";

impl Guest for Component {
    async fn migrate() -> Result<Schema, Error> {
        Connection::current()?;
        Ok(Schema {
            adapter: "sqlite".into(),
            version: schema::VERSION,
        })
    }

    async fn subscriptions() -> Result<Vec<Status>, Error> {
        Ok(status::read(now_ms())?)
    }

    async fn events(after: Option<u64>, limit: u32) -> Result<Vec<Event>, Error> {
        if !(1..=MOST).contains(&limit) {
            return Err(Error::InvalidQuery(format!(
                "limit {limit} must be 1 to {MOST}"
            )));
        }
        Ok(events(after, limit as usize)?)
    }

    async fn wake_due() -> Result<Vec<String>, Error> {
        let rows = Connection::current()?.rows(DUE_TOPICS, &[integer(now_ms())])?;
        let topics = rows
            .map(|mut row| row.text())
            .collect::<Result<BTreeSet<_>, _>>()?;
        wakes::send(&topics).await;
        Ok(topics.into_iter().collect())
    }

    async fn sweep(retention: Retention) -> Result<Swept, Error> {
        Ok(sweep::sweep(retention, now_ms())?)
    }
}

fn events(after: Option<u64>, limit: usize) -> Result<Vec<Event>, Failure> {
    let connection = Connection::current()?;
    let mut after = match after {
        Some(after) => after,
        None => match connection.row(BEFORE_THE_LATEST, &[integer(limit)])? {
            Some(mut row) => row.unsigned()?,
            None => 0,
        },
    };
    let mut events = Vec::new();
    let mut bytes = 0;
    while events.len() < limit && bytes < READ_BYTES {
        let wanted = (limit - events.len()).min(ROUND);
        let rows = connection.rows(EVENTS, &[integer(after), integer(wanted)])?;
        let mut read = 0;
        for row in rows {
            let event = event(row)?;
            after = event.sequence;
            bytes += event.envelope.len();
            read += 1;
            events.push(event);
        }
        if read < wanted {
            break;
        }
    }
    Ok(events)
}

fn event(mut row: Row) -> Result<Event, Failure> {
    Ok(Event {
        sequence: row.unsigned()?,
        id: row.text()?,
        topic: row.text()?,
        kind: row.text()?,
        subject: row.optional_text()?,
        published_at_ms: row.unsigned()?,
        unsettled: row.unsigned()?,
        envelope: row.blob()?,
    })
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(text) => Self::Unavailable(text),
            Failure::NewerSchema(version) => Self::NewerSchema(version),
            Failure::Other(text) => Self::Other(text),
        }
    }
}
