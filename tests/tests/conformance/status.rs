//! How subscriptions are doing.

use std::time::Duration;

use emporium_tests::{conformance, platform::*};

conformance! {
    async fn each_state_is_counted(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        let mut delayed = event("topic", "delayed");
        delayed.not_before_ms = Some(platform.now_ms() + 3_600_000);
        instance.committed(publishes(["settled", "dead", "retried", "leased"].map(|id| event("topic", id)))).await;
        instance.committed(publishes([keyed("topic", "first", "key"), keyed("topic", "behind", "key"), delayed])).await;
        let batch = instance.claim(&subscription, 4).await.deliveries;
        instance.committed(settles(batch[0].lease)).await;
        instance.bury(vec![burial(batch[1].lease, "no")]).await;
        instance.release(vec![back(batch[2].lease, "later")]).await;
        let status = instance.status().await;
        assert_eq!(status.subscription, subscription);
        assert_eq!(
            (status.pending, status.leased, status.delayed, status.dead, status.settled, status.retried),
            (2, 1, 2, 1, 1, 1),
        );
    }

    async fn a_fresh_subscription_has_nothing_to_report(platform) {
        let mut instance = platform.instance().await;
        assert_eq!(instance.subscriptions().await, Ok(vec![]));
        instance.claim(&subscription("service", "topic"), 1).await;
        let status = instance.status().await;
        assert_eq!((status.pending, status.oldest_pending_ms, status.settled), (0, 0, 0));
    }

    async fn the_oldest_pending_tells_the_lag(platform) {
        let mut instance = platform.instance().await;
        instance.claim(&subscription("service", "topic"), 1).await;
        instance.committed(publishes([event("topic", "old")])).await;
        platform.advance(Duration::from_secs(100));
        instance.committed(publishes([event("topic", "new")])).await;
        let lag = instance.status().await.oldest_pending_ms;
        assert!((100_000..110_000).contains(&lag), "{lag}");
    }

    async fn a_lease_that_ran_out_is_pending(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([event("topic", "e1")])).await;
        instance.claim_one(&subscription).await;
        assert_eq!(instance.status().await.leased, 1);
        platform.advance(LEASE_OVER);
        let status = instance.status().await;
        assert_eq!((status.leased, status.pending), (0, 1));
        instance.claim_one(&subscription).await;
        assert_eq!(instance.status().await.retried, 1);
    }

    async fn subscriptions_are_ordered_by_service_and_topic(platform) {
        let mut instance = platform.instance().await;
        for (service, topic) in [("b", "x"), ("a", "z"), ("a", "y")] {
            instance.claim(&subscription(service, topic), 1).await;
        }
        let statuses = instance.subscriptions().await.expect("a report");
        let names: Vec<_> = statuses.iter().map(|status| {
            (status.subscription.service.as_str(), status.subscription.topic.as_str())
        }).collect();
        assert_eq!(names, [("a", "y"), ("a", "z"), ("b", "x")]);
    }

    async fn settlements_are_counted_across_a_batch(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes((0..10).map(|number| event("topic", &number.to_string())))).await;
        let batch = instance.claim(&subscription, 10).await.deliveries;
        let mut units: Vec<_> = batch.iter().map(|delivery| settles(delivery.lease)).collect();
        units.push(settles(batch[0].lease));
        let outcomes = instance.commit(units).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 10);
        assert_eq!(instance.status().await.settled, 10);
    }

    async fn latencies_are_counted_from_when_deliveries_fell_due(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        let mut later = event("topic", "later");
        later.not_before_ms = Some(platform.now_ms() + 1_000_000);
        instance.committed(publishes([event("topic", "now"), later])).await;
        platform.advance(Duration::from_secs(150));
        let lease = instance.claim_one(&subscription).await.lease;
        instance.committed(settles(lease)).await;
        platform.advance(Duration::from_secs(862));
        let lease = instance.claim_one(&subscription).await.lease;
        instance.committed(settles(lease)).await;
        let latency = instance.status().await.latency;
        assert_eq!(latency.counts, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0]);
        assert!((162_000..200_000).contains(&latency.sum_ms), "{latency:?}");
        assert!((150_000..180_000).contains(&latency.longest_ms), "{latency:?}");
    }

    async fn attempts_that_failed_are_part_of_a_latency(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([event("topic", "a")])).await;
        let lease = instance.claim_one(&subscription).await.lease;
        instance.release(vec![back(lease, "x")]).await;
        platform.advance(BACKOFF_OVER);
        let lease = instance.claim_one(&subscription).await.lease;
        instance.committed(settles(lease)).await;
        let latency = instance.status().await.latency;
        assert_eq!(latency.counts[16], 1, "{latency:?}");
    }

    async fn the_latency_of_a_replayed_delivery_begins_with_its_replay(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([event("topic", "a")])).await;
        let lease = instance.claim_one(&subscription).await.lease;
        instance.bury(vec![burial(lease, "no")]).await;
        platform.advance(Duration::from_secs(3600));
        assert_eq!(instance.replay(vec![lease.delivery], None).await, Ok(1));
        platform.advance(Duration::from_secs(20));
        let lease = instance.claim_one(&subscription).await.lease;
        instance.committed(settles(lease)).await;
        let latency = instance.status().await.latency;
        assert_eq!(latency.counts[14], 1, "{latency:?}");
        assert!((20_000..=50_000).contains(&latency.sum_ms), "{latency:?}");
    }

    async fn every_settled_delivery_is_in_the_histogram(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        assert_eq!(instance.claim(&subscription, 1).await.deliveries, []);
        let latency = instance.status().await.latency;
        assert_eq!((latency.counts, latency.sum_ms), (vec![0; 19], 0));
        instance.committed(publishes((0..50).map(|number| event("topic", &number.to_string())))).await;
        for size in [20, 30] {
            let batch = instance.claim(&subscription, size).await.deliveries;
            let units = batch.iter().map(|delivery| settles(delivery.lease));
            instance.commit(units.collect()).await;
            platform.advance(Duration::from_secs(60 * 60));
        }
        let latency = instance.status().await.latency;
        assert_eq!(latency.counts.iter().sum::<u64>(), 50);
        assert_eq!(latency.counts[18], 30);
    }
}
