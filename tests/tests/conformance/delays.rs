//! Delayed events: not before their time.

use std::time::Duration;

use emporium_tests::{conformance, platform::*};
use journal::Event;

fn delayed(platform: &Platform, id: &str, key: Option<&str>) -> Event {
    let not_before_ms = Some(platform.now_ms() + 60_000);
    Event {
        not_before_ms,
        subject: key.map(Into::into),
        ..event("topic", id)
    }
}

conformance! {
    async fn a_delayed_event_is_delivered_when_its_time_has_come(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        instance.committed(publishes([delayed(platform, "later", None), event("topic", "now")])).await;
        let now = instance.claim_one(&subscription).await;
        assert_eq!(now.event_id, "now");
        instance.committed(settles(now.lease)).await;
        platform.advance(Duration::from_secs(61));
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["later"]);
    }

    async fn a_late_subscription_keeps_the_delay(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.committed(publishes([delayed(platform, "later", None)])).await;
        assert_eq!(instance.claim(&subscription, 10).await.deliveries, []);
        platform.advance(Duration::from_secs(61));
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["later"]);
    }

    async fn a_time_in_the_past_is_no_delay(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        let past = Event { not_before_ms: Some(1), ..event("topic", "e1") };
        instance.committed(publishes([past])).await;
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["e1"]);
    }

    async fn the_end_of_time_is_never_reached(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        let never = Event { not_before_ms: Some(u64::MAX), ..event("topic", "e1") };
        instance.committed(publishes([never])).await;
        platform.advance(Duration::from_secs(1_000_000_000));
        assert_eq!(instance.claim(&subscription, 10).await.deliveries, []);
    }

    async fn a_delayed_event_holds_back_those_behind_it_with_its_key(platform) {
        let mut instance = platform.instance().await;
        let subscription = subscription("service", "topic");
        instance.claim(&subscription, 1).await;
        instance.committed(publishes([delayed(platform, "1", Some("key"))])).await;
        instance.committed(publishes([keyed("topic", "2", "key"), keyed("topic", "free", "other")])).await;
        assert_eq!(instance.claimed_events(&subscription, 10).await, ["free"]);
        platform.advance(Duration::from_secs(60));
        let mut seen = Vec::new();
        for _ in 0..3 {
            let batch = instance.claim(&subscription, 1).await;
            for delivery in batch.deliveries {
                instance.committed(settles(delivery.lease)).await;
                seen.push(delivery.event_id);
            }
        }
        seen.retain(|id| id != "free");
        assert_eq!(seen, ["1", "2"]);
    }
}
