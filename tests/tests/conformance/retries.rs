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
        for shortest in [750, 1500] {
            let (fate, [before, after]) = fail(platform, &mut instance).await;
            let Fate::RetriedAtMs(at) = fate else {
                panic!("the delivery died early");
            };
            // Up to a quarter either way of 1000 and 2000; a clock may round up.
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
