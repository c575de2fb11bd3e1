//! Deliveries that are settled, and what is counted then.

use std::collections::{BTreeMap, HashMap};

use emporium_adapter::{
    Failure,
    bindings::{deliveries::Lease, journal::Settlement},
    histogram::bucket,
    terms::PAUSE_SPAN_MS,
};

use crate::{
    connection::Connection,
    row::{integer, json, text},
    succession::promote,
};

/// A lease that ran out still counts, until the next claim takes it over. One on a
/// delivery of a forgotten subscription is lost.
const SETTLE: &str = "DELETE FROM deliveries WHERE id = ?1 AND attempt = ?2 AND state = 2
        AND EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.id = subscription)
    RETURNING subscription, subject, first_due_ms";
const FIND_LEASED: &str = "SELECT d.id, d.subscription, d.subject, d.first_due_ms
    FROM json_each(?1) AS l
    CROSS JOIN deliveries AS d
        ON d.id = l.value ->> 0 AND d.attempt = l.value ->> 1 AND d.state = 2
    CROSS JOIN subscriptions AS s ON s.id = d.subscription
    ORDER BY l.key";

/// One that was tried before is no follower, wherever it waits.
const FIND_FOLLOWERS: &str = "SELECT id, first_due_ms FROM deliveries
    WHERE subscription = ?1 AND subject = ?2 AND state = 4 AND attempt = 0
    ORDER BY event LIMIT ?3";
const END: &str = "DELETE FROM deliveries WHERE id IN (SELECT value FROM json_each(?1))";

const COUNT: &str = "UPDATE subscriptions
    SET settled = settled + ?2, latency_ms = latency_ms + ?3, longest_ms = max(longest_ms, ?4),
        settled_in = max(settled_in, ?5),
        settled_lately = iif(settled_in >= ?5, settled_lately, 0) + ?2,
        settled_before = CASE
            WHEN settled_in >= ?5 THEN settled_before
            WHEN settled_in = ?5 - 1 THEN settled_lately
            ELSE 0
        END
    WHERE id = ?1";
const COUNT_LATENCIES: &str = "INSERT INTO latencies (subscription, bucket, count)
    SELECT ?1, l.key, l.value FROM json_each(?2) AS l WHERE true
    ON CONFLICT (subscription, bucket) DO UPDATE SET count = count + excluded.count";

/// What a transaction has settled, by subscription.
#[derive(Default)]
pub(crate) struct Settled {
    tallies: HashMap<i64, Tally>,
}

#[derive(Default)]
struct Tally {
    count: u64,
    latency_ms: u64,
    longest_ms: u64,
    settled_ms: u64,
    /// How many took how long.
    latencies: BTreeMap<usize, u64>,
}

/// A leased delivery, and those of its followers that end with it.
struct Ending {
    subscription: i64,
    subject: Option<String>,
    /// The leased one comes first.
    deliveries: Vec<u64>,
    first_due_ms: Vec<u64>,
}

/// Whether everything can be settled.
pub(crate) fn hold(connection: &Connection, settlements: &[Settlement]) -> Result<bool, Failure> {
    Ok(settlements.is_empty() || find(connection, settlements)?.is_some())
}

impl Settled {
    /// End deliveries for good. Returns whether all leases held; nothing was written
    /// otherwise.
    pub(crate) fn settle(
        &mut self,
        connection: &Connection,
        settlements: &[Settlement],
        now: u64,
    ) -> Result<bool, Failure> {
        match settlements {
            [] => Ok(true),
            [one] if one.followers.is_empty() => self.settle_one(connection, one.lease, now),
            _ => self.settle_all(connection, settlements, now),
        }
    }

