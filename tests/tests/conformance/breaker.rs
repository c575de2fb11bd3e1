//! The circuit breaker: subscriptions that pause because too many of their
//! deliveries used up their attempts.

use std::time::Duration;

use deliveries::{Fate, Subscription};
use emporium_tests::{conformance, platform::*};

/// Longer than the pause of `pausing_subscription`, and than the window in which
/// deaths are counted.
const MINUTE_OVER: Duration = Duration::from_secs(61);

async fn publish(instance: &mut Instance, count: u32) {
    let ids = (0..count).map(|number| event("topic", &number.to_string()));
    instance.committed(publishes(ids)).await;
}

/// Claim one delivery, and let its last attempt fail.
async fn fail(instance: &mut Instance, subscription: &Subscription) {
    let batch = instance.claim(subscription, 1).await.deliveries;
    assert_eq!(batch.len(), 1, "there is something to fail");
    let fates = instance.release(vec![back(batch[0].lease, "no")]).await;
    assert_eq!(fates, [Ok(Fate::Dead)]);
}

/// Claim one delivery and settle it.
async fn succeed(instance: &mut Instance, subscription: &Subscription) {
    let batch = instance.claim(subscription, 1).await.deliveries;
    assert_eq!(batch.len(), 1, "there is something to settle");
    instance.committed(settles(batch[0].lease)).await;
}

async fn is_paused(instance: &mut Instance) -> bool {
    instance.status().await.paused.is_some()
}

