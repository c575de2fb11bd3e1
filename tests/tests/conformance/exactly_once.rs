//! The promise of the whole: under crashes, late commits and duplicates, the
//! events of each key take effect in order, and each exactly once.

use std::collections::{BTreeMap, BTreeSet};

use emporium_tests::{
    conformance,
    platform::{deliveries::Delivery, *},
};
use journal::{CommitError, Expectation, Put, Unit};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

const EVENTS: usize = 1000;
const KEYS: usize = 50;
const CONSUMERS: usize = 8;

/// A consumer, and what it has claimed and not finished.
struct Consumer {
    instance: Instance,
    held: Vec<Delivery>,
}

/// The unit that handles a delivery and the first ones of its followers: it appends
/// the events to the log of their key.
async fn handling(instance: &mut Instance, delivery: &Delivery, followers: usize) -> Unit {
    let key = delivery.subject.as_deref().expect("every event has a key");
    let log = instance.get("logs", key).await.expect("read");
    let (mut entries, expected) = match log {
        None => (String::new(), Expectation::Absent),
        Some(log) => {
            let entries = String::from_utf8(log.value).expect("text");
            (entries, Expectation::Version(log.version))
        }
    };
    let followers_of = delivery.followers.iter().take(followers);
    let followers_of = followers_of.map(|follower| &follower.event_id);
    for event in std::iter::once(&delivery.event_id).chain(followers_of) {
        entries.push_str(event);
        entries.push(' ');
    }
    let effect = Put {
        expected,
        ..put("logs", key, &entries)
    };
    Unit {
        settles: vec![with_followers(delivery, followers)],
        ..puts([effect])
    }
}

/// One step of one consumer: claim, handle, repeat itself, come late, or crash.
async fn step(platform: &Platform, consumer: &mut Consumer, random: &mut StdRng) {
    let mut subscription = subscription("service", "topic");
    subscription.policy.max_attempts = u32::MAX;
    match random.random_range(0..100) {
        0..2 => {
            consumer.instance = platform.instance().await;
            consumer.held.clear();
        }
        2..4 => platform.advance(LEASE_OVER),
        4..8 if !consumer.held.is_empty() => {
            let delivery = consumer.held.remove(0);
            consumer
                .instance
                .release(vec![back(delivery.lease, "not now")])
                .await;
        }
        _ if consumer.held.is_empty() => {
            let limit = random.random_range(1..=20);
            consumer.held = consumer
                .instance
                .claim(&subscription, limit)
                .await
                .deliveries;
        }
        _ => {
            let count = random.random_range(1..=consumer.held.len());
            let mut units = Vec::new();
            for delivery in consumer.held.drain(..count) {
                let followers = random.random_range(0..=delivery.followers.len());
                units.push(handling(&mut consumer.instance, &delivery, followers).await);
            }
            if random.random_bool(0.3) {
                let again = units.choose(random).expect("at least one").clone();
                units.push(again);
            }
            for outcome in consumer.instance.commit(units).await {
                let harmless = matches!(outcome, Ok(_) | Err(CommitError::LeaseLost));
                assert!(harmless, "a lease that holds protects its key: {outcome:?}");
            }
        }
    }
}

async fn run(platform: &Platform, seed: u64) {
    let random = &mut StdRng::seed_from_u64(seed);
    let mut consumers = Vec::new();
    for _ in 0..CONSUMERS {
        consumers.push(Consumer {
            instance: platform.instance().await,
            held: Vec::new(),
        });
    }
    let mut published: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut unpublished = EVENTS;
    let mut publisher = platform.instance().await;
    for _ in 0..100_000 {
        if unpublished > 0 {
            let count = random.random_range(1..=40).min(unpublished);
            let events = (0..count).map(|_| {
                let id = format!("e{unpublished}");
                unpublished -= 1;
                let key = format!("key-{}", random.random_range(0..KEYS));
                published.entry(key.clone()).or_default().push(id.clone());
                keyed("topic", &id, &key)
            });
            let unit = publishes(events.collect::<Vec<_>>());
            let times = if random.random_bool(0.2) { 2 } else { 1 };
            publisher.commit(vec![unit; times]).await;
        }
        for _ in 0..CONSUMERS {
            let consumer = random.random_range(0..CONSUMERS);
            step(platform, &mut consumers[consumer], random).await;
        }
        if unpublished == 0 && publisher.status().await.settled == EVENTS as u64 {
            break;
        }
    }
    for (key, expected) in published {
        let log = publisher.value("logs", &key).await;
        let log: Vec<_> = log.split_whitespace().collect();
        assert_eq!(log, expected, "seed {seed}: the log of {key:?}");
        assert_eq!(log.iter().collect::<BTreeSet<_>>().len(), log.len());
    }
}

conformance! {
    async fn effects_happen_once_and_in_order_under_crashes_seed_1(platform) {
        run(platform, 1).await;
    }

    async fn effects_happen_once_and_in_order_under_crashes_seed_2(platform) {
        run(platform, 2).await;
    }

    async fn effects_happen_once_and_in_order_under_crashes_seed_3(platform) {
        run(platform, 3).await;
    }
}
