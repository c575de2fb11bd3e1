//! Events, published to the subscriptions of their topics.

use std::collections::HashMap;

use emporium_adapter::{Failure, bindings::journal::Event, wakes::Wakes};
use spin_sdk::sqlite::Value;

use crate::{
    connection::Connection,
    row::{integer, optional_integer, optional_text, text},
};

/// A topic, and its subscriptions. One that has nothing ready is idle: its consumer
/// may have stopped looking.
///
/// No wake is lost by this: transactions that write come one after the other. One
/// that finds something ready comes before the claim that takes it, and that claim
/// finds what it published, or says that there is more.
const FIND_TOPIC: &str = "SELECT
        t.id, s.id, NOT EXISTS (
            SELECT 1 FROM deliveries AS d
            WHERE d.subscription = s.id AND d.state <= 2 AND d.due_ms <= ?2 AND d.state = 1
        )
    FROM topics AS t LEFT JOIN subscriptions AS s ON s.topic = t.id
    WHERE t.name = ?1";
const CREATE_TOPIC: &str = "INSERT INTO topics (name) VALUES (?1)
    ON CONFLICT (name) DO UPDATE SET name = name RETURNING id";

const PUBLISH: &str = "INSERT INTO events
    (id, topic, kind, subject, published_ms, not_before_ms, envelope)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (id) DO NOTHING RETURNING sequence";

/// One with a key that is held waits for its turn. Also a delayed one holds its
/// key: the order of commit counts, not the order of falling due.
const OWE: &str = "INSERT INTO deliveries
        (subscription, event, subject, state, due_ms, first_due_ms)
    SELECT s.id, ?2, ?3, iif(?3 IS NOT NULL AND EXISTS (
        SELECT 1 FROM deliveries AS d
        WHERE d.subscription = s.id AND d.subject = ?3
            AND d.subject IS NOT NULL AND d.state BETWEEN 1 AND 3
    ), 4, 1), ?4, ?4
    FROM subscriptions AS s WHERE s.topic = ?1
    RETURNING subscription, state";

/// The topics that a transaction publishes to, as they were before.
#[derive(Default)]
pub(crate) struct Topics {
    known: HashMap<String, Topic>,
}

/// Where in a trace an event was published, if in one.
type Cause = Option<String>;

struct Topic {
    id: i64,
    subscribed: bool,
    /// The subscriptions that have nothing ready.
    idle: Vec<i64>,
    /// Where the first event was published that gives one of them something to do.
    wake: Option<Cause>,
}

impl Topics {
    pub(crate) fn publish(
        &mut self,
        connection: &Connection,
        event: &Event,
        now: u64,
    ) -> Result<(), Failure> {
        let topic = self.find(connection, &event.topic, now)?;
        let published = connection.row(
            PUBLISH,
            &[
                text(&event.id),
                integer(topic.id),
                text(&event.kind),
                optional_text(event.subject.as_deref()),
                integer(now),
                optional_integer(event.not_before_ms),
                Value::Blob(event.envelope.clone()),
            ],
        )?;
        let Some(mut published) = published else {
            return Ok(());
        };
        let due = event.not_before_ms.unwrap_or(now).max(now);
        // A service that subscribes to a topic without subscriptions looks first.
        let mut wakes = !topic.subscribed;
        if topic.subscribed {
            let owed = [
                integer(topic.id),
                integer(published.integer()?),
                optional_text(event.subject.as_deref()),
                integer(due),
            ];
            for mut row in connection.rows(OWE, &owed)? {
                let (subscription, ready) = (row.integer()?, row.integer()? == 1);
                wakes |= ready && topic.idle.contains(&subscription);
            }
        }
        if wakes && due == now && topic.wake.is_none() {
            topic.wake = Some(event.traceparent.clone());
        }
        Ok(())
    }

    /// Those with a subscription that had nothing to do before, and now has.
    pub(crate) fn into_wakes(self) -> Wakes {
        let topics = self.known.into_iter();
        topics
            .filter_map(|(name, topic)| Some((name, topic.wake?)))
            .collect()
    }

    fn find(
        &mut self,
        connection: &Connection,
        name: &str,
        now: u64,
    ) -> Result<&mut Topic, Failure> {
        // Two look-ups instead of `entry`: most are hits, and need no new name.
        if !self.known.contains_key(name) {
            self.known
                .insert(name.to_owned(), Topic::read(connection, name, now)?);
        }
        self.known
            .get_mut(name)
            .ok_or_else(|| Failure::Other("a topic was lost".into()))
    }
}

impl Topic {
    fn read(connection: &Connection, name: &str, now: u64) -> Result<Self, Failure> {
        let mut topic = None;
        let mut idle = Vec::new();
        let mut subscribed = false;
        for mut row in connection.rows(FIND_TOPIC, &[text(name), integer(now)])? {
            topic = Some(row.integer()?);
            if let Some(subscription) = row.optional_integer()? {
                subscribed = true;
                if row.flag()? {
                    idle.push(subscription);
                }
            }
        }
        let id = match topic {
            Some(id) => id,
            None => create_topic(connection, name)?,
        };
        Ok(Self {
            id,
            subscribed,
            idle,
            wake: None,
        })
    }
}

/// Returns the id of a topic, which may have been there.
pub(crate) fn create_topic(connection: &Connection, name: &str) -> Result<i64, Failure> {
    connection
        .row(CREATE_TOPIC, &[text(name)])?
        .ok_or_else(|| Failure::Other("a new topic has no id".into()))?
        .integer()
}
