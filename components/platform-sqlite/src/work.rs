//! Work that falls due: in which topics, and when next.
//!
//! It is found in the index of what can fall due, with two look-ups for each
//! subscription, however long the backlogs.

use emporium_adapter::{Failure, wakes::Wakes};

use crate::{
    connection::Connection,
    pauses,
    row::{Row, integer},
};

const SUBSCRIBED: &str = "SELECT
        t.name, s.paused_ms, s.paused_until_ms, s.pause_reason,
        (SELECT min(d.due_ms) FROM deliveries AS d WHERE d.subscription = s.id AND d.state <= 2),
        (SELECT min(d.due_ms) FROM deliveries AS d
            WHERE d.subscription = s.id AND d.state <= 2 AND d.due_ms > ?1)
    FROM subscriptions AS s JOIN topics AS t ON t.id = s.topic";

/// Topics with events that nobody has subscribed to.
const UNSUBSCRIBED: &str = "SELECT t.name FROM topics AS t
    WHERE EXISTS (SELECT 1 FROM events AS e WHERE e.topic = t.id)
        AND NOT EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.topic = t.id)";

/// What there is to do.
#[derive(Default)]
pub(crate) struct Work {
    /// The topics that have some now.
    pub(crate) due: Wakes,
    /// When something else falls due.
    pub(crate) next_ms: Option<u64>,
}

pub(crate) fn find(now: u64) -> Result<Work, Failure> {
    let connection = Connection::current()?;
    let mut work = Work::default();
    for row in connection.rows(SUBSCRIBED, &[integer(now)])? {
        work.add(row, now)?;
    }
    for mut row in connection.rows(UNSUBSCRIBED, &[])? {
        work.due.insert(row.text()?, None);
    }
    Ok(work)
}

impl Work {
    /// Add what a subscription has to do. While it is paused nothing can be claimed.
    fn add(&mut self, mut row: Row, now: u64) -> Result<(), Failure> {
        let topic = row.text()?;
        let paused = pauses::read(&mut row, now)?;
        let first: Option<u64> = row.optional_unsigned()?;
        let later: Option<u64> = row.optional_unsigned()?;
        let next = match (paused, first) {
            (_, None) => None,
            (None, Some(first)) => {
                if first <= now {
                    self.due.insert(topic, None);
                }
                later
            }
            (Some(paused), Some(first)) => paused.until_ms.map(|until| until.max(first)),
        };
        self.next_ms = [self.next_ms, next].into_iter().flatten().min();
        Ok(())
    }
}