conformance! {
    async fn a_subscription_pauses_when_too_many_deliveries_used_up_their_attempts(platform) {
        let mut instance = platform.instance().await;
        let pausing = pausing_subscription("service", "topic", 3);
        publish(&mut instance, 5).await;
        for _ in 0..2 {
            fail(&mut instance, &pausing).await;
            assert!(!is_paused(&mut instance).await);
        }
        fail(&mut instance, &pausing).await;
        let paused = instance.status().await.paused.expect("a pause");
        assert_eq!(paused.until_ms, Some(paused.since_ms + 60_000));
        assert!(paused.reason.contains('3'), "{paused:?}");
        assert_eq!(instance.claim(&pausing, 1).await.deliveries, []);
        platform.advance(MINUTE_OVER);
        assert_eq!(instance.claim(&pausing, 10).await.deliveries.len(), 2);
    }

    async fn deaths_in_one_call_count_each(platform) {
        let mut instance = platform.instance().await;
        let pausing = pausing_subscription("service", "topic", 3);
        publish(&mut instance, 4).await;
        let batch = instance.claim(&pausing, 3).await.deliveries;
        let returns = batch.iter().map(|delivery| back(delivery.lease, "no"));
        instance.release(returns.collect()).await;
        assert!(is_paused(&mut instance).await);
    }

    async fn attempts_that_fail_are_no_deaths(platform) {
        let mut instance = platform.instance().await;
        let mut pausing = pausing_subscription("service", "topic", 1);
        pausing.policy.max_attempts = 2;
        publish(&mut instance, 1).await;
        let lease = instance.claim_one(&pausing).await.lease;
        assert!(matches!(instance.release(vec![back(lease, "x")]).await[..], [Ok(Fate::RetriedAtMs(_))]));
        assert!(!is_paused(&mut instance).await);
        platform.advance(BACKOFF_OVER);
        fail(&mut instance, &pausing).await;
        assert!(is_paused(&mut instance).await);
    }

    // At d15352b twenty burials beside eighty settlements paused the subscription.
    async fn burials_pause_nothing(platform) {
        let mut instance = platform.instance().await;
        let pausing = pausing_subscription("service", "topic", 20);
        publish(&mut instance, 101).await;
        let batch = instance.claim(&pausing, 100).await.deliveries;
        let (rejected, handled) = batch.split_at(20);
        let units = handled.iter().map(|delivery| settles(delivery.lease)).collect();
        instance.commit(units).await;
        let burials = rejected.iter().map(|delivery| burial(delivery.lease, "unknown kind"));
        instance.bury(burials.collect()).await;
        let status = instance.status().await;
        assert_eq!((status.dead, status.settled, status.paused), (20, 80, None));
        assert_eq!(instance.claim(&pausing, 1).await.deliveries.len(), 1);
    }

    async fn a_subscription_that_settles_more_than_it_loses_goes_on(platform) {
        let mut instance = platform.instance().await;
        let pausing = pausing_subscription("service", "topic", 2);
        publish(&mut instance, 20).await;
        for _ in 0..3 {
            fail(&mut instance, &pausing).await;
            for _ in 0..3 {
                succeed(&mut instance, &pausing).await;
            }
            assert!(!is_paused(&mut instance).await);
        }
    }

    async fn what_was_settled_just_before_counts(platform) {
        let mut instance = platform.instance().await;
        let pausing = pausing_subscription("service", "topic", 20);
        publish(&mut instance, 101).await;
        let batch = instance.claim(&pausing, 100).await.deliveries;
        let (failed, handled) = batch.split_at(20);
        let units = handled.iter().map(|delivery| settles(delivery.lease)).collect();
        instance.commit(units).await;
        let returns = failed.iter().map(|delivery| back(delivery.lease, "no"));
        instance.release(returns.collect()).await;
        let status = instance.status().await;
        assert_eq!((status.dead, status.settled, status.paused), (20, 80, None));
    }

    async fn deaths_are_counted_up_to_now(platform) {
        let mut instance = platform.instance().await;
        let pausing = pausing_subscription("service", "topic", 20);
        publish(&mut instance, 40).await;
        fail(&mut instance, &pausing).await;
        platform.advance(Duration::from_secs(59));
        for _ in 0..10 {
            fail(&mut instance, &pausing).await;
        }
        platform.advance(Duration::from_secs(2));
        for _ in 0..9 {
            fail(&mut instance, &pausing).await;
        }
        assert!(!is_paused(&mut instance).await, "19 in two seconds");
        fail(&mut instance, &pausing).await;
        assert!(is_paused(&mut instance).await);
    }

    async fn deaths_far_apart_pause_nothing(platform) {
        let mut instance = platform.instance().await;
        let pausing = pausing_subscription("service", "topic", 2);
        publish(&mut instance, 5).await;
        for _ in 0..3 {
            fail(&mut instance, &pausing).await;
            assert!(!is_paused(&mut instance).await);
            platform.advance(MINUTE_OVER);
        }
        fail(&mut instance, &pausing).await;
        fail(&mut instance, &pausing).await;
        assert!(is_paused(&mut instance).await);
    }

    async fn what_was_settled_long_before_does_not_count(platform) {
        let mut instance = platform.instance().await;
        let pausing = pausing_subscription("service", "topic", 2);
        publish(&mut instance, 9).await;
        for _ in 0..5 {
            succeed(&mut instance, &pausing).await;
        }
        platform.advance(MINUTE_OVER);
        fail(&mut instance, &pausing).await;
        fail(&mut instance, &pausing).await;
        assert!(is_paused(&mut instance).await);
    }

    async fn the_next_death_after_a_pause_begins_another(platform) {
        let mut instance = platform.instance().await;
        let pausing = pausing_subscription("service", "topic", 2);
        publish(&mut instance, 9).await;
        fail(&mut instance, &pausing).await;
        fail(&mut instance, &pausing).await;
        platform.advance(MINUTE_OVER);
        fail(&mut instance, &pausing).await;
        assert!(is_paused(&mut instance).await);
        platform.advance(MINUTE_OVER);
        succeed(&mut instance, &pausing).await;
        fail(&mut instance, &pausing).await;
        assert!(!is_paused(&mut instance).await);
        fail(&mut instance, &pausing).await;
        assert!(is_paused(&mut instance).await);
    }

    async fn a_subscription_that_was_resumed_begins_anew(platform) {
        let mut instance = platform.instance().await;
        let pausing = pausing_subscription("service", "topic", 2);
        publish(&mut instance, 9).await;
        fail(&mut instance, &pausing).await;
        fail(&mut instance, &pausing).await;
        assert!(instance.resume(&pausing).await);
        fail(&mut instance, &pausing).await;
        assert!(!is_paused(&mut instance).await);
        fail(&mut instance, &pausing).await;
        assert!(is_paused(&mut instance).await);
    }

    async fn deaths_do_not_shorten_a_pause_by_hand(platform) {
        let mut instance = platform.instance().await;
        let pausing = pausing_subscription("service", "topic", 1);
        publish(&mut instance, 1).await;
        let lease = instance.claim_one(&pausing).await.lease;
        instance.pause(&pausing, None).await;
        assert_eq!(instance.release(vec![back(lease, "no")]).await, [Ok(Fate::Dead)]);
        assert_eq!(instance.status().await.paused.expect("a pause").until_ms, None);
    }

    async fn crashes_pause_a_subscription(platform) {
        let mut instance = platform.instance().await;
        let pausing = pausing_subscription("service", "topic", 2);
        publish(&mut instance, 4).await;
        assert_eq!(instance.claim(&pausing, 4).await.deliveries.len(), 4);
        platform.advance(LEASE_OVER);
        let batch = instance.claim(&pausing, 4).await;
        assert_eq!(batch.deliveries, []);
        assert!(batch.next_due_in_ms.is_some_and(|wait| wait > 10_000), "{batch:?}");
        let status = instance.status().await;
        assert!(status.dead >= 2, "{status:?}");
        assert_eq!(status.dead + status.pending, 4);
        assert!(status.paused.is_some());
    }

    async fn a_subscription_without_a_breaker_never_pauses(platform) {
        let mut instance = platform.instance().await;
        let never = pausing_subscription("service", "topic", 0);
        publish(&mut instance, 9).await;
        for _ in 0..9 {
            fail(&mut instance, &never).await;
        }
        assert!(!is_paused(&mut instance).await);
    }
}
