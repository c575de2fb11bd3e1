//! The platform itself: its schema, its history, its subscriptions, its
//! housekeeping.

use emporium_adapter::{
    Failure, Terms,
    bindings::{
        deliveries::Subscription,
        maintenance::{Due, Error, Event, Guest, Retention, Schema, Status, Suspension, Swept},
    },
    histogram, maintenance, reason, wakes,
};

use crate::{
    Component, connection,
    row::{Row, integer, optional_integer, small, text},
    schema,
};

/// A lease that ran out is held by nobody: its delivery is pending. The columns
/// are those that `status` takes.
const SUBSCRIPTIONS: &str = "WITH now AS MATERIALIZED (SELECT emporium.now_ms() AS ms)
    SELECT s.service, t.name,
        s.max_attempts, s.backoff_base_ms, s.backoff_cap_ms, s.retry_blocks, s.blocks,
        s.pause_after, s.pause_ms,
        coalesce(d.free, 0) + coalesce(l.due, 0) + coalesce(w.due, 0),
        coalesce(d.leased, 0),
        coalesce(l.later, 0) + coalesce(w.later, 0),
        coalesce(x.dead, 0),
        now.ms - least(d.oldest, l.oldest, w.oldest, now.ms),
        coalesce(c.settled, 0)::bigint, coalesce(c.retried, 0)::bigint,
        ARRAY(
            SELECT sum(b.count)::bigint FROM emporium_2.tallies AS y,
                unnest(y.latency) WITH ORDINALITY AS b (count, n)
            WHERE y.subscription = s.id GROUP BY b.n ORDER BY b.n
        ),
        coalesce(c.latency, 0)::bigint, coalesce(c.longest, 0)::bigint,
        CASE WHEN s.paused_until_ms IS NULL OR s.paused_until_ms > now.ms
            THEN s.paused_since_ms END,
        s.paused_until_ms, coalesce(s.pause_reason, '')
    FROM now, emporium_2.subscriptions AS s
    JOIN emporium_2.topics AS t ON t.id = s.topic
    LEFT JOIN LATERAL (
        SELECT count(*) FILTER (WHERE free_ms <= now.ms) AS free,
            count(*) FILTER (WHERE free_ms > now.ms) AS leased,
            min(greatest(owed_ms, free_ms)) FILTER (WHERE free_ms <= now.ms) AS oldest
        FROM emporium_2.deliveries
        WHERE id > s.id::bigint << 44 AND id < (s.id + 1)::bigint << 44
    ) AS d ON true
    LEFT JOIN LATERAL (
        SELECT count(*) FILTER (WHERE due_ms <= now.ms) AS due,
            count(*) FILTER (WHERE due_ms > now.ms) AS later,
            min(due_ms) FILTER (WHERE due_ms <= now.ms) AS oldest
        FROM emporium_2.delayed WHERE subscription = s.id
    ) AS l ON true
    LEFT JOIN LATERAL (
        SELECT count(*) FILTER (WHERE due_ms <= now.ms) AS due,
            count(*) FILTER (WHERE due_ms > now.ms) AS later,
            min(owed_ms) FILTER (WHERE due_ms <= now.ms) AS oldest
        FROM emporium_2.waiting WHERE subscription = s.id
    ) AS w ON true
    LEFT JOIN LATERAL (
        SELECT count(*) AS dead FROM emporium_2.dead
        WHERE id > s.id::bigint << 44 AND id < (s.id + 1)::bigint << 44
    ) AS x ON true
    LEFT JOIN LATERAL (
        SELECT sum(settled) AS settled, sum(retried) AS retried, sum(latency_sum_ms) AS latency,
            max(longest_ms) AS longest
        FROM emporium_2.tallies WHERE subscription = s.id
    ) AS c ON true
    ORDER BY s.service, t.name";

/// The columns are those that `event` takes.
const EVENTS: &str = "SELECT e.sequence, e.id, t.name, e.kind, e.subject, e.published_ms,
        (SELECT count(*) FROM emporium_2.subscriptions AS s
         WHERE s.topic = e.topic AND emporium_2.is_owed(s.id, e.sequence, e.subject)),
        e.envelope
    FROM emporium_2.events AS e JOIN emporium_2.topics AS t ON t.id = e.topic
    WHERE e.sequence > $1 ORDER BY e.sequence LIMIT $2::int";
const BEFORE_THE_LATEST: &str = "SELECT sequence FROM emporium_2.events
    ORDER BY sequence DESC LIMIT 1 OFFSET $1::int";

