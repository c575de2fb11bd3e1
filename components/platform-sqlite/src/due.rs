//! Deliveries whose time has come, in the order in which claims take them.

use emporium_adapter::{Failure, Terms};

use crate::{
    connection::Connection,
    row::{Row, integer},
    succession::Dying,
};

/// The columns are those that `Found::read` takes. Only a delivery that was never
/// tried leads others.
const DUE: &str = "SELECT
        d.id, d.subject, d.state = 2, d.attempt, d.forgiven, d.followers_until,
        d.attempt = 0 AND EXISTS (
            SELECT 1 FROM deliveries AS w
            WHERE w.subscription = d.subscription AND w.subject = d.subject AND w.state = 4
        ) AND NOT EXISTS (
            SELECT 1 FROM singly AS s
            WHERE s.subscription = d.subscription AND s.subject = d.subject
                AND s.until_event >= d.event
        ),
        e.id, e.kind, e.envelope
    FROM deliveries AS d LEFT JOIN events AS e ON e.sequence = d.event
    WHERE d.subscription = ?1 AND d.state <= 2 AND d.due_ms <= ?2 AND d.state <> 0
    ORDER BY d.due_ms, d.id LIMIT ?3 OFFSET ?4";

/// What may be handed out of a subscription at a moment.
pub(crate) struct Queue<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) subscription: i64,
    pub(crate) terms: Terms,
    pub(crate) now: u64,
}

/// A delivery whose time has come.
pub(crate) struct Due {
    pub(crate) delivery: u64,
    pub(crate) subject: Option<String>,
    /// Its lease ran out: it may have killed its handler.
    pub(crate) ran_out: bool,
    pub(crate) attempt: u32,
    forgiven: u32,
    /// The event of the last follower that was handed out under that lease.
    pub(crate) followers_until: Option<i64>,
    /// Whether others may be handed out with it that wait for its key.
    pub(crate) leads: bool,
    pub(crate) event_id: String,
    pub(crate) kind: String,
    pub(crate) envelope: Vec<u8>,
}

/// What a row turns out to be.
enum Found {
    Due(Due),
    /// There is no such event.
    Eventless {
        delivery: u64,
        subject: Option<String>,
    },
}

impl Queue<'_> {
    /// Read so many, after so many others. One without an event goes.
    pub(crate) fn read(&self, limit: usize, offset: usize) -> Result<Vec<Due>, Failure> {
        let wanted = [
            integer(self.subscription),
            integer(self.now),
            integer(limit),
            integer(offset),
        ];
        loop {
            let mut due = Vec::new();
            let mut complete = true;
            for row in self.connection.rows(DUE, &wanted)? {
                match Found::read(row)? {
                    Found::Due(found) => due.push(found),
                    Found::Eventless { delivery, subject } => {
                        complete = false;
                        self.dying(delivery, subject.as_deref())
                            .remove(self.connection)?;
                    }
                }
            }
            if complete {
                return Ok(due);
            }
        }
    }

    pub(crate) fn dying<'d>(&self, delivery: u64, subject: Option<&'d str>) -> Dying<'d> {
        Dying {
            delivery,
            subscription: self.subscription,
            subject,
            terms: self.terms,
        }
    }
}

impl Found {
    fn read(mut row: Row) -> Result<Self, Failure> {
        let (delivery, subject) = (row.unsigned()?, row.optional_text()?);
        let ran_out = row.flag()?;
        let (attempt, forgiven) = (row.unsigned()?, row.unsigned()?);
        let followers_until = row.optional_integer()?;
        let leads = row.flag()?;
        let Some(event_id) = row.optional_text()? else {
            return Ok(Self::Eventless { delivery, subject });
        };
        Ok(Self::Due(Due {
            delivery,
            subject,
            ran_out,
            attempt,
            forgiven,
            followers_until,
            leads,
            event_id,
            kind: row.text()?,
            envelope: row.blob()?,
        }))
    }
}

impl Due {
    /// Since the event was published, or replayed.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempt.saturating_sub(self.forgiven)
    }
}
