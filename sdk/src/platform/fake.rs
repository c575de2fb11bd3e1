//! A platform in memory for unit tests, with a clock that moves when nothing else
//! does. Each test has its own.

mod executor;
mod key_value;
mod store;

use std::{cell::RefCell, time::Duration};

pub(crate) use self::{
    executor::{advance_until_done, sleep, spawn},
    key_value::Store,
    store::Fake,
};
use crate::{
    deliveries::{Batch, Burial, Error, Fate, Lease, Return, Subscription},
    documents::{self, Document, Page, Query},
    journal::{CommitError, Receipt, Unit},
};

thread_local! {
    static FAKE: RefCell<Fake> = RefCell::default();
    static NOW: RefCell<Duration> = const { RefCell::new(Duration::from_secs(1000)) };
}

/// Look at or change the platform.
pub(crate) fn with<R>(look: impl FnOnce(&mut Fake) -> R) -> R {
    FAKE.with_borrow_mut(look)
}

/// There are no variables.
pub(crate) async fn variable(_: &str) -> Option<String> {
    None
}

pub(crate) fn now() -> Duration {
    NOW.with_borrow(|now| *now)
}

fn set_now(to: Duration) {
    NOW.with_borrow_mut(|now| *now = to);
}

pub(crate) fn now_ms() -> u64 {
    now().as_millis() as u64
}

pub(crate) fn random() -> u64 {
    with(|fake| {
        fake.random = fake
            .random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1);
        fake.random >> 33
    })
}

/// Go there and back; what is done is done in the middle.
async fn round_trip<R>(
    latency: impl FnOnce(&Fake) -> Duration,
    act: impl FnOnce(&mut Fake) -> R,
) -> R {
    let latency = with(|fake| latency(fake));
    sleep(latency / 2).await;
    let done = with(act);
    sleep(latency / 2).await;
    done
}

pub(crate) async fn claim(
    _: Subscription,
    _: Option<String>,
    limit: u32,
    lease_ms: u32,
) -> Result<Batch, Error> {
    let lease = Duration::from_millis(lease_ms.into());
    round_trip(
        |fake| fake.latency,
        |fake| Ok(fake.claim(limit as usize, lease)),
    )
    .await
}

pub(crate) async fn extend(leases: Vec<Lease>, lease_ms: u32) -> Vec<Result<(), Error>> {
    let lease = Duration::from_millis(lease_ms.into());
    round_trip(
        |fake| fake.renewal_latency.unwrap_or(fake.latency),
        |fake| {
            leases
                .iter()
                .map(|held| fake.extend(*held, lease))
                .collect()
        },
    )
    .await
}

pub(crate) async fn release(returns: Vec<Return>) -> Vec<Result<Fate, Error>> {
    round_trip(
        |fake| fake.latency,
        |fake| returns.into_iter().map(|back| fake.release(back)).collect(),
    )
    .await
}

pub(crate) async fn bury(burials: Vec<Burial>) -> Vec<Result<(), Error>> {
    round_trip(
        |fake| fake.latency,
        |fake| {
            burials
                .into_iter()
                .map(|burial| fake.bury(burial))
                .collect()
        },
    )
    .await
}

pub(crate) async fn wake(_: String) -> Result<(), Error> {
    with(|fake| fake.wakes += 1);
    Ok(())
}

/// Its future is `Send`, as that of the platform is.
pub(crate) fn commit(
    units: Vec<Unit>,
) -> impl Future<Output = Vec<Result<Receipt, CommitError>>> + Send {
    let latency = with(|fake| {
        fake.commits.push(units.len());
        fake.commit_latency
    });
    async move {
        sleep(latency / 2).await;
        let results = with(|fake| units.into_iter().map(|unit| fake.commit(unit)).collect());
        sleep(latency / 2).await;
        results
    }
}

pub(crate) async fn get(
    collection: String,
    key: String,
) -> Result<Option<Document>, documents::Error> {
    with(|fake| fake.reads.push(1));
    let found = get_each(collection, vec![key]).await;
    Ok(found.into_iter().next().flatten())
}

pub(crate) async fn get_many(
    collection: String,
    keys: Vec<String>,
) -> Result<Vec<Option<Document>>, documents::Error> {
    with(|fake| fake.reads.push(keys.len()));
    if keys.iter().any(String::is_empty) {
        return Err(documents::Error::InvalidQuery("an empty key".into()));
    }
    Ok(get_each(collection, keys).await)
}

async fn get_each(collection: String, keys: Vec<String>) -> Vec<Option<Document>> {
    let latency = with(|fake| fake.latency);
    sleep(latency / 2).await;
    let found = keys
        .iter()
        .map(|key| with(|fake| fake.document(&collection, key)))
        .collect();
    sleep(latency / 2).await;
    found
}

pub(crate) async fn list(query: Query) -> Result<Page, documents::Error> {
    round_trip(
        |fake| fake.latency,
        |fake| {
            Ok(Page {
                documents: fake.documents_of(&query.collection),
                next: None,
            })
        },
    )
    .await
}