const PAUSE: &str = "UPDATE emporium_2.subscriptions
    SET paused_since_ms = emporium.now_ms(),
        paused_until_ms = CASE WHEN $3::bigint IS NOT NULL
            THEN least(emporium.now_ms()::numeric + $3, 9e18)::bigint END,
        pause_reason = $4
    WHERE service = $1 AND topic = (SELECT id FROM emporium_2.topics WHERE name = $2)
    RETURNING id";
const RESUME: &str = "SELECT emporium_2.resume($1, $2)";
const FORGET: &str = "SELECT emporium_2.forget($1, $2)";
const DUE_TOPICS: &str = "SELECT * FROM emporium_2.due_topics()";
const SWEEP: &str = "SELECT * FROM emporium_2.sweep($1, $2, $3, $4)";

impl Guest for Component {
    async fn migrate() -> Result<Schema, Error> {
        schema::migrate().await?;
        Ok(Schema {
            adapter: "postgres".into(),
            version: schema::VERSION,
        })
    }

    async fn subscriptions() -> Result<Vec<Status>, Error> {
        let rows = connection::rows(SUBSCRIPTIONS, Vec::new()).await?;
        Ok(rows.map(status).collect::<Result<_, Failure>>()?)
    }

    async fn events(after: Option<u64>, limit: u32) -> Result<Vec<Event>, Error> {
        let before_the_latest = async |limit: usize| {
            let row = connection::row(BEFORE_THE_LATEST, vec![small(limit)]).await?;
            row.map_or(Ok(0), |mut row| row.unsigned())
        };
        let read = async |after: u64, limit: usize| {
            let rows = connection::rows(EVENTS, vec![integer(after), small(limit)]).await?;
            rows.map(event).collect()
        };
        maintenance::events(after, limit, before_the_latest, read).await
    }

    async fn pause(service: String, topic: String, for_ms: Option<u64>) -> Result<bool, Error> {
        let parameters = vec![
            text(service),
            text(topic),
            optional_integer(for_ms),
            text(reason::ON_REQUEST),
        ];
        Ok(connection::row(PAUSE, parameters).await?.is_some())
    }

    async fn resume(service: String, topic: String) -> Result<bool, Error> {
        let parameters = vec![text(service), text(topic.as_str())];
        let resumed = connection::only_row(RESUME, parameters).await?.flag()?;
        if resumed {
            wakes::send(&[(topic, None)].into()).await;
        }
        Ok(resumed)
    }

    async fn forget(service: String, topic: String) -> Result<bool, Error> {
        let parameters = vec![text(service), text(topic)];
        Ok(connection::only_row(FORGET, parameters).await?.flag()?)
    }

    async fn wake_due() -> Result<Due, Error> {
        let mut row = connection::only_row(DUE_TOPICS, Vec::new()).await?;
        let topics = row.texts()?;
        let next_in_ms = row.optional_unsigned()?;
        wakes::send(&topics.iter().map(|topic| (topic.clone(), None)).collect()).await;
        Ok(Due { topics, next_in_ms })
    }

    async fn sweep(retention: Retention) -> Result<Swept, Error> {
        let parameters = vec![
            integer(retention.events_ms),
            integer(retention.blobs_ms),
            integer(retention.removals_ms),
            integer(retention.units_ms),
        ];
        let mut row = connection::only_row(SWEEP, parameters).await?;
        Ok(Swept {
            more: row.flag()?,
            events: row.unsigned()?,
            deliveries: row.unsigned()?,
            blobs: row.unsigned()?,
            removals: row.unsigned()?,
            units: row.unsigned()?,
        })
    }
}

fn status(mut row: Row) -> Result<Status, Failure> {
    Ok(Status {
        subscription: Subscription {
            service: row.text()?,
            topic: row.text()?,
            policy: Terms {
                max_attempts: row.unsigned()?,
                backoff_base_ms: row.unsigned()?,
                backoff_cap_ms: row.unsigned()?,
                retry_blocks: row.flag()?,
                blocks: row.flag()?,
                pause_after: row.unsigned()?,
                pause_ms: row.unsigned()?,
            }
            .into(),
        },
        pending: row.unsigned()?,
        leased: row.unsigned()?,
        delayed: row.unsigned()?,
        dead: row.unsigned()?,
        oldest_pending_ms: row.unsigned()?,
        settled: row.unsigned()?,
        retried: row.unsigned()?,
        latency: histogram::of_counts(row.unsigneds()?, row.unsigned()?, row.unsigned()?),
        paused: suspension(&mut row)?,
    })
}

fn suspension(row: &mut Row) -> Result<Option<Suspension>, Failure> {
    let since_ms = row.optional_unsigned()?;
    let until_ms = row.optional_unsigned()?;
    let reason = row.text()?;
    Ok(since_ms.map(|since_ms| Suspension {
        since_ms,
        until_ms,
        reason,
    }))
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
        envelope: row.bytes()?,
    })
}
