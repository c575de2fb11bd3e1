//! Deliveries, handed out and taken back.

use std::{
    cell::RefCell,
    collections::HashMap,
    time::{Duration, Instant},
};

use emporium_adapter::{
    Failure, Terms,
    bindings::deliveries::{
        Batch, Burial, Delivery, Error, Fate, Follower, Guest, Lease, Return, Subscription,
    },
    deliveries::{check_claim, check_lease_ms, check_wake},
    reason::shorten,
    wakes,
};
use spin_sdk::{pg::wit::postgres::ParameterValue, time::sleep};

use crate::{
    Component, connection,
    row::{Row, integer, integers, optional_text, signed, small, smalls, text, texts},
};

const CLAIM: &str =
    "SELECT * FROM emporium_2.claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
const DISOWN: &str = "SELECT emporium_2.disown($1, $2, $3)";
const EXTEND: &str = "SELECT emporium_2.extend($1, $2, $3)";
const RELEASE: &str = "SELECT * FROM emporium_2.release($1, $2, $3, $4)";
const BURY: &str = "SELECT emporium_2.bury($1, $2, $3)";

/// How long a claim whose reply was lost waits for the database, and how often
/// it looks.
const ABSENCE: Duration = Duration::from_secs(20);
const ABSENCE_STEP: Duration = Duration::from_millis(250);

/// How long claims go on where the one before ended. Behind them, leases run out.
const REVISIT: Duration = Duration::from_millis(200);
/// Claims from the start take at most this part of the time: they may walk over much
/// that vacuum cannot remove yet.
const REVISIT_SHARE: u32 = 20;

thread_local! {
    /// How far the claims of each subscription (service, topic) have come.
    static PROGRESS: RefCell<HashMap<(String, String), Progress>> = RefCell::default();
}

#[derive(Clone, Copy)]
struct Progress {
    /// The delivery at which the latest claim ended.
    ended: u64,
    /// When a claim is to begin at the start again.
    revisit: Instant,
}

impl Guest for Component {
    async fn claim(
        subscription: Subscription,
        worker: Option<String>,
        limit: u32,
        lease_ms: u32,
    ) -> Result<Batch, Error> {
        check_claim(&subscription, worker.as_deref(), limit, lease_ms)?;
        Ok(claim(subscription, worker, limit, lease_ms).await?)
    }

    async fn extend(leases: Vec<Lease>, lease_ms: u32) -> Vec<Result<(), Error>> {
        if let Err(error) = check_lease_ms(lease_ms) {
            return leases.iter().map(|_| Err(error.clone())).collect();
        }
        let mut parameters = columns(leases.iter().copied());
        parameters.push(small(lease_ms));
        each(leases.len(), held(EXTEND, parameters).await)
    }

    async fn release(returns: Vec<Return>) -> Vec<Result<Fate, Error>> {
        let mut parameters = columns(returns.iter().map(|back| back.lease));
        let waits = returns.iter().map(|back| back.retry_after_ms.map(signed));
        parameters.push(ParameterValue::ArrayInt64(waits.collect()));
        parameters.push(texts(returns.iter().map(|back| shorten(&back.reason))));
        each(returns.len(), release(parameters).await)
    }

    async fn bury(burials: Vec<Burial>) -> Vec<Result<(), Error>> {
        let mut parameters = columns(burials.iter().map(|burial| burial.lease));
        parameters.push(texts(burials.iter().map(|burial| shorten(&burial.reason))));
        each(burials.len(), held(BURY, parameters).await)
    }

    async fn wake(topic: String) -> Result<(), Error> {
        check_wake(&topic)?;
        Ok(wakes::publish(&topic, None).await?)
    }
}

async fn claim(
    subscription: Subscription,
    worker: Option<String>,
    limit: u32,
    lease_ms: u32,
) -> Result<Batch, Failure> {
    let terms = Terms::from(subscription.policy);
    let name = (subscription.service, subscription.topic);
    let progress = PROGRESS.with_borrow(|progress| progress.get(&name).copied());
    let began = Instant::now();
    let progress = progress.filter(|progress| began < progress.revisit);
    let number = rand::random::<i32>();
    let parameters = vec![
        text(name.0.as_str()),
        text(name.1.as_str()),
        integer(terms.max_attempts),
        integer(terms.backoff_base_ms),
        integer(terms.backoff_cap_ms),
        small(i32::from(terms.retry_blocks)),
        small(i32::from(terms.blocks)),
        integer(terms.pause_after),
        integer(terms.pause_ms),
        optional_text(worker),
        small(limit),
        small(lease_ms),
        integer(progress.map_or(0, |progress| progress.ended)),
        small(number),
    ];
    let mut row = match connection::only_row(CLAIM, parameters).await {
        Err(failure @ Failure::Unavailable(_)) => {
            disown(&name, number).await;
            return Err(failure);
        }
        row => row?,
    };
    let ids: Vec<u64> = row.unsigneds()?;
    let attempts: Vec<u32> = row.unsigneds()?;
    let (event_ids, kinds, subjects) = (row.texts()?, row.texts()?, row.optional_texts()?);
    let lengths: Vec<usize> = row.unsigneds()?;
    let envelopes = row.optional_bytes()?.unwrap_or_default();
    let suspect = row.flag()?;
    let mut followers = read_followers(&mut row)?;
    let next_due_in_ms = row.optional_unsigned()?;
    let progress = ids.last().map(|&last| match progress {
        // What came late, such as a retry, has a lower number.
        Some(before) => Progress {
            ended: last.max(before.ended),
            ..before
        },
        None => Progress {
            ended: last,
            revisit: Instant::now() + REVISIT.max(began.elapsed() * REVISIT_SHARE),
        },
    });
    PROGRESS.with_borrow_mut(|all| match progress {
        Some(progress) => all.insert(name, progress),
        None => all.remove(&name),
    });
    let mut envelopes = Envelopes(&envelopes);
    let events = event_ids.into_iter().zip(kinds).zip(subjects);
    let leases = ids.into_iter().zip(attempts);
    let deliveries = leases.zip(events).zip(lengths).zip(1..).map(
        |((((delivery, attempt), ((event_id, kind), subject)), length), place)| {
            Ok(Delivery {
                lease: Lease { delivery, attempt },
                event_id,
                kind,
                subject,
                envelope: envelopes.take(length)?,
                followers: followers.remove(&place).unwrap_or_default(),
            })
        },
    );
    Ok(Batch {
        deliveries: deliveries.collect::<Result<_, Failure>>()?,
        suspect,
        next_due_in_ms,
    })
}

