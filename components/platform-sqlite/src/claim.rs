//! Claims: the deliveries that are due, handed out under leases.
//!
//! Everything here walks the index of what can fall due, from its start, and
//! never further than a batch: a claim costs the same however long the backlog.

use emporium_adapter::{
    Failure, Terms,
    bindings::{
        deliveries::{Batch, Delivery, Follower, Lease, Subscription},
        maintenance::Suspension,
    },
    deliveries::{BATCH_BYTES, MOST_DEATHS, ROUND},
    reason::lease_ran_out,
};

use crate::{
    clock::now_ms,
    connection::{Connection, Durability},
    due::{Due, Queue},
    pauses,
    row::{integer, json, optional_text, text},
    subscriptions::{read_terms, replace_terms, subscribe},
    succession::{Cause, take_keys},
    verdicts::count_retried,
};

const FIND: &str = "SELECT
        s.id,
        s.max_attempts, s.backoff_base_ms, s.backoff_cap_ms, s.retry_blocks, s.blocks,
        s.pause_after, s.pause_ms,
        s.paused_ms, s.paused_until_ms, s.pause_reason,
        (SELECT min(d.due_ms) FROM deliveries AS d WHERE d.subscription = s.id AND d.state <= 2),
        (SELECT min(d.due_ms) FROM deliveries AS d WHERE d.subscription = s.id AND d.state = 0)
    FROM topics AS t JOIN subscriptions AS s ON s.topic = t.id
    WHERE t.name = ?1 AND s.service = ?2";

const LEASE: &str = "UPDATE deliveries
    SET state = 2, attempt = attempt + 1, due_ms = ?2, worker = ?3, followers_until = NULL
    WHERE id IN (SELECT value FROM json_each(?1))";

/// Leases taken by this claim do not count as the next due time. They run out all at
/// the same time.
const NEXT_DUE: &str = "SELECT due_ms FROM deliveries
    WHERE subscription = ?1 AND state <= 2 AND (due_ms <> ?2 OR state <> 2)
    ORDER BY due_ms LIMIT 1";

struct Found {
    id: i64,
    terms: Terms,
    paused: Option<Suspension>,
    /// When the first delivery falls due, or did.
    next_due: Option<u64>,
    /// The same, of those that gave up their keys.
    next_returned: Option<u64>,
}

/// Until when who holds the leases of a claim.
struct LeaseTerm<'a> {
    worker: Option<&'a str>,
    until: u64,
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
            replace_terms(&connection, before.id, terms, now)?;
            found = find(&connection, subscription, now)?;
        }
        let id = match found {
            None => subscribe(&connection, subscription, terms, now)?,
            Some(found) => match found.without_work(now) {
                None => {
                    if found.next_returned.is_some_and(|due| due <= now) {
                        take_keys(&connection, found.id, now)?;
                    }
                    found.id
                }
                Some(batch) => return Ok(batch),
            },
        };
        let queue = Queue {
            connection: &connection,
            subscription: id,
            terms,
            now,
        };
        if let Some(due) = queue.select(limit)? {
            let term = LeaseTerm {
                worker,
                until: now + u64::from(lease_ms),
            };
            return queue.lease(due, limit, term);
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
        next_returned: row.optional_unsigned()?,
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

impl Queue<'_> {
    /// Choose one whose lease ran out, alone, or others than such. Returns `None` if
    /// the deaths of such paused the subscription.
    fn select(&self, limit: usize) -> Result<Option<Vec<Due>>, Failure> {
        for _ in 0..MOST_DEATHS {
            let mut round = self.read(limit.min(ROUND), 0)?;
            match round.first() {
                Some(first) if first.ran_out => {
                    self.separate(first)?;
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
                _ => return self.without_run_out(round, limit).map(Some),
            }
        }
        Ok(Some(Vec::new()))
    }

    /// One whose lease ran out is passed over in the middle: its turn comes when it
    /// is first.
    fn without_run_out(&self, mut round: Vec<Due>, limit: usize) -> Result<Vec<Due>, Failure> {
        let mut selected = Vec::with_capacity(round.len());
        let (mut bytes, mut passed) = (0, 0);
        loop {
            let exhausted = round.len() < (limit - passed).min(ROUND);
            passed += round.len();
            for due in round {
                if !due.ran_out && bytes < BATCH_BYTES {
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

    /// Returns whether the subscription is paused then.
    fn let_die(&self, due: &Due) -> Result<bool, Failure> {
        let reason = lease_ran_out(due.attempt);
        self.dying(due.delivery, due.subject.as_deref()).die(
            self.connection,
            Cause::Exhaustion,
            &reason,
            self.now,
        )
    }

    /// Count the attempts, and start the time of the leases.
    fn lease(&self, selected: Vec<Due>, limit: usize, term: LeaseTerm) -> Result<Batch, Failure> {
        if !selected.is_empty() {
            let ids: Vec<u64> = selected.iter().map(|due| due.delivery).collect();
            let until = integer(term.until);
            let leased = [text(&json(&ids)), until, optional_text(term.worker)];
            self.connection.execute(LEASE, &leased)?;
        }
        let room = limit.saturating_sub(selected.len());
        let followers = self.followers(&selected, room)?;
        let next_due = self
            .connection
            .row(NEXT_DUE, &[integer(self.subscription), integer(term.until)])?
            .map(|mut row| row.unsigned::<u64>())
            .transpose()?;
        Ok(Batch {
            suspect: selected.first().is_some_and(|first| first.ran_out),
            deliveries: selected
                .into_iter()
                .zip(followers)
                .map(|(due, followers)| due.into_delivery(followers))
                .collect(),
            next_due_in_ms: next_due.map(|due| due.saturating_sub(self.now)),
        })
    }
}

impl Due {
    fn into_delivery(self, followers: Vec<Follower>) -> Delivery {
        Delivery {
            lease: Lease {
                delivery: self.delivery,
                attempt: self.attempt.saturating_add(1),
            },
            event_id: self.event_id,
            kind: self.kind,
            subject: self.subject,
            envelope: self.envelope,
            followers,
        }
    }
}
