//! Deliveries, handed out and taken back.

use emporium_adapter::{
    Failure,
    bindings::deliveries::{Batch, Burial, Error, Fate, Guest, Lease, Return, Subscription},
    deliveries::{check_claim, check_lease_ms, check_wake},
    wakes,
};

use crate::{
    Component, claim,
    clock::now_ms,
    connection::{Connection, Durability},
    verdicts,
};

impl Guest for Component {
    async fn claim(
        subscription: Subscription,
        worker: Option<String>,
        limit: u32,
        lease_ms: u32,
    ) -> Result<Batch, Error> {
        check_claim(&subscription, worker.as_deref(), limit, lease_ms)?;
        let worker = worker.as_deref();
        let limit = limit as usize;
        Ok(claim::claim(&subscription, worker, limit, lease_ms)?)
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
        check_wake(&topic)?;
        Ok(wakes::publish(&topic, None).await?)
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
