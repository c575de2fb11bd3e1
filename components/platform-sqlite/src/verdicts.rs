//! What a consumer says about the deliveries it leased.
//!
//! Each function returns `None` if the lease is lost. Nothing was written then.

use emporium_adapter::{
    Failure, Terms,
    bindings::deliveries::{Burial, Fate, Lease, Return},
    reason::shorten,
};

use crate::{
    connection::Connection,
    row::{integer, text},
    subscriptions::read_terms,
    succession::{Cause, Dying, promote},
};

/// A lease that ran out still counts, until the next claim takes it over.
const FIND: &str = "SELECT d.subscription, d.subject, d.attempt - d.forgiven,
        s.max_attempts, s.backoff_base_ms, s.backoff_cap_ms, s.retry_blocks, s.blocks,
        s.pause_after, s.pause_ms
    FROM deliveries AS d JOIN subscriptions AS s ON s.id = d.subscription
    WHERE d.id = ?1 AND d.attempt = ?2 AND d.state = 2";
const EXTEND: &str = "UPDATE deliveries SET due_ms = ?3
    WHERE id = ?1 AND attempt = ?2 AND state = 2
        AND EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.id = subscription)
    RETURNING id";
const RELEASE: &str = "UPDATE deliveries
    SET state = iif(?4 OR subject IS NULL, 1, 0), due_ms = ?2, reason = ?3 WHERE id = ?1";
const COUNT_RETRIED: &str = "UPDATE subscriptions SET retried = retried + 1 WHERE id = ?1";

/// A delivery under a lease that holds.
struct Leased {
    delivery: u64,
    subscription: i64,
    subject: Option<String>,
    attempts: u32,
    terms: Terms,
}

pub(crate) fn extend(
    connection: &Connection,
    lease: Lease,
    until: u64,
) -> Result<Option<()>, Failure> {
    let extended = [
        integer(lease.delivery),
        integer(lease.attempt),
        integer(until),
    ];
    Ok(connection.row(EXTEND, &extended)?.map(drop))
}

pub(crate) fn release(
    connection: &Connection,
    back: &Return,
    now: u64,
) -> Result<Option<Fate>, Failure> {
    let Some(leased) = find(connection, back.lease)? else {
        return Ok(None);
    };
    if leased.attempts >= leased.terms.max_attempts {
        let cause = Cause::Exhaustion;
        leased.dying().die(connection, cause, &back.reason, now)?;
        return Ok(Some(Fate::Dead));
    }
    let wait = back
        .retry_after_ms
        .unwrap_or_else(|| leased.terms.backoff_ms(leased.attempts));
    let due = now.saturating_add(wait).min(i64::MAX as u64);
    let returned = [
        integer(leased.delivery),
        integer(due),
        text(&shorten(&back.reason)),
        integer(i64::from(leased.terms.retry_blocks)),
    ];
    connection.execute(RELEASE, &returned)?;
    if !leased.terms.retry_blocks {
        promote(connection, leased.subscription, leased.subject.as_deref())?;
    }
    count_retried(connection, leased.subscription)?;
    Ok(Some(Fate::RetriedAtMs(due)))
}

pub(crate) fn bury(
    connection: &Connection,
    burial: &Burial,
    now: u64,
) -> Result<Option<()>, Failure> {
    let Some(leased) = find(connection, burial.lease)? else {
        return Ok(None);
    };
    let cause = Cause::Burial;
    leased.dying().die(connection, cause, &burial.reason, now)?;
    Ok(Some(()))
}

/// Note that a failed attempt is followed by another.
pub(crate) fn count_retried(connection: &Connection, subscription: i64) -> Result<(), Failure> {
    connection.execute(COUNT_RETRIED, &[integer(subscription)])
}

fn find(connection: &Connection, lease: Lease) -> Result<Option<Leased>, Failure> {
    let wanted = [integer(lease.delivery), integer(lease.attempt)];
    let Some(mut row) = connection.row(FIND, &wanted)? else {
        return Ok(None);
    };
    Ok(Some(Leased {
        delivery: lease.delivery,
        subscription: row.integer()?,
        subject: row.optional_text()?,
        attempts: row.unsigned()?,
        terms: read_terms(&mut row)?,
    }))
}

impl Leased {
    fn dying(&self) -> Dying<'_> {
        Dying {
            delivery: self.delivery,
            subscription: self.subscription,
            subject: self.subject.as_deref(),
            terms: self.terms,
        }
    }
}
