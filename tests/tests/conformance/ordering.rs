//! Ordering keys: one at a time, in the order of commit.

use emporium_tests::{conformance, platform::*};

conformance! {
    async fn one_delivery_per_key_is_handed_out(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        for (id, key) in [("a1", "a"), ("b1", "b"), ("a2", "a"), ("b2", "b"), ("a3", "a")] {
            instance.committed(publishes([keyed("topic", id, key)])).await;
        }
        instance.committed(publishes([event("topic", "free")])).await;
        let batch = instance.claim(&subscription, 10).await;
        let ids: Vec<_> = batch.deliveries.iter().map(|delivery| &delivery.event_id).collect();
        assert_eq!(ids, ["a1", "b1", "free"]);
        assert_eq!(instance.claim(&subscription, 10).await.deliveries, []);
        instance.committed(settles(batch.deliveries[0].lease)).await;
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["a2"]);
    }

    async fn a_late_subscription_keeps_the_order_too(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        for (id, key) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")] {
            instance.committed(publishes([keyed("topic", id, key)])).await;
        }
        let mut seen = Vec::new();
        loop {
            let batch = instance.claim(&subscription, 10).await;
            if batch.deliveries.is_empty() { break; }
            for delivery in batch.deliveries {
                instance.committed(settles(delivery.lease)).await;
                seen.push(delivery.event_id);
            }
        }
        assert_eq!(seen, ["a1", "b1", "a2", "a3"]);
    }

    async fn events_of_one_unit_keep_their_order(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        instance.committed(publishes(["1", "2", "3"].map(|id| keyed("topic", id, "key")))).await;
        for id in ["1", "2", "3"] {
            let delivery = instance.claim_one(&subscription).await;
            assert_eq!(delivery.event_id, id);
            instance.committed(settles(delivery.lease)).await;
        }
    }

    async fn a_key_does_not_concern_other_subscriptions(platform) {
        let mut instance = platform.instance().await;
        instance.committed(publishes([keyed("topic", "1", "key"), keyed("other", "2", "key")])).await;
        for subscription in [
            subscription("one", "topic"),
            subscription("two", "topic"),
            subscription("one", "other"),
        ] {
            instance.claim_one(&subscription).await;
        }
    }

    async fn an_event_that_was_published_before_takes_no_key(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        instance.committed(publishes([keyed("topic", "1", "a")])).await;
        let lease = instance.claim_one(&subscription).await.lease;
        instance.committed(settles(lease)).await;
        // With the same key, with another, and beside one that is new.
        instance.committed(publishes([keyed("topic", "1", "a")])).await;
        instance.committed(publishes([keyed("topic", "1", "b")])).await;
        instance.committed(publishes([keyed("topic", "1", "c"), event("topic", "2")])).await;
        for key in ["a", "b", "c"] {
            instance.committed(publishes([keyed("topic", key, key)])).await;
        }
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["2", "a", "b", "c"]);
    }

    async fn a_released_delivery_keeps_its_place(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes(["1", "2"].map(|id| keyed("topic", id, "key")))).await;
        let lease = instance.claim_one(&subscription).await.lease;
        instance.release(vec![back(lease, "later")]).await;
        assert_eq!(instance.claim(&subscription, 10).await.deliveries, []);
        platform.advance(BACKOFF_OVER);
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["1"]);
    }

    async fn a_crashed_delivery_keeps_its_place(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes(["1", "2"].map(|id| keyed("topic", id, "key")))).await;
        instance.claim_one(&subscription).await;
        platform.advance(LEASE_OVER);
        let lease = instance.claim_one(&subscription).await.lease;
        instance.committed(settles(lease)).await;
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["2"]);
    }

    async fn those_behind_a_dead_delivery_proceed(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes(["1", "2"].map(|id| keyed("topic", id, "key")))).await;
        let lease = instance.claim_one(&subscription).await.lease;
        instance.bury(vec![burial(lease, "no")]).await;
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["2"]);
        instance.committed(publishes([keyed("topic", "3", "key")])).await;
        assert_eq!(instance.claim(&subscription, 10).await.deliveries, []);
    }

    async fn those_behind_a_blocking_dead_delivery_wait(platform) {
        let mut instance = platform.instance().await;
        let subscription = blocking_subscription("service", "topic");
        instance.committed(publishes(["1", "2"].map(|id| keyed("topic", id, "key")))).await;
        instance.committed(publishes([keyed("topic", "free", "other")])).await;
        let batch = instance.claim(&subscription, 10).await;
        instance.bury(vec![burial(batch.deliveries[0].lease, "no")]).await;
        instance.committed(publishes([keyed("topic", "3", "key")])).await;
        assert_eq!(instance.claim(&subscription, 10).await.deliveries, []);
        assert_eq!(instance.discard(vec![batch.deliveries[0].lease.delivery]).await, Ok(1));
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["2"]);
    }

    async fn a_dead_delivery_without_a_key_blocks_nobody(platform) {
        let mut instance = platform.instance().await;
        let subscription = blocking_subscription("service", "topic");
        instance.committed(publishes(["1", "2"].map(|id| event("topic", id)))).await;
        let batch = instance.claim(&subscription, 1).await;
        instance.bury(vec![burial(batch.deliveries[0].lease, "no")]).await;
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["2"]);
    }

    async fn a_blocked_key_goes_on_with_the_replayed_one(platform) {
        let mut instance = platform.instance().await;
        let subscription = blocking_subscription("service", "topic");
        instance.committed(publishes(["1", "2"].map(|id| keyed("topic", id, "key")))).await;
        let lease = instance.claim_one(&subscription).await.lease;
        instance.bury(vec![burial(lease, "no")]).await;
        assert_eq!(instance.replay(vec![lease.delivery], None).await, Ok(1));
        for id in ["1", "2"] {
            let delivery = instance.claim_one(&subscription).await;
            assert_eq!(delivery.event_id, id);
            instance.committed(settles(delivery.lease)).await;
        }
    }

    async fn a_replayed_one_waits_while_its_key_is_leased(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes(["1", "2", "3"].map(|id| keyed("topic", id, "key")))).await;
        let dead = instance.claim_one(&subscription).await.lease;
        instance.bury(vec![burial(dead, "no")]).await;
        let second = instance.claim_one(&subscription).await.lease;
        assert_eq!(instance.replay(vec![dead.delivery], None).await, Ok(1));
        assert_eq!(instance.claim(&subscription, 10).await.deliveries, []);
        instance.committed(settles(second)).await;
        for id in ["1", "3"] {
            let delivery = instance.claim_one(&subscription).await;
            assert_eq!(delivery.event_id, id);
            instance.committed(settles(delivery.lease)).await;
        }
    }
}
