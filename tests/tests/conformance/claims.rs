//! Claims: who gets which deliveries, and how many.

use std::time::Duration;

use deliveries::Error;
use emporium_tests::{conformance, platform::*};

conformance! {
    async fn a_delivery_carries_its_event(platform) {
        let mut instance = platform.instance().await;
        let mut published = keyed("topic", "e1", "key");
        published.envelope = (0..=255).collect();
        instance.committed(publishes([published])).await;
        let delivery = instance.claim_one(&subscription("service", "topic")).await;
        assert_eq!(delivery.event_id, "e1");
        assert_eq!(delivery.kind, "thing.happened");
        assert_eq!(delivery.subject.as_deref(), Some("key"));
        assert_eq!(delivery.envelope, (0..=255).collect::<Vec<u8>>());
        assert_eq!(delivery.lease.attempt, 1);
    }

    async fn nothing_is_due_on_an_idle_topic(platform) {
        let mut instance = platform.instance().await;
        for _ in 0..2 {
            let batch = instance.claim(&subscription("service", "topic"), 10).await;
            assert_eq!((batch.deliveries, batch.next_due_in_ms), (vec![], None));
        }
    }

    async fn a_new_subscription_starts_with_the_oldest_event(platform) {
        let mut instance = platform.instance().await;
        for id in ["e1", "e2", "e3"] {
            instance.committed(publishes([event("topic", id), event("other", &format!("o{id}"))])).await;
        }
        let events = instance.claimed_events(&subscription("service", "topic"), 10).await;
        assert_eq!(events, ["e1", "e2", "e3"]);
    }

    async fn every_subscription_gets_its_own_copy(platform) {
        let mut instance = platform.instance().await;
        let services = ["one", "other"].map(|service| subscription(service, "topic"));
        instance.claim(&services[0], 1).await;
        instance.committed(publishes([event("topic", "e1"), event("elsewhere", "e2")])).await;
        for service in &services {
            let lease = instance.claim_one(service).await.lease;
            instance.committed(settles(lease)).await;
        }
    }

    async fn deliveries_come_in_the_order_of_commit(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        let ids: Vec<_> = (0..30).map(|number| format!("e{number:02}")).collect();
        for id in &ids {
            instance.committed(publishes([event("topic", id)])).await;
        }
        let mut claimed = Vec::new();
        for _ in 0..3 {
            claimed.extend(instance.claimed_events(&subscription, 10).await);
        }
        assert_eq!(claimed, ids);
    }

    async fn a_delivery_is_handed_to_one_consumer(platform) {
        let (mut one, mut other) = (platform.instance().await, platform.elsewhere().await.instance);
        let subscription = subscription("service", "topic");
        one.committed(publishes((0..20).map(|number| event("topic", &number.to_string())))).await;
        one.claim(&subscription, 1).await;
        let (mut first, second) = futures::join!(
            one.claimed_events(&subscription, 10),
            other.claimed_events(&subscription, 10),
        );
        first.extend(second);
        first.sort();
        first.dedup();
        assert_eq!(first.len(), 19);
    }

    async fn a_claim_says_if_there_is_more_at_once(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes((0..5).map(|number| event("topic", &number.to_string())))).await;
        let batch = instance.claim(&subscription, 3).await;
        assert_eq!((batch.deliveries.len(), batch.next_due_in_ms), (3, Some(0)));
        let batch = instance.claim(&subscription, 2).await;
        assert_eq!(batch.deliveries.len(), 2);
        assert!(batch.next_due_in_ms.is_none_or(|due| due > 0));
    }

    async fn a_claim_says_when_the_next_is_due(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        let mut later = event("topic", "later");
        later.not_before_ms = Some(platform.now_ms() + 3_600_000);
        instance.committed(publishes([event("topic", "now"), later])).await;
        let batch = instance.claim(&subscription, 10).await;
        assert_eq!(batch.deliveries.len(), 1);
        let next = batch.next_due_in_ms.expect("something falls due");
        assert!((3_590_000..=3_600_000).contains(&next), "{next}");
        instance.committed(settles(batch.deliveries[0].lease)).await;
        platform.advance(Duration::from_secs(1800));
        let next = instance.claim(&subscription, 10).await.next_due_in_ms.expect("still");
        assert!((1_790_000..=1_800_000).contains(&next), "{next}");
    }

    async fn a_thousand_deliveries_are_claimed_at_once(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes((0..1000).map(|number| event("topic", &number.to_string())))).await;
        instance.committed(publishes([event("topic", "last")])).await;
        assert_eq!(instance.claim(&subscription, 1000).await.deliveries.len(), 1000);
        assert_eq!(instance.claimed_events(&subscription, 1000).await, ["last"]);
    }

    async fn heavy_batches_end_early_and_miss_nothing(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        for number in 0..100 {
            let mut heavy = event("topic", &number.to_string());
            heavy.envelope = vec![7; 256 << 10];
            instance.committed(publishes([heavy])).await;
        }
        let batch = instance.claim(&subscription, 1000).await;
        assert!(batch.deliveries.len() < 100);
        assert_eq!(batch.next_due_in_ms, Some(0));
        let rest = instance.claim(&subscription, 1000).await;
        assert_eq!(batch.deliveries.len() + rest.deliveries.len(), 100);
    }

    async fn a_claim_that_is_not_well_formed_is_refused(platform) {
        let mut instance = platform.instance().await;
        let good = subscription("service", "topic");
        let mut no_attempts = good.clone();
        no_attempts.policy.max_attempts = 0;
        for (subscription, limit, lease_ms) in [
            (subscription("Service", "topic"), 1, 1000),
            (subscription("", "topic"), 1, 1000),
            (subscription("service", "to pic"), 1, 1000),
            (no_attempts, 1, 1000),
            (good.clone(), 0, 1000),
            (good.clone(), 1001, 1000),
            (good.clone(), 1, 999),
            (good.clone(), 1, 3_600_001),
        ] {
            let refused = instance.claim_for(subscription, None, limit, lease_ms).await;
            assert!(matches!(refused, Err(Error::InvalidRequest(_))), "{refused:?}");
        }
        assert_eq!(instance.subscriptions().await, Ok(vec![]));
    }
}
