//! Deliveries, handed out and taken back.

use crate::{
    Component,
    bindings::deliveries::{Batch, Burial, Error, Fate, Guest, Lease, Return, Subscription},
    claim,
    clock::now_ms,
    connection::{Connection, Durability},
    failure::{Failure, report_failures_as},
    names::{InvalidName, check_label, check_topic},
    verdicts, wakes,
};

const MOST: u32 = 1000;
const SHORTEST_LEASE_MS: u32 = 1000;
const LONGEST_LEASE_MS: u32 = 3_600_000;

impl Guest for Component {
    async fn claim(subscription: Subscription, limit: u32, lease_ms: u32) -> Result<Batch, Error> {
        check_label("service", &subscription.service)?;
        check_topic(&subscription.topic)?;
        if subscription.policy.max_attempts == 0 {
            return Err(Error::InvalidRequest(
                "a delivery needs at least one attempt".into(),
            ));
        }
        if !(1..=MOST).contains(&limit) {
            return Err(Error::InvalidRequest(format!(
                "limit {limit} must be 1 to {MOST}"
            )));
        }
        check_lease_ms(lease_ms)?;
        Ok(claim::claim(&subscription, limit as usize, lease_ms)?)
    }

    async fn extend(leases: Vec<Lease>, lease_ms: u32) -> Vec<Result<(), Error>> {
        if let Err(error) = check_lease_ms(lease_ms) {
            return leases.iter().map(|_| Err(error.clone())).collect();
        }
        let until = now_ms() + u64::from(lease_ms);
        each(&leases, Durability::Relaxed, |connection, lease| {
            verdicts::extend(connection, *lease, until)
        })
    }

    async fn release(returns: Vec<Return>) -> Vec<Result<Fate, Error>> {
        let now = now_ms();
        each(&returns, Durability::Full, |connection, back| {
            verdicts::release(connection, back, now)
        })
    }

    async fn bury(burials: Vec<Burial>) -> Vec<Result<(), Error>> {
        let now = now_ms();
        each(&burials, Durability::Full, |connection, burial| {
            verdicts::bury(connection, burial, now)
        })
    }

    async fn wake(topic: String) -> Result<(), Error> {
        check_topic(&topic)?;
        Ok(wakes::publish([topic.as_str()]).await?)
    }
}

/// Treat all items in one transaction. A lost lease concerns one item, a failing
/// database all of them.
fn each<I, T>(
    items: &[I],
    durability: Durability,
    treat: impl Fn(&Connection, &I) -> Result<Option<T>, Failure>,
) -> Vec<Result<T, Error>> {
    let treated = Connection::current().and_then(|connection| {
        connection.transaction(durability, || {
            items
                .iter()
                .map(|item| treat(&connection, item))
                .collect::<Result<Vec<_>, _>>()
        })
    });
    match treated {
        Ok(treated) => treated
            .into_iter()
            .map(|one| one.ok_or(Error::LeaseLost))
            .collect(),
        Err(failure) => items.iter().map(|_| Err(failure.clone().into())).collect(),
    }
}

fn check_lease_ms(lease_ms: u32) -> Result<(), Error> {
    if (SHORTEST_LEASE_MS..=LONGEST_LEASE_MS).contains(&lease_ms) {
        return Ok(());
    }
    Err(Error::InvalidRequest(format!(
        "a lease of {lease_ms} ms must be {SHORTEST_LEASE_MS} to {LONGEST_LEASE_MS}"
    )))
}

report_failures_as!(Error);

impl From<InvalidName> for Error {
    fn from(invalid: InvalidName) -> Self {
        Self::InvalidRequest(invalid.to_string())
    }
}
