//! Claims: the deliveries that are due, handed out under leases.
//!
//! Everything here walks the index of what can fall due, from its start, and
//! never further than a batch: a claim costs the same however long the backlog.

use spin_sdk::sqlite::Value;

use crate::{
    bindings::deliveries::{Batch, Delivery, Lease, Subscription},
    clock::now_ms,
    connection::{Connection, Durability},
    failure::Failure,
    row::{Row, integer, text},
    subscriptions::Terms,
    succession::Dying,
    verdicts::count_retried,
};

const FIND: &str = "SELECT
        s.id, s.max_attempts, s.backoff_base_ms, s.backoff_cap_ms, s.blocks,
        (SELECT min(d.due_ms) FROM deliveries AS d WHERE d.subscription = s.id AND d.state <= 2)
    FROM topics AS t JOIN subscriptions AS s ON s.topic = t.id
    WHERE t.name = ?1 AND s.service = ?2";

/// The columns are those that `Due::read` takes.
const DUE: &str = "SELECT
        d.id, d.attempt, d.forgiven, d.state = 2, d.subject, e.id, e.kind, e.envelope
    FROM deliveries AS d CROSS JOIN events AS e ON e.sequence = d.event
    WHERE d.subscription = ?1 AND d.state <= 2 AND d.due_ms <= ?2
    ORDER BY d.due_ms, d.id LIMIT ?3 OFFSET ?4";
const LEASE: &str = "UPDATE deliveries SET state = 2, attempt = attempt + 1, due_ms = ?2
    WHERE id IN (SELECT value FROM json_each(?1))";

/// What has just been leased is due when its lease runs out, all at the same
/// time: that is not something else.
const NEXT_DUE: &str = "SELECT due_ms FROM deliveries
    WHERE subscription = ?1 AND state <= 2 AND (due_ms <> ?2 OR state = 1)
    ORDER BY due_ms LIMIT 1";

/// How many deliveries one claim lets die before it leaves the rest to the next.
const MOST_DEATHS: usize = 100;

/// How many deliveries one statement reads. A host limits what a statement may
/// return: to 128 MiB in Spin. An envelope has at most a quarter of one.
const ROUND: usize = 256;

/// What a batch may weigh before it ends early.
const BATCH_BYTES: usize = 16 << 20;

struct Found {
    id: i64,
    terms: Terms,
    /// When the first delivery falls due, or did.
    next_due: Option<u64>,
}

/// A delivery whose time has come.
struct Due {
    delivery: u64,
    attempt: u32,
    forgiven: u32,
    /// Its lease ran out: it may have killed its handler.
    suspect: bool,
    subject: Option<String>,
    event_id: String,
    kind: String,
    envelope: Vec<u8>,
}

/// Claim up to `limit` deliveries.
///
/// Only looks, without a transaction, if there is nothing to hand out: idle
/// consumers cost no write.
pub(crate) fn claim(
    subscription: &Subscription,
    limit: usize,
    lease_ms: u32,
) -> Result<Batch, Failure> {
    let connection = Connection::current()?;
    let terms = Terms::from(subscription.policy);
    if let Some(found) = find(&connection, subscription)?
        && found.terms == terms
    {
        let now = now_ms();
        if found.next_due.is_none_or(|due| due > now) {
            let next_due_in_ms = found.next_due.map(|due| due - now);
            return Ok(Batch {
                deliveries: Vec::new(),
                next_due_in_ms,
            });
        }
    }
    connection.transaction(Durability::Relaxed, || {
        let now = now_ms();
        let id = match find(&connection, subscription)? {
            None => terms.subscribe(&connection, subscription)?,
            Some(found) => {
                if found.terms != terms {
                    terms.replace(&connection, found.id)?;
                }
                found.id
            }
        };
        let claim = Claim {
            connection: &connection,
            subscription: id,
            terms,
            now,
        };
        let due = claim.select(limit)?;
        claim.lease(due, now + u64::from(lease_ms))
    })
}

