//! Who comes next when a delivery leaves its ordering key, and how one dies.

use crate::{
    connection::Connection,
    failure::Failure,
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

/// How much of a reason is kept.
const REASON_BYTES: usize = 4096;

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
    /// Whether the policy keeps those behind it waiting.
    pub(crate) blocks: bool,
}

impl Dying<'_> {
    /// Make it a dead letter.
    pub(crate) fn die(
        &self,
        connection: &Connection,
        reason: &str,
        now: u64,
    ) -> Result<(), Failure> {
        connection.execute(
            DIE,
            &[
                integer(self.delivery),
                integer(i64::from(self.blocks)),
                integer(now),
                text(shorten(reason)),
            ],
        )?;
        if self.blocks {
            Ok(())
        } else {
            promote(connection, self.subscription, self.subject)
        }
    }
}

/// As much of a reason as is kept.
pub(crate) fn shorten(reason: &str) -> &str {
    let end = reason.floor_char_boundary(REASON_BYTES);
    reason.get(..end).unwrap_or(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(shorten("why"), "why");
        let reason = format!("x{}", "ü".repeat(REASON_BYTES));
        assert_eq!(shorten(&reason).len(), REASON_BYTES - 1);
    }
}
