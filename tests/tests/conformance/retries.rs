//! Retries: back-off, verdicts, and the last attempt.

use std::time::Duration;

use deliveries::{Fate, Return};
use emporium_tests::{conformance, platform::*};

/// Releases the delivery that is due. Returns what becomes of it, and the times
/// just before that and just after.
async fn fail(platform: &Platform, instance: &mut Instance) -> (Fate, [u64; 2]) {
    let lease = instance
        .claim_one(&subscription("service", "topic"))
        .await
        .lease;
    let before = platform.now_ms();
    let fates = instance
        .release(vec![back(lease, &format!("failure {}", lease.attempt))])
        .await;
    let after = platform.now_ms();
    let fate = fates[0].clone().expect("the lease holds");
    if let Fate::RetriedAtMs(at) = fate {
        platform.advance(Duration::from_millis(
            at.saturating_sub(platform.now_ms()) + 1,
        ));
    }
    (fate, [before, after])
}

conformance! {
    async fn a_released_delivery_waits_longer_each_time_and_dies_at_last(platform) {
        let mut instance = platform.instance().await;
        instance.committed(publishes([event("topic", "e1")])).await;
        for shortest in [750, 3000] {
            let (fate, [before, after]) = fail(platform, &mut instance).await;
            let Fate::RetriedAtMs(at) = fate else {
                panic!("the delivery died early");
            };
            // Up to a quarter either way of 1000 and 4000; a clock may round up.
            let times = before + shortest..=after + shortest * 5 / 3 + 1;
            assert!(times.contains(&at), "{at} {times:?}");
        }
        assert_eq!(fail(platform, &mut instance).await.0, Fate::Dead);
        let letters = instance.list_dead(nothing_filtered(), 10, None).await.expect("letters");
        assert_eq!(letters.dead_letters[0].attempts, 3);
        assert_eq!(letters.dead_letters[0].reason, "failure 3");
    }

    async fn waits_are_spread(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes((0..20).map(|number| event("topic", &number.to_string())))).await;
        let batch = instance.claim(&subscription, 20).await;
        let returns = batch.deliveries.iter().map(|delivery| back(delivery.lease, "x")).collect();
        let before = platform.now_ms();
        let mut fates: Vec<_> = instance.release(returns).await.into_iter().map(|fate| match fate {
            Ok(Fate::RetriedAtMs(at)) => at,
            other => panic!("{other:?}"),
        }).collect();
        // Each waits from when it had its turn.
        let took = platform.now_ms() - before;
        fates.sort_unstable();
        let spread = fates[19] - fates[0];
        assert!(spread > 50 && spread <= 500 + took + 1, "{fates:?} {took}");
    }

    async fn a_return_may_name_its_own_wait(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([event("topic", "e1")])).await;
        let lease = instance.claim_one(&subscription).await.lease;
        let before = platform.now_ms();
        let back = Return { retry_after_ms: Some(3_600_000), ..back(lease, "x") };
        let fate = instance.release(vec![back]).await.remove(0);
        let Ok(Fate::RetriedAtMs(at)) = fate else { panic!("{fate:?}") };
        assert!((3_600_000..3_610_000).contains(&(at - before)));
        let back = Return { retry_after_ms: Some(0), ..back_of_next(platform, &mut instance).await };
        instance.release(vec![back]).await;
        assert_eq!(instance.claimed_events(&subscription, 1).await, ["e1"]);
    }

    async fn released_deliveries_share_a_batch_again(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes(["a", "b", "c"].map(|id| event("topic", id)))).await;
        let batch = instance.claim(&subscription, 10).await;
        let returns = batch.deliveries.iter().map(|delivery| back(delivery.lease, "x")).collect();
        instance.release(returns).await;
        platform.advance(BACKOFF_OVER);
        let batch = instance.claim(&subscription, 10).await;
        assert_eq!(batch.deliveries.len(), 3);
        assert!(batch.deliveries.iter().all(|delivery| delivery.lease.attempt == 2));
    }

    async fn verdicts_stand_in_the_order_given(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes(["a", "b"].map(|id| event("topic", id)))).await;
        let leases = instance.claim(&subscription, 10).await.deliveries;
        let gone = deliveries::Lease { delivery: 999, attempt: 1 };
        let fates = instance.release(vec![back(gone, "x"), back(leases[0].lease, "x")]).await;
        assert_eq!(fates[0], Err(deliveries::Error::LeaseLost));
        assert!(fates[1].is_ok());
        let buried = instance.bury(vec![burial(leases[1].lease, "x"), burial(gone, "x")]).await;
        assert_eq!(buried, [Ok(()), Err(deliveries::Error::LeaseLost)]);
    }

    async fn a_buried_delivery_is_dead_at_once(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([event("topic", "e1")])).await;
        let lease = instance.claim_one(&subscription).await.lease;
        assert_eq!(instance.bury(vec![burial(lease, "nonsense")]).await, [Ok(())]);
        platform.advance(BACKOFF_OVER);
        assert_eq!(instance.claim(&subscription, 1).await.deliveries, []);
        let letter = instance.get_dead(lease.delivery).await.expect("read").expect("a letter");
        assert_eq!((letter.attempts, letter.reason.as_str()), (1, "nonsense"));
    }

    async fn those_behind_a_retry_go_on_if_the_policy_says_so(platform) {
        let mut instance = platform.instance().await;
        let proceeding = proceeding_subscription("service", "topic");
        instance.committed(publishes(["1", "2", "3"].map(|id| keyed("topic", id, "key")))).await;
        let first = instance.claim(&proceeding, 1).await.deliveries[0].lease;
        assert!(matches!(instance.release(vec![back(first, "x")]).await[..], [Ok(Fate::RetriedAtMs(_))]));
        assert_eq!(instance.status().await.delayed, 1);
        let second = instance.claim_one(&proceeding).await;
        assert_eq!(second.event_id, "2");
        platform.advance(Duration::from_secs(10));
        // One at a time: its key is held.
        assert_eq!(instance.claim_next(&proceeding, 10).await.deliveries, []);
        instance.committed(settles(second.lease)).await;
        for (id, attempt) in [("1", 2), ("3", 1)] {
            let next = instance.claim_next(&proceeding, 10).await.deliveries.remove(0);
            assert_eq!((next.event_id.as_str(), next.lease.attempt), (id, attempt));
            instance.committed(settles(next.lease)).await;
        }
        assert_eq!(instance.claim_next(&proceeding, 10).await.next_due_in_ms, None);
    }

    async fn a_retry_that_falls_due_takes_its_key_back(platform) {
        let mut instance = platform.instance().await;
        let proceeding = proceeding_subscription("service", "topic");
        instance.committed(publishes([keyed("topic", "1", "key")])).await;
        let lease = instance.claim_one(&proceeding).await.lease;
        instance.release(vec![back(lease, "x")]).await;
        let wait = instance.claim(&proceeding, 1).await.next_due_in_ms.expect("a retry");
        assert!((500..=1250).contains(&wait), "{wait}");
        platform.advance(Duration::from_secs(10));
        assert_eq!(instance.wake_due().await, Ok(vec!["topic".into()]));
        let again = instance.claim_next(&proceeding, 10).await.deliveries.remove(0);
        assert_eq!((again.event_id.as_str(), again.lease.attempt), ("1", 2));
        instance.committed(publishes([keyed("topic", "2", "key")])).await;
        assert_eq!(instance.claim_next(&proceeding, 10).await.deliveries, []);
        instance.committed(settles(again.lease)).await;
        assert_eq!(instance.claimed_events(&proceeding, 10).await, ["2"]);
    }

    async fn several_retries_of_a_key_come_one_at_a_time(platform) {
        let mut instance = platform.instance().await;
        let proceeding = proceeding_subscription("service", "topic");
        instance.committed(publishes(["1", "2", "3"].map(|id| keyed("topic", id, "key")))).await;
        for _ in 0..3 {
            let lease = instance.claim(&proceeding, 1).await.deliveries[0].lease;
            instance.release(vec![back(lease, "x")]).await;
        }
        platform.advance(Duration::from_secs(10));
        for id in ["1", "2", "3"] {
            let batch = instance.claim_next(&proceeding, 10).await.deliveries;
            assert_eq!(batch.len(), 1, "{batch:?}");
            assert_eq!(batch[0].event_id, id);
            instance.committed(settles(batch[0].lease)).await;
        }
    }

    async fn a_retry_without_a_key_waits_for_nobody(platform) {
        let mut instance = platform.instance().await;
        let proceeding = proceeding_subscription("service", "topic");
        instance.committed(publishes(["1", "2"].map(|id| event("topic", id)))).await;
        let batch = instance.claim(&proceeding, 10).await.deliveries;
        instance.release(vec![back(batch[0].lease, "x")]).await;
        platform.advance(Duration::from_secs(10));
        let again = instance.claim_next(&proceeding, 10).await.deliveries;
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].event_id, "1");
    }

    async fn an_endless_wait_is_stored(platform) {
        let mut instance = platform.instance().await;
        instance.committed(publishes([event("topic", "e1")])).await;
        let lease = instance.claim_one(&subscription("service", "topic")).await.lease;
        let back = Return { retry_after_ms: Some(u64::MAX), ..back(lease, &"why".repeat(100_000)) };
        let fate = instance.release(vec![back]).await.remove(0);
        assert!(matches!(fate, Ok(Fate::RetriedAtMs(_))), "{fate:?}");
        assert_eq!(instance.status().await.delayed, 1);
    }
}

/// Waits until the delivery is due again, and claims it.
async fn back_of_next(platform: &Platform, instance: &mut Instance) -> Return {
    platform.advance(Duration::from_secs(3601));
    back(
        instance
            .claim_one(&subscription("service", "topic"))
            .await
            .lease,
        "x",
    )
}