/// Envelopes, one behind the other.
struct Envelopes<'a>(&'a [u8]);

impl Envelopes<'_> {
    fn take(&mut self, length: usize) -> Result<Vec<u8>, Failure> {
        let (envelope, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| Failure::Other("an envelope is cut short".into()))?;
        self.0 = rest;
        Ok(envelope.to_vec())
    }
}

/// Reads the columns of followers. Returns them by the place, from 1, of the
/// delivery that they follow.
fn read_followers(row: &mut Row) -> Result<HashMap<usize, Vec<Follower>>, Failure> {
    let places: Vec<usize> = row.unsigneds()?;
    let ids: Vec<u64> = row.unsigneds()?;
    let events = row.texts()?.into_iter().zip(row.texts()?);
    let lengths: Vec<usize> = row.unsigneds()?;
    let envelopes = row.optional_bytes()?.unwrap_or_default();
    let mut envelopes = Envelopes(&envelopes);
    let mut followers: HashMap<usize, Vec<Follower>> = HashMap::new();
    for (((place, delivery), (event_id, kind)), length) in
        places.into_iter().zip(ids).zip(events).zip(lengths)
    {
        followers.entry(place).or_default().push(Follower {
            delivery,
            event_id,
            kind,
            envelope: envelopes.take(length)?,
        });
    }
    Ok(followers)
}

/// Free what a claim may have leased of which no reply came, as soon as the
/// database is back: otherwise nobody would handle it before its lease ran out.
async fn disown((service, topic): &(String, String), number: i32) {
    let begun = Instant::now();
    while begun.elapsed() < ABSENCE {
        sleep(ABSENCE_STEP).await;
        let parameters = vec![text(service.as_str()), text(topic.as_str()), small(number)];
        match connection::execute(DISOWN, parameters).await {
            Err(Failure::Unavailable(_)) => {}
            Err(failure) => return eprintln!("disowning a claim: {failure}"),
            Ok(()) => return,
        }
    }
}

fn columns(leases: impl Iterator<Item = Lease> + Clone) -> Vec<ParameterValue> {
    vec![
        integers(leases.clone().map(|lease| lease.delivery)),
        smalls(leases.map(|lease| lease.attempt)),
    ]
}

/// Returns the places, from 1, of the leases that held.
async fn held(
    statement: &'static str,
    parameters: Vec<ParameterValue>,
) -> Result<Vec<(usize, ())>, Failure> {
    let held = connection::only_row(statement, parameters)
        .await?
        .unsigneds()?;
    Ok(held.into_iter().map(|place| (place, ())).collect())
}

async fn release(parameters: Vec<ParameterValue>) -> Result<Vec<(usize, Fate)>, Failure> {
    let mut row = connection::only_row(RELEASE, parameters).await?;
    let held: Vec<usize> = row.unsigneds()?;
    let due: Vec<i64> = row.unsigneds()?;
    let fates = due.into_iter().map(|due| match u64::try_from(due) {
        Ok(due) => Fate::RetriedAtMs(due),
        Err(_) => Fate::Dead,
    });
    Ok(held.into_iter().zip(fates).collect())
}

/// A lost lease concerns one item, a failing database all of them.
fn each<T: Clone>(
    count: usize,
    treated: Result<Vec<(usize, T)>, Failure>,
) -> Vec<Result<T, Error>> {
    match treated {
        Ok(held) => {
            let mut results: Vec<_> = (0..count).map(|_| Err(Error::LeaseLost)).collect();
            for (place, result) in held {
                if let Some(slot) = results.get_mut(place.wrapping_sub(1)) {
                    *slot = Ok(result);
                }
            }
            results
        }
        Err(failure) => (0..count).map(|_| Err(failure.clone().into())).collect(),
    }
}
