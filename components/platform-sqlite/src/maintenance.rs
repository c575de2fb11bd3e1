//! The platform itself: its schema, its history, and topics with work.

use emporium_adapter::{
    Failure,
    bindings::maintenance::{Due, Error, Event, Guest, Retention, Schema, Status, Swept},
    maintenance::events,
    wakes::{self, Wakes},
};

use crate::{
    Component,
    clock::{self, now_ms},
    connection::Connection,
    pauses,
    row::{Row, integer},
    schema, status, subscriptions, sweep, work, workers,
};

/// The columns are those that `event` takes.
const EVENTS: &str = "SELECT
        e.sequence, e.id, t.name, e.kind, e.subject, e.published_ms,
        (SELECT count(*) FROM deliveries AS d JOIN subscriptions AS s ON s.id = d.subscription
            WHERE d.event = e.sequence),
        e.envelope
    FROM events AS e JOIN topics AS t ON t.id = e.topic
    WHERE e.sequence > ?1 ORDER BY e.sequence LIMIT ?2";
const BEFORE_THE_LATEST: &str = "SELECT sequence FROM events
    ORDER BY sequence DESC LIMIT 1 OFFSET ?1";

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
        events(
            after,
            limit,
            async |count| before_the_latest(count),
            async |after, limit| read_events(after, limit),
        )
        .await
    }

    async fn pause(service: String, topic: String, for_ms: Option<u64>) -> Result<bool, Error> {
        Ok(pauses::pause(&service, &topic, for_ms, now_ms())?)
    }

    async fn resume(service: String, topic: String) -> Result<bool, Error> {
        let resumed = pauses::resume(&service, &topic, now_ms())?;
        if resumed {
            wakes::send(&Wakes::from([(topic, None)])).await;
        }
        Ok(resumed)
    }

    async fn forget(service: String, topic: String) -> Result<bool, Error> {
        Ok(subscriptions::forget(&service, &topic)?)
    }

    async fn wake_due() -> Result<Due, Error> {
        let now = clock::notice()?;
        workers::end_leases_of_gone(now)?;
        let work = work::find(now)?;
        wakes::send(&work.due).await;
        Ok(Due {
            topics: work.due.into_keys().collect(),
            next_in_ms: work.next_ms.map(|next| next.saturating_sub(now)),
        })
    }

    async fn sweep(retention: Retention) -> Result<Swept, Error> {
        Ok(sweep::sweep(retention, now_ms())?)
    }
}

fn before_the_latest(count: usize) -> Result<u64, Failure> {
    match Connection::current()?.row(BEFORE_THE_LATEST, &[integer(count)])? {
        Some(mut row) => row.unsigned(),
        None => Ok(0),
    }
}

fn read_events(after: u64, limit: usize) -> Result<Vec<Event>, Failure> {
    let rows = Connection::current()?.rows(EVENTS, &[integer(after), integer(limit)])?;
    rows.map(event).collect()
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
