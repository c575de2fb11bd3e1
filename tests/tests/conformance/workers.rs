//! Workers: who shares the work, and what becomes of what they held.

use std::time::Duration;

use emporium_tests::{conformance, platform::*};
use journal::CommitError;
use workers::{Counter, Error, Worker};

/// Longer than a worker of `announce` is there.
const GONE: Duration = Duration::from_secs(11);

async fn names(instance: &mut Instance) -> Vec<String> {
    let sightings = instance.list_workers().await.expect("workers");
    sightings
        .into_iter()
        .map(|sighting| sighting.worker.id)
        .collect()
}

conformance! {
    async fn a_worker_is_listed_as_it_announced_itself(platform) {
        let mut instance = platform.instance().await;
        assert_eq!(instance.list_workers().await, Ok(vec![]));
        let announced = Worker {
            address: Some("127.0.0.1:3000".into()),
            since_ms: 42,
            in_flight: 7,
            counters: vec![
                Counter { name: "requests".into(), value: u64::MAX >> 1 },
                Counter { name: "a \"b\" ü".into(), value: 0 },
            ],
            ..worker("host-1.A_z")
        };
        let now = platform.now_ms();
        instance.announce(announced.clone()).await;
        let listed = platform.elsewhere().await.instance.list_workers().await.expect("workers");
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].worker, announced);
        assert!((now..now + 10_000).contains(&listed[0].seen_at_ms), "{listed:?}");
    }

    async fn the_latest_announcement_counts(platform) {
        let mut instance = platform.instance().await;
        for in_flight in [0, 3] {
            let announced = Worker { in_flight, ..worker("w") };
            instance.announce_for(announced, 60_000).await.expect("announced");
            platform.advance(Duration::from_secs(40));
        }
        let listed = instance.list_workers().await.expect("workers");
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].worker.in_flight, 3);
    }

    async fn the_first_to_start_comes_first(platform) {
        let mut instance = platform.instance().await;
        for (id, since_ms) in [("c", 2), ("b", 3), ("a", 1)] {
            instance.announce(Worker { since_ms, ..worker(id) }).await;
        }
        assert_eq!(names(&mut instance).await, ["a", "c", "b"]);
    }

    async fn a_worker_that_falls_silent_is_gone(platform) {
        let mut instance = platform.instance().await;
        instance.announce(worker("silent")).await;
        instance.announce_for(worker("patient"), 60_000).await.expect("announced");
        platform.advance(GONE);
        assert_eq!(names(&mut instance).await, ["patient"]);
    }

    async fn a_worker_that_leaves_is_gone(platform) {
        let mut instance = platform.instance().await;
        instance.announce(worker("w")).await;
        for _ in 0..2 {
            assert_eq!(instance.leave_as("w".into()).await, Ok(()));
            assert_eq!(instance.list_workers().await, Ok(vec![]));
        }
        instance.announce(worker("w")).await;
        assert_eq!(names(&mut instance).await, ["w"]);
    }

    async fn the_leases_of_a_silent_worker_end(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.announce(worker("silent")).await;
        instance.committed(publishes([event("topic", "a")])).await;
        let held = instance.claim_as("silent", &subscription, 1).await;
        assert_eq!(held.len(), 1);
        assert_eq!(instance.wake_due().await, Ok(vec![]));
        platform.advance(GONE);
        assert_eq!(instance.wake_due().await, Ok(vec!["topic".into()]));
        let again = instance.claim_one(&subscription).await;
        assert_eq!((again.event_id.as_str(), again.lease.attempt), ("a", 2));
        assert_eq!(instance.commit_one(settles(held[0].lease)).await, Err(CommitError::LeaseLost));
    }

    async fn the_leases_of_a_worker_that_left_end(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.announce(worker("w")).await;
        instance.committed(publishes([event("topic", "a")])).await;
        instance.claim_as("w", &subscription, 1).await;
        assert_eq!(instance.leave_as("w".into()).await, Ok(()));
        assert_eq!(instance.wake_due().await, Ok(vec!["topic".into()]));
        assert_eq!(instance.claimed_events(&subscription, 1).await, ["a"]);
    }

    async fn what_a_gone_worker_held_is_suspected(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.announce(worker("w")).await;
        instance.committed(publishes(["a", "b"].map(|id| event("topic", id)))).await;
        assert_eq!(instance.claim_as("w", &subscription, 2).await.len(), 2);
        platform.advance(GONE);
        instance.wake_due().await.expect("woken");
        let batch = instance.claim(&subscription, 10).await;
        assert_eq!(batch.deliveries.len(), 1);
        assert_eq!(batch.next_due_in_ms, Some(0));
        assert_eq!(instance.status().await.retried, 1);
    }

    async fn a_late_worker_settles_if_nobody_came_in_between(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.announce(worker("late")).await;
        instance.committed(publishes([event("topic", "a")])).await;
        let held = instance.claim_as("late", &subscription, 1).await;
        platform.advance(GONE);
        instance.wake_due().await.expect("woken");
        instance.committed(settles(held[0].lease)).await;
    }

    async fn others_keep_what_they_hold(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.announce(worker("silent")).await;
        instance.announce_for(worker("alive"), 60_000).await.expect("announced");
        instance.committed(publishes(["a", "b", "c", "d"].map(|id| event("topic", id)))).await;
        instance.claim_as("alive", &subscription, 1).await;
        instance.claim_as("unheard-of", &subscription, 1).await;
        instance.claim(&subscription, 1).await;
        instance.claim_as("silent", &subscription, 1).await;
        platform.advance(GONE);
        instance.wake_due().await.expect("woken");
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["d"]);
        assert_eq!(instance.claim(&subscription, 10).await.deliveries, []);
    }

    async fn a_delivery_that_was_handed_on_belongs_to_the_next(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.announce(worker("silent")).await;
        instance.committed(publishes([event("topic", "a")])).await;
        let held = instance.claim_as("silent", &subscription, 1).await;
        let back = deliveries::Return { retry_after_ms: Some(0), ..back(held[0].lease, "x") };
        instance.release(vec![back]).await;
        assert_eq!(instance.claimed_events(&subscription, 1).await, ["a"]);
        platform.advance(GONE);
        assert_eq!(instance.wake_due().await, Ok(vec![]));
        assert_eq!(instance.claim(&subscription, 1).await.deliveries, []);
    }

    async fn a_worker_must_be_well_formed(platform) {
        let mut instance = platform.instance().await;
        for for_ms in [0, 999, 3_600_001] {
            let refused = instance.announce_for(worker("w"), for_ms).await;
            assert!(matches!(refused, Err(Error::InvalidWorker(_))), "{refused:?}");
        }
        for id in ["", "a b", "ä", &"x".repeat(129)] {
            let refused = instance.announce_for(worker(id), 10_000).await;
            assert!(matches!(refused, Err(Error::InvalidWorker(_))), "{refused:?}");
            let refused = instance.leave_as(id.into()).await;
            assert!(matches!(refused, Err(Error::InvalidWorker(_))), "{refused:?}");
            let claimed = instance.claim_for(subscription("service", "topic"), Some(id.into()), 1, LEASE_MS).await;
            assert!(matches!(claimed, Err(deliveries::Error::InvalidRequest(_))), "{claimed:?}");
        }
        for address in ["\0".to_owned(), "x".repeat(2000)] {
            let refused = instance.announce_for(Worker { address: Some(address), ..worker("w") }, 10_000).await;
            assert!(matches!(refused, Err(Error::InvalidWorker(_))), "{refused:?}");
        }
        assert_eq!(instance.list_workers().await, Ok(vec![]));
    }
}
