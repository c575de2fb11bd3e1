//! Who has an ordering key: who comes next when a delivery leaves it, and how one
//! dies.

use emporium_adapter::{Failure, Terms, reason::shorten};

use crate::{
    connection::Connection,
    pauses,
    row::{integer, text},
};

const PROMOTE: &str = "UPDATE deliveries SET state = 1 WHERE id = (
        SELECT id FROM deliveries
        WHERE subscription = ?1 AND subject = ?2 AND state = 4
        ORDER BY event LIMIT 1
    )";
const RETURNED: &str = "SELECT id FROM (
        SELECT id FROM deliveries
        WHERE subscription = ?1 AND state = 0 AND due_ms <= ?2 ORDER BY due_ms LIMIT ?3
    ) ORDER BY id";
const TAKE_KEY: &str = "UPDATE deliveries SET state = iif(EXISTS (
        SELECT 1 FROM deliveries AS holder
        WHERE holder.subscription = deliveries.subscription
            AND holder.subject = deliveries.subject
            AND holder.subject IS NOT NULL AND holder.state BETWEEN 1 AND 3
    ), 4, 1) WHERE id = ?1";
const REMOVE: &str = "DELETE FROM deliveries WHERE id = ?1";
const DIE: &str = "UPDATE deliveries
    SET state = iif(?2 AND subject IS NOT NULL, 3, 5), died_ms = ?3, reason = ?4
    WHERE id = ?1";

/// How many of them a claim looks at. The others are left to the next.
const MOST_RETURNED: usize = 1000;

/// Let the next delivery go that waits for this key.
pub(crate) fn promote(
    connection: &Connection,
    subscription: i64,
    subject: Option<&str>,
) -> Result<(), Failure> {
    match subject {
        Some(subject) => connection.execute(PROMOTE, &[integer(subscription), text(subject)]),
        None => Ok(()),
    }
}

/// Give deliveries that gave up their keys for a retry, and are due, their keys
/// again, or let them wait for them: the oldest first.
pub(crate) fn take_keys(
    connection: &Connection,
    subscription: i64,
    now: u64,
) -> Result<(), Failure> {
    let returned = [integer(subscription), integer(now), integer(MOST_RETURNED)];
    for mut row in connection.rows(RETURNED, &returned)? {
        connection.execute(TAKE_KEY, &[integer(row.integer()?)])?;
    }
    Ok(())
}

/// Why a delivery dies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its attempts are used up, which may pause the subscription.
    Exhaustion,
    /// Its consumer gave it up: the event is to blame.
    Burial,
}

/// A delivery that is held by a lease, or was.
pub(crate) struct Dying<'a> {
    pub(crate) delivery: u64,
    pub(crate) subscription: i64,
    pub(crate) subject: Option<&'a str>,
    pub(crate) terms: Terms,
}

impl Dying<'_> {
    /// Make it a dead letter. Returns whether the subscription is paused then.
    pub(crate) fn die(
        &self,
        connection: &Connection,
        cause: Cause,
        reason: &str,
        now: u64,
    ) -> Result<bool, Failure> {
        connection.execute(
            DIE,
            &[
                integer(self.delivery),
                integer(i64::from(self.terms.blocks)),
                integer(now),
                text(&shorten(reason)),
            ],
        )?;
        if !self.terms.blocks {
            promote(connection, self.subscription, self.subject)?;
        }
        match cause {
            Cause::Exhaustion => {
                pauses::count_death(connection, self.subscription, self.terms, now)
            }
            Cause::Burial => Ok(false),
        }
    }

    /// Remove it: nothing is known of its event.
    pub(crate) fn remove(&self, connection: &Connection) -> Result<(), Failure> {
        connection.execute(REMOVE, &[integer(self.delivery)])?;
        promote(connection, self.subscription, self.subject)
    }
}
