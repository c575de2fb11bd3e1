//! Who comes next when a delivery leaves its ordering key, and how one dies.

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
const DIE: &str = "UPDATE deliveries
    SET state = iif(?2 AND subject IS NOT NULL, 3, 5), died_ms = ?3, reason = ?4
    WHERE id = ?1";

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
        pauses::count_death(connection, self.subscription, self.terms, now)
    }
}
