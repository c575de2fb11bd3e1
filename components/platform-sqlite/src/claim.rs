//! Claims: the deliveries that are due, handed out under leases.
//!
//! Everything here walks the index of what can fall due, from its start, and
//! never further than a batch: a claim costs the same however long the backlog.

use emporium_adapter::{
    Failure, Terms,
    bindings::{
        deliveries::{Batch, Delivery, Lease, Subscription},
        maintenance::Suspension,
    },
    deliveries::{BATCH_BYTES, MOST_DEATHS, ROUND},
    reason::lease_ran_out,
};

use crate::{
    clock::now_ms,
    connection::{Connection, Durability},
    pauses,
    row::{Row, integer, optional_text, text},
    subscriptions::{read_terms, replace_terms, subscribe},
    succession::Dying,
    verdicts::count_retried,
};

const FIND: &str = "SELECT
        s.id,
        s.max_attempts, s.backoff_base_ms, s.backoff_cap_ms, s.blocks, s.pause_after, s.pause_ms,
        s.paused_ms, s.paused_until_ms, s.pause_reason,
        (SELECT min(d.due_ms) FROM deliveries AS d WHERE d.subscription = s.id AND d.state <= 2)
    FROM topics AS t JOIN subscriptions AS s ON s.topic = t.id
    WHERE t.name = ?1 AND s.service = ?2";

/// The columns are those that `Due::read` takes.
const DUE: &str = "SELECT
        d.id, d.attempt, d.forgiven, d.state = 2, d.subject, e.id, e.kind, e.envelope
    FROM deliveries AS d CROSS JOIN events AS e ON e.sequence = d.event
    WHERE d.subscription = ?1 AND d.state <= 2 AND d.due_ms <= ?2
    ORDER BY d.due_ms, d.id LIMIT ?3 OFFSET ?4";
const LEASE: &str = "UPDATE deliveries
    SET state = 2, attempt = attempt + 1, due_ms = ?2, worker = ?3
    WHERE id IN (SELECT value FROM json_each(?1))";

/// What has just been leased is due when its lease runs out, all at the same
/// time: that is not something else.
const NEXT_DUE: &str = "SELECT due_ms FROM deliveries
    WHERE subscription = ?1 AND state <= 2 AND (due_ms <> ?2 OR state = 1)
    ORDER BY due_ms LIMIT 1";

struct Found {
    id: i64,
    terms: Terms,
    paused: Option<Suspension>,
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
    worker: Option<&str>,
    limit: usize,
    lease_ms: u32,
) -> Result<Batch, Failure> {
    let connection = Connection::current()?;
    let terms = Terms::from(subscription.policy);
    let now = now_ms();
    if let Some(found) = find(&connection, subscription, now)?
        && found.terms == terms
        && let Some(batch) = found.without_work(now)
    {
        return Ok(batch);
    }
    connection.transaction(Durability::Relaxed, || {
        let now = now_ms();
        let mut found = find(&connection, subscription, now)?;
        if let Some(before) = &found
            && before.terms != terms
        {
            replace_terms(&connection, before.id, terms)?;
            found = find(&connection, subscription, now)?;
        }
        let id = match found {
            None => subscribe(&connection, subscription, terms, now)?,
            Some(found) => match found.without_work(now) {
                None => found.id,
                Some(batch) => return Ok(batch),
            },
        };
        let claim = Claim {
            connection: &connection,
            subscription: id,
            worker,
            terms,
            now,
        };
        if let Some(due) = claim.select(limit)? {
            return claim.lease(due, now + u64::from(lease_ms));
        }
        let paused = find(&connection, subscription, now)?;
        let batch = paused.and_then(|paused| paused.without_work(now));
        batch.ok_or_else(|| Failure::Other("a pause was lost".into()))
    })
}

fn find(
    connection: &Connection,
    subscription: &Subscription,
    now: u64,
) -> Result<Option<Found>, Failure> {
    let names = [text(&subscription.topic), text(&subscription.service)];
    let Some(mut row) = connection.row(FIND, &names)? else {
        return Ok(None);
    };
    Ok(Some(Found {
        id: row.integer()?,
        terms: read_terms(&mut row)?,
        paused: pauses::read(&mut row, now)?,
        next_due: row.optional_unsigned()?,
    }))
}

impl Found {
    /// The batch if nothing can be handed out now.
    fn without_work(&self, now: u64) -> Option<Batch> {
        let next = match &self.paused {
            None if self.next_due.is_some_and(|due| due <= now) => return None,
            None => self.next_due,
            Some(paused) => paused.until_ms,
        };
        Some(Batch {
            deliveries: Vec::new(),
            suspect: false,
            next_due_in_ms: next.map(|next| next.saturating_sub(now)),
        })
    }
}

struct Claim<'a> {
    connection: &'a Connection,
    subscription: i64,
    worker: Option<&'a str>,
    terms: Terms,
    now: u64,
}

impl Claim<'_> {
    /// Choose a suspect alone, or others than suspects. Returns `None` if the
    /// deaths of suspects paused the subscription.
    fn select(&self, limit: usize) -> Result<Option<Vec<Due>>, Failure> {
        for _ in 0..MOST_DEATHS {
            let mut round = self.read(limit.min(ROUND), 0)?;
            match round.first() {
                Some(first) if first.suspect => {
                    if first.attempts() >= self.terms.max_attempts {
                        if self.let_die(first)? {
                            return Ok(None);
                        }
                        continue;
                    }
                    count_retried(self.connection, self.subscription)?;
                    round.truncate(1);
                    return Ok(Some(round));
                }
                _ => return self.without_suspects(round, limit).map(Some),
            }
        }
        Ok(Some(Vec::new()))
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

    /// Returns whether the subscription is paused then.
    fn let_die(&self, due: &Due) -> Result<bool, Failure> {
        let dying = Dying {
            delivery: due.delivery,
            subscription: self.subscription,
            subject: due.subject.as_deref(),
            terms: self.terms,
        };
        dying.die(self.connection, &lease_ran_out(due.attempt), self.now)
    }

    /// Count the attempts, and start the time of the leases.
    fn lease(&self, selected: Vec<Due>, until: u64) -> Result<Batch, Failure> {
        if !selected.is_empty() {
            let ids: Vec<u64> = selected.iter().map(|due| due.delivery).collect();
            let ids = serde_json::Value::from(ids).to_string();
            let leased = [text(&ids), integer(until), optional_text(self.worker)];
            self.connection.execute(LEASE, &leased)?;
        }
        let next_due = self
            .connection
            .row(NEXT_DUE, &[integer(self.subscription), integer(until)])?
            .map(|mut row| row.unsigned::<u64>())
            .transpose()?;
        Ok(Batch {
            suspect: selected.first().is_some_and(|first| first.suspect),
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