    fn settle_one(
        &mut self,
        connection: &Connection,
        lease: Lease,
        now: u64,
    ) -> Result<bool, Failure> {
        let settled = [integer(lease.delivery), integer(lease.attempt)];
        let Some(mut row) = connection.row(SETTLE, &settled)? else {
            return Ok(false);
        };
        let subscription = row.integer()?;
        promote(connection, subscription, row.optional_text()?.as_deref())?;
        self.tally(subscription, row.unsigned()?, now);
        Ok(true)
    }

    fn settle_all(
        &mut self,
        connection: &Connection,
        settlements: &[Settlement],
        now: u64,
    ) -> Result<bool, Failure> {
        let Some(endings) = find(connection, settlements)? else {
            return Ok(false);
        };
        let ended: Vec<u64> = endings
            .iter()
            .flat_map(|ending| ending.deliveries.iter().copied())
            .collect();
        connection.execute(END, &[text(&json(&ended))])?;
        for ending in endings {
            promote(connection, ending.subscription, ending.subject.as_deref())?;
            for first_due_ms in ending.first_due_ms {
                self.tally(ending.subscription, first_due_ms, now);
            }
        }
        Ok(true)
    }

    fn tally(&mut self, subscription: i64, first_due_ms: u64, now: u64) {
        let latency_ms = now.saturating_sub(first_due_ms);
        let tally = self.tallies.entry(subscription).or_default();
        tally.count += 1;
        tally.latency_ms = tally.latency_ms.saturating_add(latency_ms);
        tally.longest_ms = tally.longest_ms.max(latency_ms);
        tally.settled_ms = tally.settled_ms.max(now);
        *tally.latencies.entry(bucket(latency_ms)).or_default() += 1;
    }

    /// Note what was settled.
    pub(crate) fn count(&self, connection: &Connection) -> Result<(), Failure> {
        for (subscription, tally) in &self.tallies {
            let subscription = integer(*subscription);
            let latencies = text(&json(&tally.latencies));
            connection.execute(
                COUNT,
                &[
                    subscription.clone(),
                    integer(tally.count),
                    integer(tally.latency_ms),
                    integer(tally.longest_ms),
                    integer(tally.settled_ms / PAUSE_SPAN_MS),
                ],
            )?;
            connection.execute(COUNT_LATENCIES, &[subscription, latencies])?;
        }
        Ok(())
    }
}

/// What is to end, if all leases hold and all followers still wait behind them.
fn find(
    connection: &Connection,
    settlements: &[Settlement],
) -> Result<Option<Vec<Ending>>, Failure> {
    let leases: Vec<(u64, u32)> = settlements
        .iter()
        .map(|settlement| (settlement.lease.delivery, settlement.lease.attempt))
        .collect();
    let mut endings = Vec::with_capacity(settlements.len());
    for mut row in connection.rows(FIND_LEASED, &[text(&json(&leases))])? {
        let delivery = row.unsigned()?;
        endings.push(Ending {
            subscription: row.integer()?,
            subject: row.optional_text()?,
            deliveries: vec![delivery],
            first_due_ms: vec![row.unsigned()?],
        });
    }
    if endings.len() < settlements.len() {
        return Ok(None);
    }
    for (ending, settlement) in endings.iter_mut().zip(settlements) {
        if !ending.take_followers(connection, &settlement.followers)? {
            return Ok(None);
        }
    }
    Ok(Some(endings))
}

impl Ending {
    /// Returns whether these are the first ones that wait behind it.
    fn take_followers(
        &mut self,
        connection: &Connection,
        followers: &[u64],
    ) -> Result<bool, Failure> {
        if followers.is_empty() {
            return Ok(true);
        }
        let Some(subject) = &self.subject else {
            return Ok(false);
        };
        let behind = [
            integer(self.subscription),
            text(subject),
            integer(followers.len()),
        ];
        for mut row in connection.rows(FIND_FOLLOWERS, &behind)? {
            self.deliveries.push(row.unsigned()?);
            self.first_due_ms.push(row.unsigned()?);
        }
        Ok(self.deliveries.get(1..) == Some(followers))
    }
}