fn find(connection: &Connection, subscription: &Subscription) -> Result<Option<Found>, Failure> {
    let names = [text(&subscription.topic), text(&subscription.service)];
    let Some(mut row) = connection.row(FIND, &names)? else {
        return Ok(None);
    };
    Ok(Some(Found {
        id: row.integer()?,
        terms: Terms::read(&mut row)?,
        next_due: row.optional_unsigned()?,
    }))
}

struct Claim<'a> {
    connection: &'a Connection,
    subscription: i64,
    terms: Terms,
    now: u64,
}

impl Claim<'_> {
    /// Choose a suspect alone, or others than suspects.
    fn select(&self, limit: usize) -> Result<Vec<Due>, Failure> {
        for _ in 0..MOST_DEATHS {
            let mut round = self.read(limit.min(ROUND), 0)?;
            match round.first() {
                Some(first) if first.suspect => {
                    if first.attempts() >= self.terms.max_attempts {
                        self.let_die(first)?;
                        continue;
                    }
                    count_retried(self.connection, self.subscription)?;
                    round.truncate(1);
                    return Ok(round);
                }
                _ => return self.without_suspects(round, limit),
            }
        }
        Ok(Vec::new())
    }

    /// A suspect in the middle is passed over: its turn comes when it is first.
    fn without_suspects(&self, mut round: Vec<Due>, limit: usize) -> Result<Vec<Due>, Failure> {
        let mut selected = Vec::with_capacity(round.len());
        let (mut bytes, mut passed) = (0, 0);
        loop {
            let exhausted = round.len() < (limit - passed).min(ROUND);
            passed += round.len();
            for due in round {
                if !due.suspect && bytes < BATCH_BYTES {
                    bytes += due.envelope.len();
                    selected.push(due);
                }
            }
            if exhausted || passed >= limit || bytes >= BATCH_BYTES {
                return Ok(selected);
            }
            round = self.read((limit - passed).min(ROUND), passed)?;
        }
    }

    fn read(&self, limit: usize, offset: usize) -> Result<Vec<Due>, Failure> {
        let due = [
            integer(self.subscription),
            integer(self.now),
            integer(limit),
            integer(offset),
        ];
        self.connection.rows(DUE, &due)?.map(Due::read).collect()
    }

    fn let_die(&self, due: &Due) -> Result<(), Failure> {
        let dying = Dying {
            delivery: due.delivery,
            subscription: self.subscription,
            subject: due.subject.as_deref(),
            blocks: self.terms.blocks,
        };
        let reason = format!("the lease of attempt {} ran out", due.attempt);
        dying.die(self.connection, &reason, self.now)
    }

    /// Count the attempts, and start the time of the leases.
    fn lease(&self, selected: Vec<Due>, until: u64) -> Result<Batch, Failure> {
        if !selected.is_empty() {
            let ids: Vec<u64> = selected.iter().map(|due| due.delivery).collect();
            let ids = serde_json::Value::from(ids).to_string();
            self.connection
                .execute(LEASE, &[Value::Text(ids), integer(until)])?;
        }
        let next_due = self
            .connection
            .row(NEXT_DUE, &[integer(self.subscription), integer(until)])?
            .map(|mut row| row.unsigned::<u64>())
            .transpose()?;
        Ok(Batch {
            deliveries: selected.into_iter().map(Due::into_delivery).collect(),
            next_due_in_ms: next_due.map(|due| due.saturating_sub(self.now)),
        })
    }
}

impl Due {
    fn read(mut row: Row) -> Result<Self, Failure> {
        Ok(Self {
            delivery: row.unsigned()?,
            attempt: row.unsigned()?,
            forgiven: row.unsigned()?,
            suspect: row.flag()?,
            subject: row.optional_text()?,
            event_id: row.text()?,
            kind: row.text()?,
            envelope: row.blob()?,
        })
    }

    /// Since the event was published, or replayed.
    fn attempts(&self) -> u32 {
        self.attempt.saturating_sub(self.forgiven)
    }

    fn into_delivery(self) -> Delivery {
        Delivery {
            lease: Lease {
                delivery: self.delivery,
                attempt: self.attempt.saturating_add(1),
            },
            event_id: self.event_id,
            kind: self.kind,
            subject: self.subject,
            envelope: self.envelope,
        }
    }
}
