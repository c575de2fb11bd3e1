//! Subscriptions, and the terms under which they are served.

use crate::{
    bindings::deliveries::{AfterDeath, Policy, Subscription},
    connection::Connection,
    failure::Failure,
    publication::create_topic,
    row::{Row, integer, text},
    succession::promote,
};

const CREATE: &str = "INSERT INTO subscriptions
    (topic, service, max_attempts, backoff_base_ms, backoff_cap_ms, blocks)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING id";

/// Of the retained events with one key the first is ready, and the others wait.
const CATCH_UP: &str = "INSERT INTO deliveries (subscription, event, subject, state, due_ms)
    SELECT ?1, sequence, subject,
        iif(subject IS NOT NULL
            AND row_number() OVER (PARTITION BY subject ORDER BY sequence) > 1, 4, 1),
        max(published_ms, coalesce(not_before_ms, 0))
    FROM events WHERE topic = ?2 ORDER BY sequence";

const CHANGE: &str = "UPDATE subscriptions
    SET max_attempts = ?2, backoff_base_ms = ?3, backoff_cap_ms = ?4, blocks = ?5
    WHERE id = ?1";
const UNBLOCK: &str = "UPDATE deliveries SET state = 5
    WHERE subscription = ?1 AND died_ms IS NOT NULL AND state = 3 RETURNING subject";

/// A policy, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) max_attempts: u32,
    pub(crate) backoff_base_ms: u64,
    pub(crate) backoff_cap_ms: u64,
    pub(crate) blocks: bool,
}

impl From<Policy> for Terms {
    /// Waits beyond SQLite's integers would be read back as others.
    fn from(policy: Policy) -> Self {
        let storable = |wait: u64| wait.min(i64::MAX as u64);
        Self {
            max_attempts: policy.max_attempts,
            backoff_base_ms: storable(policy.backoff_base_ms),
            backoff_cap_ms: storable(policy.backoff_cap_ms),
            blocks: matches!(policy.after_death, AfterDeath::Block),
        }
    }
}

impl From<Terms> for Policy {
    fn from(terms: Terms) -> Self {
        Self {
            max_attempts: terms.max_attempts,
            backoff_base_ms: terms.backoff_base_ms,
            backoff_cap_ms: terms.backoff_cap_ms,
            after_death: if terms.blocks {
                AfterDeath::Block
            } else {
                AfterDeath::Proceed
            },
        }
    }
}

impl Terms {
    /// Reads the columns `max_attempts, backoff_base_ms, backoff_cap_ms, blocks`.
    pub(crate) fn read(row: &mut Row) -> Result<Self, Failure> {
        Ok(Self {
            max_attempts: row.unsigned()?,
            backoff_base_ms: row.unsigned()?,
            backoff_cap_ms: row.unsigned()?,
            blocks: row.flag()?,
        })
    }

    /// Create a subscription that is owed every event there is. Returns its id.
    pub(crate) fn subscribe(
        self,
        connection: &Connection,
        subscription: &Subscription,
    ) -> Result<i64, Failure> {
        let topic = create_topic(connection, &subscription.topic)?;
        let id = connection
            .row(
                CREATE,
                &[
                    integer(topic),
                    text(&subscription.service),
                    integer(self.max_attempts),
                    integer(self.backoff_base_ms),
                    integer(self.backoff_cap_ms),
                    integer(i64::from(self.blocks)),
                ],
            )?
            .ok_or_else(|| Failure::Other("a new subscription has no id".into()))?
            .integer()?;
        connection.execute(CATCH_UP, &[integer(id), integer(topic)])?;
        Ok(id)
    }

    /// Serve a subscription under these terms from now on.
    ///
    /// If they no longer block, those that wait behind a dead delivery go on. If
    /// they now do, that concerns later deaths: some have gone on already.
    pub(crate) fn replace(self, connection: &Connection, id: i64) -> Result<(), Failure> {
        connection.execute(
            CHANGE,
            &[
                integer(id),
                integer(self.max_attempts),
                integer(self.backoff_base_ms),
                integer(self.backoff_cap_ms),
                integer(i64::from(self.blocks)),
            ],
        )?;
        if !self.blocks {
            for mut row in connection.rows(UNBLOCK, &[integer(id)])? {
                promote(connection, id, row.optional_text()?.as_deref())?;
            }
        }
        Ok(())
    }

    /// The wait after a number of failed attempts, spread by `spread`, which is
    /// from -1 to 1.
    pub(crate) fn backoff_ms(&self, failed: u32, spread: f64) -> u64 {
        let doublings = failed.saturating_sub(1).min(63);
        let wait = self
            .backoff_base_ms
            .saturating_mul(1 << doublings)
            .min(self.backoff_cap_ms);
        (wait as f64 * (1.0 + spread.clamp(-1.0, 1.0) / 4.0)).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        max_attempts: 5,
        backoff_base_ms: 100,
        backoff_cap_ms: 1000,
        blocks: false,
    };

    #[test]
    fn the_wait_doubles_up_to_its_cap() {
        let waits = [1, 2, 3, 4, 5, u32::MAX].map(|failed| TERMS.backoff_ms(failed, 0.0));
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn the_wait_is_spread_by_a_quarter() {
        assert_eq!(
            [-1.0, 1.0].map(|spread| TERMS.backoff_ms(9, spread)),
            [750, 1250]
        );
    }

    #[test]
    fn an_endless_wait_does_not_overflow() {
        let terms = Terms {
            backoff_base_ms: u64::MAX,
            backoff_cap_ms: u64::MAX,
            ..TERMS
        };
        assert_eq!(terms.backoff_ms(7, 1.0), u64::MAX);
    }
}
