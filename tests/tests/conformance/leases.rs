//! Leases: what they protect, and what happens when they run out.

use std::time::Duration;

use deliveries::Error;
use emporium_tests::{conformance, platform::*};
use journal::{CommitError, Unit};

/// A platform with one event, claimed.
async fn leased(instance: &mut Instance) -> deliveries::Lease {
    instance.committed(publishes([event("topic", "e1")])).await;
    instance
        .claim_one(&subscription("service", "topic"))
        .await
        .lease
}

conformance! {
    async fn a_delivery_is_settled_with_the_effects_of_its_unit(platform) {
        let mut instance = platform.instance().await;
        let lease = leased(&mut instance).await;
        let unit = Unit { settles: settlement(lease), ..puts([put("things", "a", "1")]) };
        instance.committed(unit.clone()).await;
        assert_eq!(instance.commit_one(unit).await, Err(CommitError::LeaseLost));
        let document = instance.get("things", "a").await.expect("read").expect("there");
        assert_eq!(document.version, 1);
        platform.advance(LEASE_OVER);
        assert_eq!(instance.claim(&subscription("service", "topic"), 1).await.deliveries, []);
    }

    async fn a_lost_lease_weighs_more_than_a_conflict(platform) {
        let mut instance = platform.instance().await;
        let lease = leased(&mut instance).await;
        let absent = journal::Put {
            expected: journal::Expectation::Absent,
            ..put("things", "a", "1")
        };
        let unit = Unit { settles: settlement(lease), ..puts([absent]) };
        instance.committed(unit.clone()).await;
        assert_eq!(instance.commit_one(unit).await, Err(CommitError::LeaseLost));
    }

    async fn a_unit_that_fails_does_not_settle(platform) {
        let mut instance = platform.instance().await;
        let lease = leased(&mut instance).await;
        let conflicting = journal::Put {
            expected: journal::Expectation::Version(9),
            ..put("things", "a", "1")
        };
        let unit = Unit { settles: settlement(lease), ..puts([conflicting]) };
        let refused = instance.commit_one(unit).await;
        assert!(matches!(refused, Err(CommitError::Conflict(_))), "{refused:?}");
        instance.committed(settles(lease)).await;
    }

    async fn a_leased_delivery_is_not_handed_out(platform) {
        let mut instance = platform.instance().await;
        leased(&mut instance).await;
        platform.advance(Duration::from_secs(50));
        assert_eq!(instance.claim(&subscription("service", "topic"), 1).await.deliveries, []);
    }

    async fn a_lease_that_ran_out_is_handed_to_the_next(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        let first = leased(&mut instance).await;
        platform.advance(LEASE_OVER);
        let second = instance.claim_one(&subscription).await.lease;
        assert_eq!((second.delivery, second.attempt), (first.delivery, 2));
        assert_eq!(instance.commit_one(settles(first)).await, Err(CommitError::LeaseLost));
        assert_eq!(instance.extend(vec![first], LEASE_MS).await, [Err(Error::LeaseLost)]);
        assert_eq!(instance.release(vec![back(first, "x")]).await, [Err(Error::LeaseLost)]);
        assert_eq!(instance.bury(vec![burial(first, "x")]).await, [Err(Error::LeaseLost)]);
        instance.committed(settles(second)).await;
    }

    async fn a_late_consumer_settles_if_nobody_came_in_between(platform) {
        let mut instance = platform.instance().await;
        let lease = leased(&mut instance).await;
        platform.advance(LEASE_OVER);
        instance.committed(settles(lease)).await;
    }

    async fn an_extended_lease_holds_longer(platform) {
        let mut instance = platform.instance().await;
        let lease = leased(&mut instance).await;
        platform.advance(Duration::from_secs(50));
        assert_eq!(instance.extend(vec![lease], LEASE_MS).await, [Ok(())]);
        platform.advance(Duration::from_secs(50));
        assert_eq!(instance.claim(&subscription("service", "topic"), 1).await.deliveries, []);
        instance.committed(settles(lease)).await;
    }

    async fn extensions_stand_in_the_order_of_the_leases(platform) {
        let mut instance = platform.instance().await;
        let lease = leased(&mut instance).await;
        let gone = deliveries::Lease { delivery: 999, attempt: 1 };
        let extended = instance.extend(vec![gone, lease, gone], LEASE_MS).await;
        assert_eq!(extended, [Err(Error::LeaseLost), Ok(()), Err(Error::LeaseLost)]);
        for lease_ms in [999, 3_600_001] {
            let refused = instance.extend(vec![lease], lease_ms).await;
            assert!(matches!(refused[..], [Err(Error::InvalidRequest(_))]), "{refused:?}");
        }
    }

    async fn a_released_lease_is_void(platform) {
        let mut instance = platform.instance().await;
        let lease = leased(&mut instance).await;
        instance.release(vec![back(lease, "later")]).await;
        assert_eq!(instance.commit_one(settles(lease)).await, Err(CommitError::LeaseLost));
    }

    async fn a_suspect_is_handed_out_alone(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes(["a", "b"].map(|id| event("topic", id)))).await;
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["a", "b"]);
        platform.advance(LEASE_OVER);
        instance.committed(publishes(["c", "d"].map(|id| event("topic", id)))).await;
        for suspect in ["a", "b"] {
            let batch = instance.claim(&subscription, 10).await;
            assert_eq!(batch.deliveries.len(), 1);
            assert_eq!(batch.deliveries[0].event_id, suspect);
            assert!(batch.suspect);
            assert_eq!(batch.next_due_in_ms, Some(0));
        }
        let batch = instance.claim(&subscription, 10).await;
        assert_eq!((batch.deliveries.len(), batch.suspect), (2, false));
    }

    async fn a_poison_event_dies_after_its_attempts_and_spares_its_neighbours(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([event("topic", "poison"), event("topic", "good")])).await;
        let mut handled = Vec::new();
        let mut crashes = 0;
        for _ in 0..20 {
            let batch = instance.claim(&subscription, 10).await;
            if batch.deliveries.iter().any(|delivery| delivery.event_id == "poison") {
                // The guest is gone, and with it what it had claimed.
                crashes += 1;
                platform.advance(LEASE_OVER);
                continue;
            }
            for delivery in batch.deliveries {
                instance.committed(settles(delivery.lease)).await;
                handled.push(delivery.event_id);
            }
        }
        assert_eq!(handled, ["good"]);
        assert_eq!(crashes, 3);
        let letters = instance.list_dead(nothing_filtered(), 10, None).await.expect("letters");
        assert_eq!(letters.dead_letters.len(), 1);
        assert_eq!(letters.dead_letters[0].event_id, "poison");
        assert_eq!(letters.dead_letters[0].attempts, 3);
        assert!(letters.dead_letters[0].reason.contains("lease"));
    }

    async fn the_deaths_of_many_suspects_do_not_hide_the_living(platform) {
        let mut instance = platform.instance().await;
        let mut subscription = subscription("service", "topic");
        subscription.policy.max_attempts = 1;
        instance.committed(publishes((0..250).map(|number| event("topic", &number.to_string())))).await;
        assert_eq!(instance.claim(&subscription, 250).await.deliveries.len(), 250);
        platform.advance(LEASE_OVER);
        instance.committed(publishes([event("topic", "alive")])).await;
        for _ in 0..10 {
            let batch = instance.claim(&subscription, 10).await;
            if let [delivery] = &batch.deliveries[..] {
                assert_eq!(delivery.event_id, "alive");
                assert_eq!(instance.status().await.dead, 250);
                return;
            }
            assert_eq!(batch.next_due_in_ms, Some(0), "there is more to claim");
        }
        panic!("the living were not reached");
    }
}
